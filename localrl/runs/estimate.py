"""How long a run will take, before it starts: from earlier runs, else from what the machine should do."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from localrl import formats, stats
from localrl.catalog import assess
from localrl.catalog import shape as shapes
from localrl.errors import LocalrlError
from localrl.evals import dataset
from localrl.machine import hardware
from localrl.store import aggregates, locks
from localrl.verdict import Outcome

if TYPE_CHECKING:
    from localrl.runs.plan import EvalPlan, RunPlan
    from localrl.store.runs import Run, Store

RECENT_RUNS = 20
"""Runs in which the best number of streams is looked for."""
ENOUGH_TOKENS = 1000
"""Generated in a session, for its speed to mean something."""


@dataclass(frozen=True, slots=True)
class Estimate:
    samples: int
    """In all; those of evals whose size is not known are left out."""
    tokens: float
    """To be generated, thinking included."""
    seconds: float | None
    """None where nothing is known of the speed."""
    basis: str
    """Where the two numbers come from, in words."""

    def __str__(self) -> str:
        time = "time unknown" if self.seconds is None else f"about {formats.duration(self.seconds)}"
        return f"{formats.count(self.samples, 'sample')}, {self.tokens:,.0f} tokens, {time} ({self.basis})"


def estimate(store: Store, plan: RunPlan) -> Estimate:
    """Samples, tokens and time of a run that has not begun."""
    samples, tokens, measured = 0, 0.0, True
    lengths, rate, run = _earlier(store, plan)
    for part in plan.evals:
        count = problems(part) * part.samples
        length = lengths.get(part.spec.name)
        measured = measured and length is not None
        samples += count
        tokens += count * (length or assess.SHARE_USED * part.sampling.max_tokens)
        tokens += count * len(part.budgets) * assess.SHARE_USED * plan.budget_answer_tokens
    basis = f"as long as in run {run}" if measured and run else f"{assess.SHARE_USED:.0%} of the token limit"
    if rate:
        return Estimate(
            samples, tokens, tokens / rate, f"{basis}, {formats.rate(rate)} tokens/s as measured before"
        )
    expected = _expected(plan)
    if expected is None:
        return Estimate(samples, tokens, None, basis)
    return Estimate(
        samples, tokens, tokens / expected, f"{basis}, {formats.rate(expected)} tokens/s expected: a guess"
    )


def streams(store: Store, plan: RunPlan) -> int | None:
    """The number of streams at which the model generated most on this machine lately, where one is known."""
    device = hardware.probe().device
    rates: list[tuple[float, int]] = []
    for run in store.runs()[:RECENT_RUNS]:
        same = _same_model(run, plan) and run.manifest["plan"]["engine"]["backend"] == plan.engine.backend
        if not same or run.manifest["hardware"]["device"] != device:
            continue
        for _, counters in store.sessions(run):
            tokens, seconds = counters.get("generated_tokens", 0), counters.get("decode_s", 0.0)
            if tokens >= ENOUGH_TOKENS and seconds and "parallel" in counters:  # imported runs may lack it
                rates.append((tokens / seconds, counters["parallel"]))
    return max(rates)[1] if rates else None


def prospects(part: EvalPlan, count: int) -> list[str]:
    """What a run of `count` problems will be able to show, in words."""
    found = []
    alike = part.samples > 1 and part.sampling.temperature == 0
    if count > 1:
        least = 100 * stats.detectable_difference(count, 1 if alike else part.samples)
        found.append(f"two runs of {count} × {part.samples} show differences from {least:.0f} points")
    if alike:
        found.append(f"greedy: the {part.samples} samples of a problem come out alike without a temperature")
    return found


def problems(part: EvalPlan) -> int:
    """Problems that a run will ask; 0 where that is not known without a download."""
    return dataset.size(part.spec, Path(part.path), part.limit) or 0


def _earlier(store: Store, plan: RunPlan) -> tuple[dict[str, float], float | None, str]:
    """Tokens a sample by eval, tokens a second, and the run they are from; of the newest run that knows.

    Lengths are of complete runs with the same limit only: what a run does first is what is short.
    """
    limits = {part.spec.name: part.sampling.max_tokens for part in plan.evals}
    lengths: dict[str, float] = {}
    rate, named = None, ""
    for run in store.runs():
        if locks.is_locked(run):  # at work, perhaps begun this moment: not measured yet
            continue
        theirs = run.manifest["plan"]
        if not _same_model(run, plan):
            continue
        tallies = [aggregates.totals(store, run, i) for i in range(len(run.evals))]
        failed = sum(tally.outcomes.get(Outcome.ENGINE_ERROR, 0) for tally in tallies)
        if 2 * failed > sum(tally.samples for tally in tallies):  # mostly failed: says nothing of a later run
            continue
        for name, part, tally in zip(run.evals, theirs["evals"], tallies, strict=True):
            same = limits.get(name) == part["sampling"]["max_tokens"]
            if run.status == "complete" and tally.samples and same and name not in lengths:
                lengths[name] = (tally.thinking_tokens + tally.answer_tokens) / tally.samples
                named = named or run.id
        if theirs["engine"]["backend"] == plan.engine.backend:
            rate = rate or _decode_rate(store, run)
        if rate and all(part.spec.name in lengths for part in plan.evals):
            break
    return lengths, rate, named


def _same_model(run: Run, plan: RunPlan) -> bool:
    theirs = run.manifest["plan"]
    return (theirs["model_name"], theirs["quantisation"]) == (plan.model_name, plan.quantisation)


def _decode_rate(store: Store, run: Run) -> float | None:
    """Generated tokens a second of a run, over all its sessions and streams."""
    sessions = [counters for _, counters in store.sessions(run)]
    tokens = sum(counters.get("generated_tokens", 0) for counters in sessions)
    return stats.per(tokens, sum(counters.get("decode_s", 0.0) for counters in sessions))


def _expected(plan: RunPlan) -> float | None:
    """Tokens a second of all streams together, from the file's shape and the machine's bandwidth."""
    try:
        shape = shapes.of(Path(plan.model_path))
    except LocalrlError:
        return None
    workload = assess.Workload(plan.engine.tokens_per_stream)
    found = assess.assess(plan.model_name, shape, hardware.here(), workload).throughput
    return found.together if found else None
