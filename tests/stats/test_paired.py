"""A paired comparison covers what it promises, agrees with known tests, and uses the pairing."""

from __future__ import annotations

from collections.abc import Callable
from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit

from localrl.errors import UsageError
from localrl.stats import compare, holm, mcnemar

Pairs = Callable[[np.random.Generator, int], tuple[np.ndarray, np.ndarray]]


def abilities(ease: float, spread: float, loss: float, disagreement: float) -> Pairs:
    """Two models' chances over problems: logistic, model b weaker by `loss` logits on the average."""

    def draw(rng: np.random.Generator, size: int) -> tuple[np.ndarray, np.ndarray]:
        a = rng.normal(ease, spread, size)
        return expit(a), expit(a - loss + rng.normal(0, disagreement, size))

    return draw


SETS: dict[str, tuple[int, int, Pairs]] = {
    "aime, k=4, two quantisations": (30, 4, abilities(1.5, 3, 0.1, 0.5)),
    "aime, k=16, two models": (30, 16, abilities(0, 3, 2, 2)),
    "aime, k=1, two models": (30, 1, abilities(1, 3, 1, 1)),
    "gpqa, k=4": (198, 4, abilities(0.5, 2, 0.2, 0.5)),
    "gsm8k, k=1": (1319, 1, abilities(4, 2, 0.3, 0.3)),
    "20 problems, k=4, one model far better": (20, 4, abilities(1, 1, 6, 1)),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", SETS)
def test_the_difference_is_covered_for_new_problems_and_for_these(name: str) -> None:
    problems, k, draw = SETS[name]
    rng = np.random.default_rng(7)
    a, b = draw(rng, 2_000_000)
    truth, n, times = float((a - b).mean()), np.full(problems, k), 2000
    new = same = 0
    for _ in range(times):
        a, b = draw(rng, problems)
        result = compare(n, rng.binomial(k, a), n, rng.binomial(k, b))
        new += result.difference.low <= truth <= result.difference.high
        same += result.same_problems.low <= float((a - b).mean()) <= result.same_problems.high
    assert 0.93 <= new / times <= 0.975
    assert same / times >= 0.93
    assert k == 1 or same / times <= 0.975


def test_two_runs_that_are_nearly_always_right_are_not_taken_for_certain() -> None:
    """Where no sample differs from the others of its problem, the spread of samples looks like none."""
    rng = np.random.default_rng(19)
    n, hit = np.full(30, 2), 0
    for _ in range(1000):
        a, b = abilities(6, 2, 0.1, 0.1)(rng, 30)
        same = compare(n, rng.binomial(2, a), n, rng.binomial(2, b)).same_problems
        hit += same.low <= float((a - b).mean()) <= same.high
    assert hit / 1000 >= 0.93
    all_right = compare([2, 2, 2], [2, 2, 2], [2, 2, 2], [2, 2, 2]).same_problems
    assert all_right.low < 0 < all_right.high


@pytest.mark.parametrize("k", [1, 4])
def test_winning_every_problem_leaves_some_doubt(k: int) -> None:
    result = compare([k] * 5, [k] * 5, [k] * 5, [0] * 5)
    assert 0 < result.difference.low < result.difference.high == 1
    assert 0 < result.same_problems.low < result.same_problems.high == 1
    assert 0.95 < result.p_better < 1


@pytest.mark.slow
def test_p_better_means_what_it_says() -> None:
    """Among comparisons of equal models, P(A > B) is above 0.95 one time in twenty."""
    rng = np.random.default_rng(11)
    n, high = np.full(60, 4), 0
    for _ in range(2000):
        a, b = abilities(0.5, 2, 0, 1)(rng, 60)
        high += compare(n, rng.binomial(4, a), n, rng.binomial(4, b)).p_better > 0.95
    assert 0.03 <= high / 2000 <= 0.07


def test_the_interval_agrees_with_a_paired_cluster_bootstrap_where_problems_are_many() -> None:
    rng = np.random.default_rng(13)
    a, b = abilities(0.5, 2, 0.3, 0.5)(rng, 800)
    n = np.full(800, 4)
    ca, cb = rng.binomial(4, a), rng.binomial(4, b)
    means = rng.choice((ca - cb) / 4, (4000, 800)).mean(axis=1)
    ours = compare(n, ca, n, cb).difference
    assert (ours.low, ours.high) == pytest.approx(np.quantile(means, [0.025, 0.975]), abs=0.004)


def test_pairing_sees_what_two_separate_intervals_would_miss() -> None:
    """Nearly the same run twice, one a little worse: the scores' own intervals overlap widely."""
    rng = np.random.default_rng(17)
    p = rng.beta(0.5, 0.5, 300)
    c = rng.binomial(8, p)
    n = np.full(300, 8)
    result = compare(n, c, n, np.maximum(c - (rng.random(300) < 0.3), 0))
    assert result.difference.low > 0
    assert result.p_better > 0.999
    assert result.lost == 0


def test_comparing_a_run_with_itself_finds_nothing_yet_no_certainty() -> None:
    n, c = [4] * 30, [4, 0, 2] * 10
    result = compare(n, c, n, c)
    assert result.difference.value == 0
    assert result.difference.low < 0 < result.difference.high
    assert result.p_better == 0.5
    assert result.correlation == pytest.approx(1)


@given(st.integers(0, 40), st.integers(0, 40))
def test_mcnemar_is_the_fair_coins_tail(only_a: int, only_b: int) -> None:
    tosses, fewer = only_a + only_b, min(only_a, only_b)
    tail = 2 * sum(comb(tosses, i) for i in range(fewer + 1)) / 2**tosses
    assert mcnemar(only_a, only_b) == pytest.approx(min(1.0, tail))


def test_mcnemar_by_hand_and_only_at_one_sample_a_problem() -> None:
    # 1 against 6: 2 (1 + 7)/128 = 0.125
    a, b = [1] * 6 + [0] + [1] * 5, [0] * 6 + [1] + [1] * 5
    result = compare([1] * 12, a, [1] * 12, b)
    assert (result.won, result.lost) == (6, 1)
    assert result.mcnemar == pytest.approx(0.125)
    assert compare([2] * 12, a, [2] * 12, b).mcnemar is None


def test_runs_with_other_sample_counts_compare_by_share() -> None:
    result = compare([4, 4, 4], [4, 2, 0], [1, 2, 8], [1, 1, 0])
    assert result.difference.value == 0
    assert (result.won, result.lost) == (0, 0)


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([]) == []


@pytest.mark.parametrize(
    ("n_a", "c_a", "n_b", "c_b"),
    [
        ([1], [1], [1], [0]),
        ([1, 1], [1, 0], [1, 1, 1], [0, 0, 0]),
        ([1, 0], [1, 0], [1, 1], [1, 0]),
        ([1, 1], [2, 0], [1, 1], [1, 0]),
    ],
)
def test_what_cannot_be_compared_is_refused(
    n_a: list[int], c_a: list[int], n_b: list[int], c_b: list[int]
) -> None:
    with pytest.raises(UsageError):
        compare(n_a, c_a, n_b, c_b)
