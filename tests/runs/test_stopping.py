"""A run that stops early is right as often as it says, and never stops on what finished first."""

from __future__ import annotations

import numpy as np
import pytest

from localrl.runs.stopping import StoppingRule, StopReason, shuffled


def feed(rule: StoppingRule, order: list[str], outcomes: np.ndarray) -> StopReason | None:
    """Hand over outcomes (problems, k) problem by problem, in order, until something is settled."""
    for problem, row in zip(order, outcomes, strict=True):
        for sample, correct in enumerate(row):
            settled = rule.take(problem, sample, bool(correct))
            if settled:
                return settled
    return None


def names(count: int) -> list[str]:
    return [f"p{i}" for i in range(count)]


@pytest.mark.slow
def test_until_stops_before_the_end_and_holds_the_whole_evals_score() -> None:
    rng, missed, ends = np.random.default_rng(0), 0, []
    for _ in range(30):
        scores = rng.random((1319, 1)) < 0.9
        settled = feed(StoppingRule(names(1319), 1, until=0.025), names(1319), scores)
        assert settled is not None
        assert settled.interval.half_width <= 0.025
        missed += not settled.interval.low <= scores.mean() <= settled.interval.high
        ends.append(settled.problems)
    assert missed <= 3
    assert np.median(ends) < 1200


def test_an_eval_that_is_never_precise_enough_runs_to_its_end_and_is_exact_there() -> None:
    scores = np.random.default_rng(1).random((30, 1)) < 0.5
    assert feed(StoppingRule(names(30), 1, until=0.001), names(30)[:29], scores[:29]) is None
    settled = feed(StoppingRule(names(30), 1, until=0.001), names(30), scores)
    assert settled is not None
    assert settled.problems == 30


def test_decide_stops_on_a_clear_difference_and_says_which_way() -> None:
    rng = np.random.default_rng(2)
    other = dict.fromkeys(names(500), 0.4)
    better = feed(StoppingRule(names(500), 4, other=other), names(500), rng.random((500, 4)) < 0.8)
    worse = feed(StoppingRule(names(500), 4, other=other), names(500), rng.random((500, 4)) < 0.1)
    assert better is not None
    assert worse is not None
    assert (better.verdict, worse.verdict) == ("better", "worse")
    assert better.problems < 100
    assert better.e_value is not None
    assert better.e_value > 20


@pytest.mark.slow
def test_decide_between_equal_runs_is_wrong_at_most_as_often_as_promised() -> None:
    rng, wrong = np.random.default_rng(3), 0
    for _ in range(60):
        p = rng.beta(0.5, 0.5, 300)
        other = {name: float(share) for name, share in zip(names(300), rng.binomial(2, p) / 2, strict=True)}
        wrong += (
            feed(StoppingRule(names(300), 2, other=other), names(300), rng.random((300, 2)) < p[:, None])
            is not None
        )
    assert wrong / 60 <= 0.05


def test_problems_that_the_other_run_lacks_decide_nothing() -> None:
    scores = np.ones((200, 1))
    assert feed(StoppingRule(names(200), 1, other={"elsewhere": 0.0}), names(200), scores) is None


def test_what_finished_first_is_not_looked_at_before_its_turn() -> None:
    """Easy problems finish first; while the first problem of the order is missing nothing can be settled."""
    rule = StoppingRule(names(400), 1, until=0.2)
    assert feed(rule, names(400)[1:], np.ones((399, 1))) is None
    settled = rule.take("p0", 0, False)
    assert settled is not None
    assert settled.problems == 400


def test_rounds_settle_the_score_on_these_problems() -> None:
    rng = np.random.default_rng(4)
    p = rng.beta(0.3, 0.3, 30)
    outcomes = rng.random((30, 64)) < p[:, None]
    rule, settled, used = StoppingRule(names(30), 64, rounds=True, until=0.05), None, 0
    for sample in range(64):
        for problem in rng.permutation(30):
            settled = settled or rule.take(f"p{problem}", sample, bool(outcomes[problem, sample]))
            used += settled is None
    assert settled is not None
    assert settled.unit == "rounds"
    assert settled.problems < 64
    assert settled.interval.low <= p.mean() <= settled.interval.high
    assert used < 30 * 64


def test_the_order_is_random_and_always_the_same() -> None:
    first = shuffled(names(100), 0)
    assert first == shuffled(names(100)[::-1], 0)
    assert first != shuffled(names(100), 1)
    assert sorted(first) == sorted(names(100))
    assert abs(np.corrcoef([int(p[1:]) for p in first], range(100))[0, 1]) < 0.3
