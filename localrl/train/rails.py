"""Safety rails: what goes wrong in a training, said while it runs, with what to try.

Each looks at the steps so far and says nothing while all is well. The limits are rules of thumb.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING

from localrl.formats import number, percent, points

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from localrl.stats import Interval
    from localrl.train.record import StepRecord

SPAN = 3
"""Steps that are averaged, at the beginning and at the end."""
MISMATCH = 0.02
"""Nats a token; with the same weights in engine and trainer it is about 0.003."""
LOW_ENTROPY, ENTROPY_LEFT = 0.1, 0.2
GROWTH, CUT_SHARE = 1.5, 0.3
STILL_STEPS, STILL = 10, 0.03
BARREN_STEPS = 3
FAILED_SHARE = 0.05


@dataclass(frozen=True, slots=True)
class Concern:
    """One thing that goes wrong."""

    kind: str
    what: str
    advice: str

    def __str__(self) -> str:
        return f"{self.what}; {self.advice}"


@dataclass(frozen=True, slots=True)
class Check:
    """The held-out problems after some steps, against the same problems before the first."""

    step: int
    accuracy: float
    difference: Interval


def concerns(steps: Sequence[StepRecord], checks: Sequence[Check]) -> list[Concern]:
    """Everything that is wrong after the last of these steps."""
    if not steps:
        return []
    found = [look(steps) for look in _RAILS]
    return [concern for concern in [*found, _hacking(steps, checks)] if concern]


def _mismatch(steps: Sequence[StepRecord]) -> Concern | None:
    value = steps[-1].mismatch
    if value is None or value <= MISMATCH:
        return None
    return Concern(
        "mismatch",
        f"engine and trainer disagree about the same weights ({number(value, 3)} nats a token)",
        "try --cache-type f16, a quantisation with fewer losses, or a lower --lr",
    )


def _collapse(steps: Sequence[StepRecord]) -> Concern | None:
    entropies = [step.entropy for step in steps if step.entropy is not None]
    if len(entropies) <= SPAN:
        return None
    first, last = fmean(entropies[:SPAN]), fmean(entropies[-SPAN:])
    if last > LOW_ENTROPY or last > ENTROPY_LEFT * first:
        return None
    return Concern(
        "entropy",
        f"the samples of a group hardly differ any more (entropy {number(first)} → {number(last)})",
        "what was learned is kept; for more try a lower --lr, or a recipe with a higher clip_high or a kl",
    )


def _length(steps: Sequence[StepRecord]) -> Concern | None:
    if len(steps) < 2 * SPAN:
        return None
    first, last = (fmean(s.tokens_per_sample for s in part) for part in (steps[:SPAN], steps[-SPAN:]))
    cut = fmean(step.truncated for step in steps[-SPAN:])
    if last < GROWTH * first or cut < CUT_SHARE:
        return None
    return Concern(
        "length",
        f"answers grow ({number(first)} → {number(last)} tokens) and {percent(cut, 0)} are cut",
        "try a larger --max-tokens, or a reward with `overlong`",
    )


def _still(steps: Sequence[StepRecord]) -> Concern | None:
    """Neither the samples nor their rewards have moved."""
    moved = [step for step in steps if step.entropy]
    if len(moved) < STILL_STEPS:
        return None
    first, last = moved[:SPAN], moved[-SPAN:]
    entropy = _change([step.entropy or 0.0 for step in first], [step.entropy or 0.0 for step in last])
    rewards = abs(fmean(s.reward for s in last) - fmean(s.reward for s in first))
    if entropy > STILL or rewards > STILL:
        return None
    return Concern(
        "still",
        f"{len(steps)} steps have changed nothing (entropy and reward are as they were)",
        f"try --lr {10 * steps[-1].lr:g}",
    )


def _barren(steps: Sequence[StepRecord]) -> Concern | None:
    recent = steps[-BARREN_STEPS:]
    if len(recent) < BARREN_STEPS or any(step.groups > 0 for step in recent):
        return None
    right = fmean(step.correct for step in recent)
    if right > 0.5:
        said = "is solved by all samples", "try a harder eval: this one has nothing left to teach"
    else:
        said = "is solved by any sample", "try an easier eval, more samples (-k), or a larger --max-tokens"
    which = "every problem drawn" if right > 0.5 else "no problem drawn"
    return Concern("barren", f"no group has spread in {len(recent)} steps: {which} {said[0]}", said[1])


def _verifier(steps: Sequence[StepRecord]) -> Concern | None:
    last = steps[-1]
    if last.failed <= FAILED_SHARE * last.samples:
        return None
    return Concern(
        "verifier",
        f"the verifier failed on {last.failed} of {last.samples} samples, which count as not correct",
        "look at them with `localrl runs show`, and at the verifier's limits",
    )


def _hacking(steps: Sequence[StepRecord], checks: Sequence[Check]) -> Concern | None:
    """Reward that rises while held-out accuracy falls."""
    if not checks or len(steps) < 2 * SPAN:
        return None
    gain = fmean(s.reward for s in steps[-SPAN:]) - fmean(s.reward for s in steps[:SPAN])
    worse = checks[-1].difference
    if gain <= 0 or worse.high >= 0:
        return None
    return Concern(
        "hacking",
        f"the reward rises ({gain:+.2f}) while held-out accuracy falls ({points(worse.value)} points)",
        "look at samples with a high reward: the reward may be won without the right answer; "
        "`localrl train export --step N` takes an earlier adapter",
    )


def _change(before: list[float], after: list[float]) -> float:
    """Relative."""
    return abs(fmean(after) - fmean(before)) / max(fmean(before), 1e-9)


_RAILS: tuple[Callable[[Sequence[StepRecord]], Concern | None], ...] = (
    _mismatch,
    _collapse,
    _length,
    _still,
    _barren,
    _verifier,
)
