"""Curves over thinking budgets, on counts whose answers are known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from localrl import stats
from localrl.errors import UsageError
from localrl.stats import Spending


def test_the_gain_of_a_budget_is_the_paired_difference_and_narrower_than_that_of_two_samples() -> None:
    n = np.ones(200, dtype=int)
    before = np.arange(200) < 100
    after = np.arange(200) < 120  # the same problems and 20 more
    gain = stats.paired_gain(n, after, n, before)
    assert gain is not None
    assert gain.value == pytest.approx(0.1)
    shuffled = np.random.default_rng(1).permutation(after)
    apart = stats.paired_gain(n, shuffled, n, before)
    assert apart is not None
    assert gain.low > 0
    assert gain.half_width < 0.7 * apart.half_width


def test_a_gain_is_over_the_problems_that_have_samples_at_both_budgets() -> None:
    gain = stats.paired_gain([2, 2, 2, 0], [2, 1, 0, 0], [2, 2, 0, 2], [1, 0, 0, 2])
    assert gain is not None
    assert gain.value == pytest.approx(0.5)
    assert stats.paired_gain([1, 0], [1, 0], [1, 1], [0, 1]) is None


def test_the_area_is_the_mean_height_of_the_curve_over_log2_of_the_budget() -> None:
    n = np.ones((3, 4), dtype=int)
    c = np.array([[0, 0, 0, 0], [1, 1, 0, 0], [1, 1, 1, 1]])
    area = stats.log2_area([256, 512, 1024], n, c)
    assert area is not None
    assert area.value == pytest.approx((0.25 + 0.75) / 2)
    wider = stats.log2_area([256, 512, 4096], n, c)  # the second half is three times as wide
    assert wider is not None
    assert wider.value == pytest.approx((0.25 + 3 * 0.75) / 4)
    assert area.low <= area.value <= area.high


def test_one_budget_has_no_area_and_a_problem_that_lacks_one_is_left_out() -> None:
    assert stats.log2_area([256], [[1, 1]], [[1, 1]]) is None
    area = stats.log2_area([256, 512], [[1, 1], [1, 0]], [[1, 0], [1, 0]])
    assert area is not None
    assert area.value == 1.0


def test_the_frontier_has_what_no_cheaper_way_reaches() -> None:
    ways = [
        Spending(512, 1, 600, 0.4),
        Spending(512, 4, 2400, 0.55),
        Spending(1024, 1, 1100, 0.5),
        Spending(2048, 1, 2100, 0.6),
        Spending(None, 1, 2100, 0.58),
    ]
    assert stats.frontier(ways) == [True, False, True, True, False]
    assert stats.frontier([]) == []


def test_a_further_token_is_compared_between_thinking_on_and_voting() -> None:
    ways = [
        Spending(512, 1, 500, 0.4),
        Spending(512, 4, 2000, 0.55),
        Spending(512, 8, 4000, 0.57),
        Spending(1024, 1, 1000, 0.5),
        Spending(None, 1, 3000, 0.52),
    ]
    first, second = stats.further(ways)
    assert (first.budget, second.budget) == (512, 1024)
    assert first.thinking == pytest.approx(0.2)
    assert first.voting == pytest.approx(0.1)  # four votes: 0.15 for 1,500 tokens
    assert second.thinking == pytest.approx(0.01)
    assert second.voting is None


@pytest.mark.parametrize(
    ("answers", "streak", "stops"),
    [
        (["1", "2", "2", "2"], 2, 2),
        (["1", "2", "2", "2"], 3, 3),
        (["1", "2", "2", "2"], 1, 0),
        (["1", None, "1", "1"], 2, 3),
        ([None, None, None], 2, None),
        (["1", "2", "1"], 2, None),
        ([], 1, None),
    ],
)
def test_a_sample_is_stopped_by_equal_answers_in_a_row(
    answers: list[str | None], streak: int, stops: int | None
) -> None:
    assert stats.stopped_when_sure(answers, streak) == stops


def test_no_streak_is_refused() -> None:
    with pytest.raises(UsageError, match="streak of 0"):
        stats.stopped_when_sure(["1"], 0)


def test_the_shortest_majority_prefers_the_answer_that_was_reached_sooner() -> None:
    answers, correct = ["4", "4", "5", "5"], [True, True, False, False]
    assert stats.shortest_majority_of(answers, correct, [100, 120, 900, 800], 4) == 1.0
    assert stats.shortest_majority_of(answers, correct, [900, 800, 100, 120], 4) == 0.0
    assert stats.majority_of(answers, correct, 4) == 0.5


def test_more_votes_win_against_shorter_ones_as_the_logarithm_says() -> None:
    # 3 / ln 4000 against 2 / ln 100: 0.362 and 0.434
    answers, correct = ["4"] * 3 + ["5"] * 2, [True] * 3 + [False] * 2
    assert 3 / math.log(4000) < 2 / math.log(100)
    assert stats.shortest_majority_of(answers, correct, [4000] * 3 + [100] * 2, 5) == 0.0
    assert stats.shortest_majority_of(answers, correct, [400] * 3 + [100] * 2, 5) == 1.0


def test_correct_answers_are_one_candidate_and_none_is_no_vote() -> None:
    assert (
        stats.shortest_majority_of(["1/2", "0.5", "3", None], [True, True, False, False], [9] * 4, 4) == 1.0
    )
    assert stats.shortest_majority_of([None, None], [False, False], [9, 9], 2) == 0.0
    assert stats.shortest_majority_of(["4", "5", "6"], [True, False, False], [9] * 3, 3) == pytest.approx(
        1 / 3
    )


def test_a_smaller_vote_is_the_mean_over_disjoint_ones_and_one_sample_is_the_accuracy() -> None:
    answers, correct = ["4", "5", "4", "4", "6"], [True, False, True, True, False]
    assert stats.shortest_majority_of(answers, correct, [50] * 5, 1) == pytest.approx(0.6)
    assert stats.shortest_majority_of(answers, correct, [50, 40, 50, 50, 1], 2) == pytest.approx(0.5)
    with pytest.raises(UsageError, match="vote of 6"):
        stats.shortest_majority_of(answers, correct, [50] * 5, 6)
