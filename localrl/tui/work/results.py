"""What the results screen reads from the store; each function is for a thread, with its own connection."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from localrl.errors import UsageError
from localrl.formats import duration, number
from localrl.report import comparison, comparison_summary, listing, results, writing
from localrl.store import locks
from localrl.store.runs import Store

if TYPE_CHECKING:
    from collections.abc import Sequence

    from localrl.sample import SampleRow
    from localrl.store.samples import SampleRows


@dataclass(frozen=True, slots=True)
class Detail:
    """Everything about one sample, as texts."""

    name: str
    index: int
    outcome: str | None
    prompt: str
    thinking: str
    answer: str
    extracted: str | None
    target: str
    why: str
    """The verifier's explanation."""
    facts: str
    """Tokens, speed, seed."""
    forks: tuple[ForkDetail, ...] = ()


@dataclass(frozen=True, slots=True)
class ForkDetail:
    """What the sample answered at a thinking budget."""

    budget: int
    outcome: str | None
    extracted: str | None
    answer: str
    replayed: bool


def runs() -> list[listing.ListedRun]:
    """All runs, the newest first."""
    with Store() as store:
        return listing.runs(store)


def samples(run_id: str, outcome: str = "", words: str = "") -> SampleRows:
    """The samples of a run without their texts, in the order of eval, problem and index.

    Args:
        outcome: only those that ended so.
        words: only problems whose id contains this.
    """
    with Store() as store:
        return store.find_rows(store.find(run_id), outcome, words)


def detail(run_id: str, line: SampleRow) -> Detail:
    """One sample with its texts."""
    with Store() as store:
        sample = store.sample(store.find(run_id), line.eval, line.problem, line.sample)
        problem, parts = sample.problem, sample.response
        facts = [
            f"{sample.prompt_tokens:,} prompt, {sample.thinking_tokens:,} thinking and "
            f"{sample.answer_tokens:,} answer tokens",
            f"{number(sample.tokens_per_s)} tok/s" if sample.tokens_per_s else "",
            f"first after {duration(sample.ttft_s)}" if sample.ttft_s is not None else "",
            f"ended: {sample.finish}",
            f"seed {sample.seed}",
            sample.verifier or "",
        ]
        why = json.dumps(sample.detail, indent=2, ensure_ascii=False) if sample.detail else ""
        return Detail(
            name=problem.id,
            index=sample.index,
            outcome=sample.outcome,
            prompt="\n\n".join(f"{m.role}: {m.content}" for m in problem.messages),
            thinking=parts.thinking.strip(),
            answer=parts.answer.strip(),
            extracted=sample.extracted,
            target=_gold(problem.target),
            why=sample.error or why,
            facts=" · ".join(filter(None, facts)),
            forks=tuple(
                ForkDetail(
                    f.budget or 0, f.outcome, f.extracted, f.response.answer.strip() or f.error, f.replayed
                )
                for f in sample.forks
            ),
        )


def _gold(target: Any) -> str:
    """The right answer in words; a generator's entry carries one beside what its scorer needs."""
    if isinstance(target, dict) and isinstance(entry := target.get("entry"), dict) and entry.get("answer"):
        return str(entry["answer"])
    return target if isinstance(target, str) else json.dumps(target)


def compare(run_ids: Sequence[str]) -> comparison_summary.ComparisonSummary:
    """Runs against the first of them.

    Raises:
        UsageError: they share no problems.
    """
    with Store() as store:
        compared = comparison.compare([results.find(store, run) for run in run_ids])
    return comparison_summary.of_comparison(compared)


def write_report(run_ids: Sequence[str]) -> Path:
    """A report on runs as one HTML page in the current folder."""
    path = Path(f"localrl-{'-'.join(run_ids)}.html").absolute()
    with Store() as store:
        writing.write([results.find(store, run) for run in run_ids], "html", path)
    return path


def remove(run_id: str) -> None:
    """
    Raises:
        UsageError: somebody works on the run.
    """
    with Store() as store:
        run = store.find(run_id)
        if locks.is_locked(run):
            raise UsageError(f"run {run.id} is being worked on", hint="stop it first")
        store.remove(run)
