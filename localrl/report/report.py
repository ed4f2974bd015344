"""The report of a run: accuracy with its interval, every outcome, and speed, from what the store holds.

Its JSON is a contract (see docs/report.md); everything that shows a run shows this.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import numpy as np

from localrl import stats
from localrl.errors import StoreError
from localrl.evals import protocol
from localrl.runs import energy
from localrl.runs.plan import EvalPlan, RunPlan, card_of
from localrl.store import sums
from localrl.verdict import Outcome
from localrl.verify import registry

if TYPE_CHECKING:
    from collections.abc import Mapping
    from concurrent.futures import Future

    from localrl.store.runs import Ask, Run, Store

SCHEMA = 1
REVISION = 4
"""Counts up when the report of the same run comes out otherwise: what was kept before is made again."""
LEVEL = 0.95
VOTES, VOTING_PROBLEMS = 50_000, 10_000
"""Votes are counted over all answers, or over about so many, and those of so many problems at the least."""
SO_FAR = "unfinished: what ends first is short, and short ones are more often right"
"""To be said beside every accuracy of a run that is partial."""
UNFINISHED = (Outcome.TRUNCATED, Outcome.LOOPED, Outcome.ENGINE_ERROR)


def make(store: Store, run: Run) -> dict[str, Any]:
    """The report as JSON values; made once and kept until the run changes."""
    kept = store.cached_report(run)
    if kept is None or kept.get("revision") != REVISION:
        before = store.version
        kept = {"revision": REVISION, "report": _make(store, run)}
        with contextlib.suppress(StoreError):  # a full disk: it can be read, and is made again next time
            store.cache_report(run, kept, before)
    report: dict[str, Any] = kept["report"]
    return report


def _make(store: Store, run: Run) -> dict[str, Any]:
    plan = RunPlan.model_validate(run.manifest["plan"])
    with store.readers() as ask:
        seconds = ask(sums.rates, run)
        counted = [_count(ask, run, i, part) for i, part in enumerate(plan.evals)]
        evals = [_eval(store, run, plan, i, counts) for i, counts in enumerate(counted)]
    sessions = store.sessions(run)
    engine = sessions[-1][0] if sessions else {}
    first = plan.evals[0].sampling
    return {
        "schema": SCHEMA,
        "run": run.id,
        "name": run.name,
        "created": run.created,
        "status": "partial" if run.status == "running" else run.status,
        "model": {
            "name": plan.model_name,
            "file": plan.model_path,
            "sha256": run.manifest.get("model_sha256"),
            "quantisation": plan.quantisation or run.manifest.get("quantisation", ""),
            "parameters": engine.get("parameters"),
            "template_sha256": engine.get("template_sha256"),
        },
        "backend": {
            "name": engine.get("backend"),
            "version": engine.get("version"),
            "parallel": plan.engine.parallel or _last(sessions, "parallel"),
            "context": engine.get("context"),
            "settings": {
                **(engine.get("settings") or {}),
                "parallel": plan.engine.parallel or "auto",
                **_estimated(sessions),
            },
        },
        "hardware": run.manifest.get("hardware", {}),
        "sampling": {
            **first.model_dump(),
            "seed": plan.seed,
            **({} if plan.loop_guard else {"loop_guard": False}),
        },
        "evals": evals,
        "speed": _speed(*seconds.result(), [counters for _, counters in sessions], evals),
    }


@dataclass(frozen=True, slots=True)
class _Counts:
    """What the store is asked about one eval, all at once."""

    tally: Future[sums.Tally]
    groups: Future[dict[tuple[int, int], int]] | None
    ballots: Future[Counter[stats.Ballots]] | None
    """These two follow from the tally where a problem has one sample."""
    verifiers: Future[list[str]]
    rewards: dict[str, Future[float | None]]


def _count(ask: Ask, run: Run, index: int, part: EvalPlan) -> _Counts:
    several = part.samples > 1
    return _Counts(
        tally=ask(sums.tally, run, index),
        groups=ask(sums.groups, run, index) if several else None,
        ballots=ask(_ballots, run, index, max(VOTES, VOTING_PROBLEMS * part.samples)) if several else None,
        verifiers=ask(sums.verifiers, run, index),
        rewards={r.name: ask(sums.mean_reward, run, index, r.name) for r in part.spec.rewards},
    )


def _eval(store: Store, run: Run, plan: RunPlan, index: int, counts: _Counts) -> dict[str, Any]:
    part = plan.evals[index]
    tally = counts.tally.result()
    n, c = groups(counts.groups.result() if counts.groups else tally.groups_of_one)
    outcomes = {str(outcome): tally.outcomes.get(outcome, 0) for outcome in Outcome}
    ended = tally.samples - sum(outcomes[o] for o in UNFINISHED) - tally.outcomes.get("", 0)
    verifier = part.spec.verifier
    return {
        "eval": part.spec.name,
        "version": part.spec.version,
        "problems": len(n),
        "samples": part.samples,
        "extractor": verifier.extractor,
        "verifier": ", ".join(counts.verifiers.result()) or _today(verifier.name),
        "accuracy": stats.generalisation(n, c, LEVEL).as_dict() if len(n) else None,
        "repeatability": stats.repeatability(n, c, LEVEL).as_dict() if len(n) else None,
        "pass_at": {str(j): stats.pass_at(n, c, j) for j in _ks(n)},
        "majority_at": _majority(counts.ballots.result(), n) if counts.ballots else {},
        "outcomes": outcomes,
        **({"errors": _errors(store, run, index)} if outcomes[Outcome.ENGINE_ERROR] else {}),
        "completed_accuracy": outcomes[Outcome.CORRECT] / ended if ended else None,
        "tokens": {
            "prompt": tally.prompt_tokens,
            "thinking": tally.thinking_tokens,
            "answer": tally.answer_tokens,
        },
        "sampling": part.sampling.model_dump(),
        **(
            {"rewards": {name: mean.result() for name, mean in counts.rewards.items()}}
            if counts.rewards
            else {}
        ),
        "published": [
            {"value": score.value, "source": score.source}
            for score in protocol.published(part.spec, card_of(plan))
        ],
        "deviations": part.deviations,
        "stopped": (run.manifest.get("stopped") or {}).get(part.spec.name),
    }


def _today(verifier: str) -> str:
    """Name and version of the verifier that will judge; an imported run may name one that is not here."""
    known = verifier in registry.VERIFIERS
    return f"{verifier}/{registry.VERIFIERS.get(verifier).VERSION}" if known else verifier


def _errors(store: Store, run: Run, index: int) -> list[dict[str, Any]]:
    return [{"error": error, "samples": count} for error, count in sums.errors(store, run, index)]


def groups(counts: Mapping[tuple[int, int], int]) -> tuple[Any, Any]:
    """Samples and correct ones of each problem, shape (problems,) both, from how many have which counts."""
    keys = list(counts)
    times = [counts[key] for key in keys]
    n = np.repeat(np.array([key[0] for key in keys], dtype=np.int64), times)
    c = np.repeat(np.array([key[1] for key in keys], dtype=np.int64), times)
    return n, c


def _ks(n: Any) -> list[int]:
    """1, the powers of two below the smallest group, and that group's size."""
    if not len(n):
        return []
    k = int(n.min())
    return sorted({1, k, *(2**i for i in range(1, k.bit_length()) if 2**i < k)})


def _ballots(store: Store, run: Run, index: int, most: int) -> Counter[stats.Ballots]:
    """How many problems vote in which way; reading every answer of a large run would take seconds."""
    counted: Counter[stats.Ballots] = Counter()
    for _, samples in groupby(sums.answers(store, run, index, most), key=itemgetter(0)):
        _, outcomes, answers = zip(*samples, strict=True)
        counted[stats.ballots(answers, [outcome == Outcome.CORRECT for outcome in outcomes])] += 1
    return counted


def _majority(ballots: Counter[stats.Ballots], n: Any) -> dict[str, float]:
    """majority@j for the j of pass@j from 2 on; with one sample it is the accuracy."""
    return {str(j): stats.majority_at(ballots, j) for j in _ks(n) if j > 1}


def _speed(
    ttft: list[float], rates: list[float], counters: list[dict[str, Any]], evals: list[dict[str, Any]]
) -> dict[str, Any]:
    def total(key: str) -> float:
        return float(sum(c.get(key, 0) for c in counters))

    wall = total("wall_s")
    correct = sum(part["outcomes"]["correct"] for part in evals)
    return {
        "wall_s": wall,
        "prefill_tokens_per_s": _ratio(total("prefill_tokens"), total("prefill_s")),
        "decode_tokens_per_s": _ratio(total("generated_tokens"), total("decode_s")),
        "stream_tokens_per_s": _quantiles(rates),
        "ttft_s": _quantiles(ttft),
        "energy": energy.summed([c.get("energy_j") for c in counters]),
        "peak_memory_bytes": int(max((c.get("peak_memory_bytes", 0) for c in counters), default=0)),
        "correct_per_hour": _ratio(correct * 3600, wall),
    }


def _estimated(sessions: list[tuple[dict[str, Any], dict[str, Any]]]) -> dict[str, int]:
    """Samples whose server did not count their tokens: their figures are as good as our own count."""
    count = sum(counters.get("estimated_samples", 0) for _, counters in sessions)
    return {"samples_with_estimated_tokens": count} if count else {}


def _quantiles(values: list[float]) -> dict[str, float | None]:
    if not values:
        return {"p50": None, "p95": None}
    p50, p95 = np.quantile(values, [0.5, 0.95])
    return {"p50": float(p50), "p95": float(p95)}


def _ratio(amount: float, seconds: float) -> float | None:
    return amount / seconds if seconds > 0 else None


def _last(sessions: list[tuple[dict[str, Any], dict[str, Any]]], key: str) -> Any:
    return next((counters[key] for _, counters in reversed(sessions) if key in counters), None)
