"""The published recipes as plain configuration."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from localrl.evals.rewards import Overlong, Reward
from localrl.verdict import Outcome, Verdict

RIGHT, WRONG = Verdict(Outcome.CORRECT, score=1.0), Verdict(Outcome.WRONG, score=0.4)


@pytest.mark.parametrize(
    ("tokens", "penalty"),
    [(0, 0.0), (16384, 0.0), (18432, -0.5), (20480, -1.0), (50_000, -1.0), (16385, -1 / 4096)],
)
def test_dapos_overlong_punishment_is_zero_then_linear_then_minus_one(tokens: int, penalty: float) -> None:
    assert Overlong(limit=20480, cache=4096).penalty(tokens) == pytest.approx(penalty)


def test_dapos_reward_is_one_or_minus_one_plus_the_punishment() -> None:
    dapo = Reward.model_validate(
        {
            "name": "dapo",
            "terms": [{"weight": 2.0, "offset": -1.0}],
            "overlong": {"limit": 20480, "cache": 4096},
        }
    )
    assert dapo.value([RIGHT], 100) == 1.0
    assert dapo.value([WRONG], 100) == -1.0
    assert dapo.value([RIGHT], 20480) == 0.0


def test_accuracy_plus_format_is_the_sum_of_two_verifiers() -> None:
    both = Reward.model_validate(
        {"name": "othink-mr1", "terms": [{}, {"verifier": {"name": "format"}, "weight": 0.5}]}
    )
    assert [both.value([a, b], 0) for a in (RIGHT, WRONG) for b in (RIGHT, WRONG)] == [1.5, 1.0, 0.5, 0.0]


def test_partial_credit_counts_only_where_it_is_asked_for() -> None:
    graded = Reward.model_validate({"name": "graded", "terms": [{"graded": True}]})
    assert graded.value([WRONG], 0) == 0.4
    assert Reward(name="plain").value([WRONG], 0) == 0.0


def test_a_cache_larger_than_the_limit_is_refused() -> None:
    with pytest.raises(ValidationError, match="cache"):
        Overlong(limit=10, cache=11)
