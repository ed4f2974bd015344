"""Each rail speaks when its fault is there, and none speaks in a training that goes well."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from localrl import stats
from localrl.train.rails import Check, concerns
from localrl.train.record import StepRecord

GOOD = StepRecord(
    step=0,
    drawn=8,
    groups=8,
    without_spread=0,
    samples=64,
    reward=0.3,
    correct=0.3,
    truncated=0.0,
    failed=0,
    tokens=6400,
    lr=1e-4,
    kl_weight=0.0,
    entropy=1.5,
    mismatch=0.003,
)


def course(**last: float) -> list[StepRecord]:
    """A training that goes well, whose values move evenly from GOOD's to these and stay there."""
    ends = {"reward": 0.7, "entropy": 0.9, **last}

    def at(part: float) -> dict[str, Any]:
        return {key: (1 - part) * getattr(GOOD, key) + part * end for key, end in ends.items()}

    return [replace(GOOD, step=i, **at(min(1.0, i / 9))) for i in range(12)]


def check(before: int, after: int) -> Check:
    """100 held-out problems, of which so many were right before and after."""
    ones = [1] * 100
    now, then = ([1] * right + [0] * (100 - right) for right in (after, before))
    return Check(10, after / 100, stats.compare(ones, now, ones, then).difference)


def kinds(steps: list[StepRecord], *checks: Check) -> list[str]:
    return [concern.kind for concern in concerns(steps, checks)]


def test_a_training_that_goes_well_is_left_in_peace() -> None:
    assert kinds(course(), check(30, 55)) == []
    assert kinds(course()[:2]) == []
    assert concerns([], []) == []


@pytest.mark.parametrize(
    ("kind", "last"),
    [
        ("mismatch", {"mismatch": 0.05}),
        ("entropy", {"entropy": 0.01}),
        ("length", {"tokens": 20_000, "truncated": 0.6}),
        ("still", {"reward": 0.31, "entropy": 1.51}),
        ("verifier", {"failed": 20}),
    ],
)
def test_a_fault_is_told_with_what_to_try(kind: str, last: dict[str, float]) -> None:
    (found,) = concerns(course(**last), [])
    assert found.kind == kind
    assert "; " in str(found)
    assert "\n" not in str(found)


def test_a_reward_that_rises_while_held_out_accuracy_falls_is_told() -> None:
    assert kinds(course(), check(55, 30)) == ["hacking"]
    assert kinds(course(reward=0.1), check(55, 30)) == []


@pytest.mark.parametrize(("correct", "advice"), [(1.0, "harder"), (0.0, "easier")])
def test_steps_without_a_mixed_group_say_whether_the_eval_is_too_hard_or_too_easy(
    correct: float, advice: str
) -> None:
    steps = [replace(GOOD, step=i, groups=0, correct=correct, entropy=None, mismatch=None) for i in range(3)]
    (found,) = concerns(steps, [])
    assert found.kind == "barren"
    assert advice in found.advice
