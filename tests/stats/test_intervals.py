"""Intervals agree with hand-worked values and scipy, and cover what they promise on realistic sets."""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import stdtrit
from scipy.stats import binomtest

from localrl.errors import UsageError
from localrl.stats import Interval, generalisation, mean_interval, repeatability, wilson
from localrl.stats.intervals import student_quantile

Draw = Callable[[np.random.Generator, int], np.ndarray]


def beta(mean: float, strength: float) -> Draw:
    return lambda rng, size: rng.beta(mean * strength, (1 - mean) * strength, size)


def hard_and_easy(rng: np.random.Generator, size: int) -> np.ndarray:
    return np.where(rng.random(size) < 0.15, rng.beta(1, 9, size), rng.beta(12, 1, size))


SETS: dict[str, tuple[int, int, Draw]] = {
    # name: (problems, k, how the problems' chances are spread); chances are U-shaped, as measured ones are
    "aime, k=4, strong model": (30, 4, beta(0.8, 0.6)),
    "aime, k=16, middling model": (30, 16, beta(0.5, 0.6)),
    "aime, k=64, weak model": (30, 64, beta(0.1, 0.6)),
    "aime, k=8, hard and easy": (30, 8, hard_and_easy),
    "gpqa, k=8": (198, 8, beta(0.6, 1.5)),
    "gsm8k, k=2": (1319, 2, beta(0.95, 0.8)),
    "mmlu, k=1": (3000, 1, beta(0.7, 1.0)),
}


def coverage(
    interval: Callable[[np.ndarray, np.ndarray], Interval], name: str, *, same_problems: bool, times: int
) -> float:
    problems, k, draw = SETS[name]
    rng = np.random.default_rng(20240301)
    population = float(draw(rng, 2_000_000).mean())
    n = np.full(problems, k)
    hits = 0
    for _ in range(times):
        p = draw(rng, problems)
        result = interval(n, rng.binomial(k, p))
        hits += result.low <= (float(p.mean()) if same_problems else population) <= result.high
    return hits / times


@pytest.mark.slow
@pytest.mark.parametrize("name", SETS)
def test_the_generalisation_interval_covers_new_problems_as_promised(name: str) -> None:
    assert 0.93 <= coverage(generalisation, name, same_problems=False, times=2500) <= 0.975


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name, (_, k, _) in SETS.items() if k > 1])
def test_the_repeatability_interval_covers_the_same_problems_as_promised(name: str) -> None:
    assert 0.93 <= coverage(repeatability, name, same_problems=True, times=2500) <= 0.975


def test_repeatability_covers_with_two_samples_a_problem() -> None:
    rng, n, hits = np.random.default_rng(3), np.full(30, 2), 0
    for _ in range(4000):
        p = beta(0.8, 0.6)(rng, 30)
        result = repeatability(n, rng.binomial(2, p))
        hits += result.low <= float(p.mean()) <= result.high
    assert 0.939 <= hits / 4000 <= 0.975


@pytest.mark.parametrize("problems", [2, 4, 30])
def test_more_samples_of_each_problem_never_say_less_than_one(problems: int) -> None:
    for right in range(problems + 1):
        one = wilson(right, problems)
        many = generalisation([3] * problems, [3] * right + [0] * (problems - right))
        assert one.low <= many.low + 1e-12
        assert many.high <= one.high + 1e-12


def test_repeatability_from_one_sample_a_problem_is_a_bound_and_says_so() -> None:
    assert coverage(repeatability, "mmlu, k=1", same_problems=True, times=500) >= 0.97
    assert repeatability([1, 1, 1], [1, 0, 1]).method == "wilson-bound"


def test_the_normal_interval_would_not_cover_on_a_small_hard_set() -> None:
    def normal(n: np.ndarray, c: np.ndarray) -> Interval:
        x = c / n
        half = 1.96 * float(x.std(ddof=1)) / sqrt(len(x))
        return Interval(float(x.mean()), float(x.mean()) - half, float(x.mean()) + half, 0.95, "normal")

    assert coverage(normal, "aime, k=64, weak model", same_problems=False, times=2500) < 0.92


def test_a_deviation_divided_by_the_root_of_resamples_covers_almost_never() -> None:
    """lighteval's mistake: the spread of bootstrap means already is the standard error of the mean."""

    def mistaken(n: np.ndarray, c: np.ndarray) -> Interval:
        rng = np.random.default_rng(0)
        x = c / n
        means = rng.choice(x, (1000, len(x))).mean(axis=1)
        half = 1.96 * float(means.std(ddof=1)) / sqrt(1000)
        return Interval(float(x.mean()), float(x.mean()) - half, float(x.mean()) + half, 0.95, "mistaken")

    assert coverage(mistaken, "aime, k=16, middling model", same_problems=False, times=300) < 0.15
    x = np.random.default_rng(1).beta(0.3, 0.3, 30)
    spread = np.random.default_rng(2).choice(x, (20_000, 30)).mean(axis=1).std()
    assert mean_interval(x).half_width == pytest.approx(1.96 * spread, rel=0.1)


@given(st.integers(1, 2000), st.data(), st.sampled_from([0.8, 0.95, 0.99]))
def test_wilson_is_scipys(n: int, data: st.DataObject, level: float) -> None:
    correct = data.draw(st.integers(0, n))
    theirs = binomtest(correct, n).proportion_ci(level, method="wilson")
    ours = wilson(correct, n, level)
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


@pytest.mark.parametrize("level", [0.5, 0.8, 0.95, 0.99, 0.999])
@pytest.mark.parametrize("df", [1, 30, 199, 200, 500, 10_000, 10**6])
def test_students_quantile_is_scipys(level: float, df: int) -> None:
    assert student_quantile(level, df) == pytest.approx(stdtrit(df, (1 + level) / 2), rel=2e-8)


def test_wilson_by_hand() -> None:
    # 8 of 10 at z = 1.96: (0.8 + 3.8416/20 ± 1.96 √(0.016 + 3.8416/400)) / 1.38416
    ours = wilson(8, 10)
    assert (ours.low, ours.high) == pytest.approx((0.49016, 0.94332), abs=1e-4)


def test_one_sample_a_problem_gives_wilsons_interval() -> None:
    assert generalisation([1, 1, 1, 1], [1, 0, 1, 1]) == wilson(3, 4)


def test_more_samples_of_the_same_problems_shrink_repeatability_and_not_generalisation() -> None:
    rng = np.random.default_rng(3)
    p = rng.beta(0.4, 0.4, 30)
    few, many = (np.full(30, k) for k in (4, 64))
    few_c, many_c = rng.binomial(4, p), rng.binomial(64, p)
    assert repeatability(many, many_c).half_width < 0.5 * repeatability(few, few_c).half_width
    assert generalisation(many, many_c).half_width > 0.7 * generalisation(few, few_c).half_width
    assert generalisation(many, many_c).half_width > 4 * repeatability(many, many_c).half_width


def test_repeated_answers_do_not_count_as_new_evidence() -> None:
    """Every problem answered the same way 64 times is 30 observations, not 1,920."""
    c = np.array([64] * 20 + [0] * 10)
    assert generalisation(np.full(30, 64), c).half_width == pytest.approx(wilson(20, 30).half_width, rel=0.1)


def test_problems_count_alike_however_many_samples_they_have() -> None:
    assert generalisation([1, 9], [1, 0]).value == 0.5
    assert repeatability([1, 9], [1, 3]).value == pytest.approx(2 / 3)


def test_problems_without_samples_are_left_out() -> None:
    assert generalisation([2, 0, 2], [1, 0, 2]) == generalisation([2, 2], [1, 2])


@given(st.lists(st.tuples(st.integers(1, 8), st.integers(0, 8)), min_size=1, max_size=40))
def test_an_interval_holds_its_value_and_stays_in_range(rows: list[tuple[int, int]]) -> None:
    n = [a for a, _ in rows]
    c = [min(a, b) for a, b in rows]
    for ours in (generalisation(n, c), repeatability(n, c)):
        assert 0 <= ours.low <= ours.value <= ours.high <= 1
        assert ours.low < ours.high


@given(st.lists(st.floats(0, 1), min_size=2, max_size=50))
def test_a_higher_level_gives_a_wider_interval(values: list[float]) -> None:
    assert mean_interval(values, 0.99).half_width >= mean_interval(values, 0.9).half_width


@pytest.mark.parametrize(
    "call",
    [
        lambda: wilson(0, 0),
        lambda: wilson(3, 2),
        lambda: wilson(1, 2, level=95),
        lambda: generalisation([], []),
        lambda: generalisation([2], [3]),
        lambda: repeatability([0, 0], [0, 0]),
        lambda: mean_interval([0.5, 1.5]),
        lambda: mean_interval([float("nan")]),
    ],
)
def test_nonsense_is_refused(call: Callable[[], Interval]) -> None:
    with pytest.raises(UsageError):
        call()
