"""HumanEval: a function's beginning to complete, unit tests as the target."""

from __future__ import annotations

from typing import TYPE_CHECKING

from localrl.evals.rows import Row, cell
from localrl.sample import Problem
from localrl.verify import code_targets

if TYPE_CHECKING:
    from localrl.evals.data import Data


def problem(row: Row, number: int, data: Data) -> Problem:
    question = str(cell(row, "prompt")).strip()
    return Problem(str(cell(row, "task_id")), question, code_targets.humaneval_target(row))


def gold(row: Row, problem: Problem) -> str:
    return f"{cell(row, 'prompt')}{cell(row, 'canonical_solution')}"
