"""Advantages of a group against values worked out by hand."""

from __future__ import annotations

import pytest

from localrl.stats import advantages


def test_standardised_advantages_by_hand() -> None:
    # mean 0.25, deviation 0.5
    assert advantages.standardised([1.0, 0.0, 0.0, 0.0]) == pytest.approx([1.5, -0.5, -0.5, -0.5], abs=1e-5)


def test_centred_advantages_by_hand() -> None:
    assert advantages.centred([1.0, 0.0, 0.0, 0.0]) == [0.75, -0.25, -0.25, -0.25]


@pytest.mark.parametrize("kind", [advantages.standardised, advantages.centred])
@pytest.mark.parametrize("rewards", [[], [1.0], [0.3, 0.3, 0.3]])
def test_a_group_without_spread_has_no_advantage(kind: object, rewards: list[float]) -> None:
    assert callable(kind)
    assert kind(rewards) == [0.0] * len(rewards)
