"""HumanEval: a function's beginning to complete, unit tests as the target."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from localrl.evals.rows import Row, asked, cell, text
from localrl.sample import Problem

if TYPE_CHECKING:
    from localrl.evals.data import Data


def problem(row: Row, number: int, data: Data) -> Problem:
    question = asked(row, "prompt").strip()
    return Problem(str(cell(row, "task_id")), question, target(row))


def target(row: Row) -> dict[str, Any]:
    return {"kind": "check", **{key: text(row, key) for key in ("prompt", "test", "entry_point")}}


def gold(row: Row, problem: Problem) -> str:
    return f"{cell(row, 'prompt')}{cell(row, 'canonical_solution')}"
