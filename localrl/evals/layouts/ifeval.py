"""IFEval: the instructions with their arguments; arguments that a table stores as null are left out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from localrl.evals.rows import Row, asked, cell
from localrl.sample import Problem

if TYPE_CHECKING:
    from localrl.evals.data import Data

NO_GOLD = "the dataset holds instructions and no responses that follow them"


def problem(row: Row, number: int, data: Data) -> Problem:
    arguments = [
        {key: value for key, value in (given or {}).items() if value is not None}
        for given in cell(row, "kwargs")
    ]
    prompt = asked(row, "prompt")
    target = {"prompt": prompt, "instructions": list(cell(row, "instruction_id_list")), "kwargs": arguments}
    return Problem(str(row.get("key", number)), prompt, target)
