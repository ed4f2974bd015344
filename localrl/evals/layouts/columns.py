"""Rows whose columns the definition names: `id`, `question` and `target` under `[data]`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from localrl.evals.rows import Row, asked, cell
from localrl.sample import Problem

if TYPE_CHECKING:
    from localrl.evals.data import Data


def problem(row: Row, number: int, data: Data) -> Problem:
    name = str(cell(row, data.id)) if data.id else str(number)
    target = cell(row, data.target)
    return Problem(name, asked(row, data.question), target)


def gold(row: Row, problem: Problem) -> str:
    """The target, or the first of a list of alternatives."""
    target = problem.target
    first = target[0] if isinstance(target, list) and target else target
    return first if isinstance(first, str) else json.dumps(first)
