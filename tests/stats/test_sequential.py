"""Looking again and again does not break the promise; and the sequences do end a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy.special import expit

from localrl.errors import UsageError
from localrl.stats import (
    difference_sequence,
    mean_interval,
    mean_sequence,
    repeat_sequence,
    wilson,
)

if TYPE_CHECKING:
    from collections.abc import Callable

LOOKS = [10, 20, 40, 70, 120, 200, 300, 400]


def ever_missed(truth: float, values: np.ndarray, population: int | None = None) -> bool:
    looks = (mean_sequence(values[:look], population=population) for look in LOOKS if look <= values.size)
    return any(not i.low - 1e-9 <= truth <= i.high + 1e-9 for i in looks)


@pytest.mark.slow
@pytest.mark.parametrize(("mean", "k"), [(0.5, 1), (0.95, 1), (0.7, 4)])
def test_an_interval_looked_at_8_times_misses_at_most_as_often_as_promised(mean: float, k: int) -> None:
    rng = np.random.default_rng(1)
    misses = sum(
        ever_missed(mean, rng.binomial(k, rng.beta(mean * 0.8, (1 - mean) * 0.8, 400)) / k)
        for _ in range(120)
    )
    assert misses / 120 <= 0.05


def test_an_ordinary_interval_looked_at_8_times_misses_far_more_often() -> None:
    rng, misses = np.random.default_rng(2), 0
    for _ in range(120):
        x = rng.random(400) < 0.5
        looks = (wilson(int(x[:look].sum()), look) for look in LOOKS)
        misses += any(not i.low <= 0.5 <= i.high for i in looks)
    assert misses / 120 > 0.12


@pytest.mark.slow
def test_the_score_of_a_whole_eval_is_covered_while_it_is_worked_through() -> None:
    rng, misses = np.random.default_rng(3), 0
    for _ in range(120):
        scores = (rng.random(400) < 0.8).astype(float)
        misses += ever_missed(float(scores.mean()), scores, population=400)
    assert misses / 120 <= 0.05


def test_a_whole_eval_leaves_no_doubt_about_its_own_score() -> None:
    scores = np.array([1.0, 0.0, 1.0, 1.0] * 20)
    end = mean_sequence(scores, population=80)
    assert (end.low, end.high) == pytest.approx((0.75, 0.75), abs=1e-9)
    assert mean_sequence(scores[:60], population=80).half_width < mean_sequence(scores[:60]).half_width
    assert mean_sequence(np.ones(50), population=50).low == pytest.approx(1)
    assert mean_sequence(np.zeros(50), population=50).high == pytest.approx(0)


def test_until_2_points_is_reached_and_costs_no_more_than_thrice_the_problems() -> None:
    x = (np.random.default_rng(4).random(8000) < 0.9).astype(float)
    needed = next(look for look in range(200, 8000, 100) if mean_sequence(x[:look]).half_width <= 0.02)
    fixed = next(look for look in range(200, 8000, 100) if mean_interval(x[:look]).half_width <= 0.02)
    assert fixed < needed <= 3.5 * fixed


def test_the_order_of_problems_does_not_matter_without_a_population() -> None:
    x = np.random.default_rng(5).integers(0, 5, 200) / 4
    forward, backward = mean_sequence(x), mean_sequence(x[::-1])
    assert (forward.low, forward.high) == pytest.approx((backward.low, backward.high))


@pytest.mark.slow
@pytest.mark.parametrize("k", [1, 4])
def test_equal_runs_are_told_apart_at_most_as_often_as_promised(k: int) -> None:
    rng, wrong = np.random.default_rng(6), 0
    for _ in range(120):
        ease = rng.normal(1, 2, 400)
        a, b = expit(ease + rng.normal(0, 1, 400)), expit(ease + rng.normal(0, 1, 400))
        d = (rng.binomial(k, a) - rng.binomial(k, b)) / k
        wrong += any(difference_sequence(d[:look]).settled for look in LOOKS)
    assert wrong / 120 <= 0.05


@pytest.mark.slow
def test_a_clear_difference_is_settled_early_and_on_the_right_side() -> None:
    rng = np.random.default_rng(7)
    ends: list[int] = []
    for _ in range(20):
        d = rng.choice([-1.0, 0.0, 1.0], size=1319, p=[0.03, 0.82, 0.15])
        settled = [look for look in range(50, 1319, 50) if difference_sequence(d[:look]).settled]
        assert settled
        assert difference_sequence(d[: settled[0]]).verdict == "better"
        assert difference_sequence(-d[: settled[0]]).verdict == "worse"
        ends.append(settled[0])
    assert np.median(ends) < 400


def test_evidence_and_interval_agree_on_no_difference() -> None:
    d = np.random.default_rng(8).choice([-1.0, 0.0, 1.0], size=600, p=[0.02, 0.9, 0.08])
    decision = difference_sequence(d)
    assert decision.verdict == "better"
    assert decision.e_value > 20
    assert difference_sequence(np.zeros(100)).e_value == pytest.approx(1)


def test_a_margin_lets_equal_runs_end_as_equivalent() -> None:
    d = np.random.default_rng(9).choice([-1.0, 0.0, 1.0], size=3000, p=[0.02, 0.96, 0.02])
    assert difference_sequence(d, margin=0.03).verdict == "equivalent"
    assert difference_sequence(d).verdict == "undecided"


@pytest.mark.slow
def test_rounds_over_these_problems_miss_at_most_as_often_as_promised_and_beat_unclustered_bets() -> None:
    rng, misses = np.random.default_rng(10), 0
    for _ in range(120):
        p = rng.beta(0.3, 0.3, 30)
        x = rng.random((30, 64)) < p[:, None]
        looks = (repeat_sequence(x[:, :rounds]) for rounds in (1, 2, 4, 8, 16, 32, 48, 64))
        misses += any(not i.low <= p.mean() <= i.high for i in looks)
        if misses == 0:
            assert repeat_sequence(x).half_width < mean_sequence(x.mean(axis=1)).half_width / 3
    assert misses / 120 <= 0.05


def test_64_rounds_of_30_problems_reach_3_points() -> None:
    rng = np.random.default_rng(11)
    x = rng.random((30, 64)) < rng.beta(0.3, 0.3, 30)[:, None]
    assert repeat_sequence(x).half_width < 0.03


@pytest.mark.parametrize(
    "call",
    [
        lambda: mean_sequence([]),
        lambda: mean_sequence([1.2]),
        lambda: mean_sequence([1.0, 0.0], population=1),
        lambda: difference_sequence([1.5]),
        lambda: repeat_sequence([[0.5]]),
        lambda: repeat_sequence([1, 0]),
    ],
)
def test_nonsense_is_refused(call: Callable[[], object]) -> None:
    with pytest.raises(UsageError):
        call()
