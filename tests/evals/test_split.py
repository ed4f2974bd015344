"""The two parts of an eval share no question and are the whole."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from localrl.errors import UsageError
from localrl.evals import dataset, spec
from tests.scripted import EVAL

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def path(tmp_path: Path) -> str:
    """200 problems, every question twice."""
    rows = [{"id": f"p{i}", "question": f"{i // 2} + 2?", "target": "4"} for i in range(200)]
    (tmp_path / "sums.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "sums.toml").write_text(EVAL)
    return str(tmp_path / "sums.toml")


def test_the_parts_share_no_question_and_are_the_whole(path: str) -> None:
    parts = [list(dataset.problems(*spec.load(f"{path}{part}"))) for part in (":train", ":held-out", "")]
    train, held_out = ({problem.question for problem in part} for part in parts[:2])
    assert not train & held_out
    assert sorted(p.id for p in parts[0] + parts[1]) == sorted(p.id for p in parts[2])
    assert 20 <= len(parts[1]) <= 64  # about a fifth


def test_a_part_is_counted_and_named(path: str) -> None:
    found, where = spec.load(f"{path}:held-out")
    assert found.name == "sums:held-out"
    assert dataset.count(found, where) == len(list(dataset.problems(found, where)))
    assert dataset.count(found, where, 5) == dataset.size(found, where, 5) == 5


def test_a_part_of_generated_problems_is_counted() -> None:
    found, where = spec.load("gym:chain_sum,size=40:train")
    count = dataset.count(found, where)
    assert count == len(list(dataset.problems(found, where)))
    assert 0 < count < 40


def test_another_part_is_no_part() -> None:
    with pytest.raises(UsageError):
        spec.load("starter:heldout")
