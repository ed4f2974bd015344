"""The reward functions that other trainers call say what our own loop would."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from localrl.train import rewards
from tests.train.scripted import write_sums

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def source(tmp_path: Path) -> str:
    return rewards.SOURCE + write_sums(tmp_path)


def columns(source: str, count: int, truth: str = "4") -> dict[str, Any]:
    return {"data_source": [source] * count, "reward_model": [{"ground_truth": truth}] * count}


def test_trl_gets_a_reward_for_each_completion_as_text_or_as_messages(source: str) -> None:
    said: list[Any] = ["it is 4", "it is 5", [{"role": "assistant", "content": "<think>5</think>it is 4"}]]
    assert rewards.trl_reward(said, **columns(source, 3), prompts=["?"] * 3) == [1.0, 0.0, 1.0]


def test_verl_gets_one_reward(source: str) -> None:
    assert rewards.verl_reward(source, "it is 4", "4", {"index": 0}) == 1.0
    assert rewards.verl_reward(source, "no idea", "4") == 0.0


def test_a_target_comes_back_from_an_export_as_it_was() -> None:
    for target, text in [
        ("4", "4"),
        ("[1, 2]", "[1, 2]"),
        ({"a": 1}, '{"a": 1}'),
        (["a", "b"], '["a", "b"]'),
    ]:
        assert rewards._target(text) == target


def test_an_eval_s_own_reward_counts_lengths_where_they_are_known(tmp_path: Path) -> None:
    path = write_sums(tmp_path)
    with open(path, "a") as file:  # noqa: PTH123
        file.write('\n[[rewards]]\nname = "short"\noverlong = { limit = 10, cache = 5 }\n')
    given = columns(rewards.SOURCE + path, 2)
    found = rewards.trl_reward(["it is 4"] * 2, **given, completion_ids=[[1] * 5, [1] * 10])
    assert found == [1.0, 0.0]
