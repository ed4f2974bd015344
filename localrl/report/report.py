"""The report of a run: accuracy with its interval, every outcome, and speed, from what the store holds.

Its JSON is a contract (see docs/report.md); everything that shows a run shows this.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from localrl import paths
from localrl.errors import StoreError
from localrl.report import budgets, metrics
from localrl.report.votes import Vote, Votes
from localrl.runs.plan import EvalPlan, RunPlan
from localrl.store import aggregates
from localrl.verdict import Outcome
from localrl.verify import registry

if TYPE_CHECKING:
    from concurrent.futures import Future

    from localrl.store.runs import Ask, Run, Store

SCHEMA = 1
REVISION = 7
"""Counts up when the report of the same run comes out otherwise: what was kept before is made again."""
VOTES, VOTING_PROBLEMS = 50_000, 10_000
"""Votes are counted over all answers, or over about so many, and those of so many problems at the least."""


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
        seconds = ask(aggregates.rates, run)
        counted = [_count(ask, run, i, part) for i, part in enumerate(plan.evals)]
        evals = [_eval(store, run, plan, i, counts) for i, counts in enumerate(counted)]
        sessions = store.sessions(run)
        rates = _rates(sessions, sum(map(metrics.samples, evals)))
        for entry, counts in zip(evals, counted, strict=True):
            entry |= _curve(entry, counts.curve.result(), rates)
    engine = sessions[-1][0] if sessions else {}
    first = plan.evals[0].sampling
    made = {
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
            **_adapter(plan),
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
        "speed": metrics.speed(
            *seconds.result(),
            [counters for _, counters in sessions],
            sum(entry["outcomes"]["correct"] for entry in evals),
        ),
    }
    shared: dict[str, Any] = paths.without_home(made)
    return shared


def _adapter(plan: RunPlan) -> dict[str, Any]:
    if not plan.engine.adapter:
        return {}
    return {"adapter": plan.engine.adapter, "adapter_sha256": plan.adapter_sha256}


@dataclass(frozen=True, slots=True)
class _Counts:
    """What the store is asked about one eval, all at once."""

    tally: Future[aggregates.EvalTotals]
    groups: Future[dict[aggregates.GroupCounts, int]] | None
    votes: Future[Votes] | None
    curve: Future[budgets.Curve | None]
    """These two follow from the tally where a problem has one sample."""
    verifiers: Future[list[str]]
    rewards: dict[str, Future[float | None]]


def _count(ask: Ask, run: Run, index: int, part: EvalPlan) -> _Counts:
    several, most = part.samples > 1, max(VOTES, VOTING_PROBLEMS * part.samples)
    return _Counts(
        tally=ask(aggregates.totals, run, index),
        groups=ask(aggregates.groups, run, index) if several else None,
        votes=ask(_votes, run, index, most) if several else None,
        curve=ask(budgets.read, run, index, most),
        verifiers=ask(aggregates.verifiers, run, index),
        rewards={r.name: ask(aggregates.mean_reward, run, index, r.name) for r in part.spec.rewards},
    )


def _eval(store: Store, run: Run, plan: RunPlan, index: int, counts: _Counts) -> dict[str, Any]:
    part = plan.evals[index]
    tally = counts.tally.result()
    measured = metrics.evaluate(
        counts.groups.result() if counts.groups else tally.groups_of_one,
        counts.votes.result() if counts.votes else None,
    )
    outcomes = {str(outcome): tally.outcomes.get(outcome, 0) for outcome in Outcome}
    completed = measured["completed"] and measured["completed"]["accuracy"]
    verifier = part.spec.verifier
    return {
        "eval": part.spec.name,
        "version": part.spec.version,
        "problems": measured.pop("problems"),
        "samples": part.samples,
        "extractor": verifier.extractor,
        "verifier": ", ".join(counts.verifiers.result()) or _today(verifier.name),
        **measured,
        "outcomes": outcomes,
        **({"errors": _errors(store, run, index)} if outcomes[Outcome.ENGINE_ERROR] else {}),
        "completed_accuracy": completed["value"] if completed else None,
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
        "published": [{"value": score.value, "source": score.source} for score in plan.published(part)],
        "deviations": part.deviations,
        "stopped": (run.manifest.get("stopped") or {}).get(part.spec.name),
    }


def _rates(sessions: list[tuple[dict[str, Any], dict[str, Any]]], samples: int) -> budgets.Rates:
    """What the run measured, for what it would have been at a budget."""
    speed = metrics.speed([], [], [counters for _, counters in sessions], 0)
    prefill_s = sum(counters.get("prefill_s", 0.0) for _, counters in sessions)
    return budgets.Rates(speed["decode_tokens_per_s"], prefill_s / samples if samples else 0.0)


def _curve(entry: dict[str, Any], curve: budgets.Curve | None, rates: budgets.Rates) -> dict[str, Any]:
    """What the eval's entry says of thinking budgets."""
    if curve is None or entry["accuracy"] is None:
        return {"budgets": [], "budget_summary": None}
    found = {"budgets": budgets.entries(curve, rates)}
    return {**found, "budget_summary": budgets.summary(curve, {**entry, **found}, rates)}


def _today(verifier: str) -> str:
    """Name and version of the verifier that will judge; an imported run may name one that is not here."""
    known = verifier in registry.VERIFIERS
    return f"{verifier}/{registry.VERIFIERS.get(verifier).VERSION}" if known else verifier


def _errors(store: Store, run: Run, index: int) -> list[dict[str, Any]]:
    return [{"error": error, "samples": count} for error, count in aggregates.errors(store, run, index)]


def _votes(store: Store, run: Run, index: int, most: int) -> Votes:
    """The votes of each problem; reading every answer of a large run would take seconds."""
    votes = Votes()
    for _, samples in groupby(aggregates.answers(store, run, index, most), key=itemgetter(0)):
        votes.add(Vote(s.extracted, s.outcome == Outcome.CORRECT, s.tokens) for s in samples)
    return votes


def _estimated(sessions: list[tuple[dict[str, Any], dict[str, Any]]]) -> dict[str, int]:
    """Samples whose server did not count their tokens: their figures are as good as our own count."""
    count = sum(counters.get("estimated_samples", 0) for _, counters in sessions)
    return {"samples_with_estimated_tokens": count} if count else {}


def _last(sessions: list[tuple[dict[str, Any], dict[str, Any]]], key: str) -> Any:
    return next((counters[key] for _, counters in reversed(sessions) if key in counters), None)
