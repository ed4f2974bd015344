"""Completed-only accuracy, verifier bounds, detectable differences and rates, by hand and by simulation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from localrl.errors import UsageError
from localrl.stats import (
    Spread,
    compare,
    completed_accuracy,
    detectable_difference,
    generalisation,
    per,
    spread,
    verifier_bounds,
    wilson,
)

if TYPE_CHECKING:
    from collections.abc import Callable


def test_completed_accuracy_counts_only_what_ended_and_says_what_did_not() -> None:
    result = completed_accuracy([4, 4, 4], [4, 2, 0], [3, 2, 0])
    assert result.accuracy is not None
    assert result.accuracy.value == pytest.approx(5 / 6)
    assert result.cut_share == pytest.approx(0.5)
    assert completed_accuracy([2, 2], [0, 0], [0, 0]).accuracy is None


def test_completed_accuracy_with_nothing_cut_is_plain_accuracy() -> None:
    c = np.random.default_rng(0).binomial(4, 0.6, 40)
    ours = completed_accuracy([4] * 40, [4] * 40, c).accuracy
    assert ours is not None
    plain = generalisation([4] * 40, c)
    assert (ours.value, ours.low, ours.high) == pytest.approx((plain.value, plain.low, plain.high))


def test_completed_accuracy_with_one_sample_a_problem_is_wilsons_of_the_completed() -> None:
    ours = completed_accuracy([1] * 10, [1] * 8 + [0] * 2, [1] * 6 + [0] * 4).accuracy
    assert ours is not None
    plain = wilson(6, 8)
    assert (ours.low, ours.high) == pytest.approx((plain.low, plain.high))


def test_completed_accuracy_covers_when_hard_problems_are_cut_more_often() -> None:
    rng = np.random.default_rng(1)

    def draw(size: int) -> tuple[np.ndarray, np.ndarray]:
        p = rng.beta(0.6, 0.4, size)
        return p, rng.beta(8 * (0.3 + 0.7 * p), 8 * 0.7 * (1 - p) + 0.1)

    p, ends = draw(1_000_000)
    truth, hits = float((p * ends).sum() / ends.sum()), 0
    for _ in range(2000):
        p, ends = draw(60)
        completed = rng.binomial(8, ends)
        result = completed_accuracy([8] * 60, completed, rng.binomial(completed, p)).accuracy
        assert result is not None
        hits += result.low <= truth <= result.high
    assert 0.93 <= hits / 2000 <= 0.97


def test_verifier_errors_bound_accuracy_from_both_sides() -> None:
    assert verifier_bounds([4, 2], [2, 1], [1, 0]) == pytest.approx((0.5, 0.625))
    assert verifier_bounds([4, 0], [2, 0], [0, 0]) == (0.5, 0.5)


def test_detectable_difference_by_hand() -> None:
    # Miller's case: w² = 1/9, s² negligible, (1.96 + 0.8416)² / 9 / 0.03² = 969 problems for 3 points
    miller = Spread(between=1 / 9, within=0.0)
    assert detectable_difference(969, 1, miller) == pytest.approx(0.03, abs=1e-5)
    # 2.8016 √((0.125 + 0.25)/30)
    assert detectable_difference(30, 1) == pytest.approx(0.3132, abs=1e-3)
    assert detectable_difference(30, 64, same_problems=True) < detectable_difference(30, 64)


def test_a_difference_of_the_detectable_size_is_found_as_often_as_promised() -> None:
    """Chances are uniform over problems (variance 1/12, mean spread 1/6), and b loses a constant amount."""
    rng = np.random.default_rng(2)
    n, found = np.full(300, 4), 0
    loss = detectable_difference(300, 4, Spread(between=0.0, within=1 / 6))
    for _ in range(1000):
        a = rng.uniform(loss, 1, 300)
        found += compare(n, rng.binomial(4, a), n, rng.binomial(4, a - loss)).difference.low > 0
    assert found / 1000 == pytest.approx(0.8, abs=0.06)


def test_spread_splits_the_variance_of_a_yes_no_outcome() -> None:
    guess = spread(0.8, 0.6)
    assert guess.between + guess.within == pytest.approx(0.16)
    assert guess.between == pytest.approx(0.096)


def test_rates_by_hand_and_unknown_amounts_stay_unknown() -> None:
    assert per(90, 1800.0, 3600) == 180
    assert per(90, 45_000, 1000) == 2
    assert per(90, None) is None
    assert per(0, 0.0) is None


@pytest.mark.parametrize(
    "call",
    [
        lambda: completed_accuracy([2], [3], [1]),
        lambda: completed_accuracy([0], [0], [0]),
        lambda: verifier_bounds([2], [2], [1]),
        lambda: detectable_difference(0, 1),
    ],
)
def test_counts_that_do_not_nest_are_refused(call: Callable[[], object]) -> None:
    with pytest.raises(UsageError):
        call()
