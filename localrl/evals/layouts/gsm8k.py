"""GSM8K: the gold answer follows `####`, thousands commas removed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from localrl.evals.rows import Row, asked
from localrl.sample import Problem

if TYPE_CHECKING:
    from localrl.evals.data import Data


def problem(row: Row, number: int, data: Data) -> Problem:
    target = asked(row, "answer").rpartition("####")[2].strip().replace(",", "")
    return Problem(str(number), asked(row, "question"), target)


def gold(row: Row, problem: Problem) -> str:
    return str(problem.target)
