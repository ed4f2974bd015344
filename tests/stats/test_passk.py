"""pass@j and majority@j equal the average over every possible draw, counted out."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from localrl.errors import UsageError
from localrl.stats import ballots, majority_at, majority_of, pass_at, pass_at_interval, pass_at_problem


@given(st.integers(1, 9), st.data())
def test_pass_at_j_is_the_share_of_draws_that_hold_a_right_sample(n: int, data: st.DataObject) -> None:
    c, j = data.draw(st.integers(0, n)), data.draw(st.integers(1, n))
    draws = [any(i < c for i in draw) for draw in combinations(range(n), j)]
    assert pass_at_problem(n, c, j) == pytest.approx(sum(draws) / len(draws))


def test_pass_at_by_hand() -> None:
    # 1 - C(3,2)/C(5,2) = 0.7 and 1 - C(5,2)/C(5,2) = 0
    assert pass_at([5, 5], [2, 0], 2) == pytest.approx(0.35)
    assert pass_at([64] * 3, [1, 64, 0], 64) == pytest.approx(2 / 3)


def test_pass_at_1_is_avg_at_k() -> None:
    rng = np.random.default_rng(0)
    n = rng.integers(1, 65, 50)
    c = rng.binomial(n, 0.3)
    assert pass_at(n, c, 1) == pytest.approx((c / n).mean())


def test_pass_at_grows_with_j_and_its_interval_holds_it() -> None:
    n, c = [8] * 30, list(range(8)) * 3 + [0] * 6
    values = [pass_at(n, c, j) for j in range(1, 9)]
    assert values == sorted(values)
    interval = pass_at_interval(n, c, 4)
    assert interval.low < values[3] == interval.value < interval.high


def by_counting(answers: list[str | None], correct: list[bool], j: int) -> float:
    """Every draw of j, votes counted; a tie is split among the tied."""
    won: list[float] = []
    for draw in combinations(range(len(answers)), j):
        votes: dict[str, int] = {}
        for i in draw:
            name = "right!" if correct[i] else answers[i]
            if name is not None:
                votes[name] = votes.get(name, 0) + 1
        top = [name for name, count in votes.items() if count == max(votes.values())]
        won.append(1 / len(top) if "right!" in top else 0.0)
    return sum(won) / len(won)


@settings(max_examples=200)
@given(st.lists(st.sampled_from(["7", "07", "5", "3", "2", None]), min_size=1, max_size=9), st.data())
def test_majority_is_the_average_over_every_draw(answers: list[str | None], data: st.DataObject) -> None:
    correct = [a in ("7", "07") for a in answers]
    j = data.draw(st.integers(1, len(answers)))
    assert majority_of(answers, correct, j) == pytest.approx(by_counting(answers, correct, j))


def test_majority_by_hand() -> None:
    # 4 samples a a b b, a right: every full vote ties, so 1/2; a vote of 1 is avg@k; a vote of 2 wins on aa
    # (1 of 6) and halves on ab (4 of 6).
    answers, correct = ["a", "a", "b", "b"], [True, True, False, False]
    assert [majority_of(answers, correct, j) for j in (1, 2, 4)] == pytest.approx([0.5, 0.5, 0.5])
    assert majority_of(["a", "a", "b", "c"], [True, True, False, False], 4) == 1.0
    assert majority_of(["a", "b", "c"], [True, False, False], 3) == pytest.approx(1 / 3)


def test_abstaining_samples_neither_win_nor_outvote() -> None:
    assert majority_of(["a", None, None], [True, False, False], 3) == 1.0
    assert majority_of([None, None], [False, False], 2) == 0.0


def test_majority_agrees_with_seeded_draws_where_draws_cannot_be_counted_out() -> None:
    rng = np.random.default_rng(5)
    answers: list[str | None] = [
        *["7"] * 20,
        *["5"] * 17,
        *["3"] * 9,
        *[str(100 + i) for i in range(12)],
        *[None] * 6,
    ]
    correct = [a == "7" for a in answers]
    draws = []
    for _ in range(4000):
        drawn = rng.permutation(64)[:16]
        draws.append(by_counting([answers[i] for i in drawn], [correct[i] for i in drawn], 16))
    exact = majority_of(answers, correct, 16)
    assert exact == pytest.approx(np.mean(draws), abs=5 * np.std(draws) / 4000**0.5)


def test_majority_over_problems_is_their_mean() -> None:
    won, lost = ballots(["1", "1"], [True, True]), ballots(["2", "3"], [False, False])
    assert majority_at({won: 3, lost: 1}, 2) == 0.75


def test_a_draw_larger_than_a_problem_is_refused() -> None:
    with pytest.raises(UsageError, match="draw of 5"):
        pass_at([8, 4], [1, 1], 5)
    with pytest.raises(UsageError, match="draw of 3"):
        majority_at({ballots(["1", "1"], [True, True]): 1}, 3)
    with pytest.raises(UsageError, match="no problem"):
        majority_at({}, 1)
