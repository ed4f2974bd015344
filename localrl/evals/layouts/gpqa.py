"""GPQA: four options in an order that the question's hash fixes.

In the data the right option always comes first. `meta.permutation[i]` is the column (0 the right one) that
stands at letter i.
"""

from __future__ import annotations

import hashlib
import random
from typing import TYPE_CHECKING

from localrl.evals.rows import Row, asked
from localrl.sample import Problem

if TYPE_CHECKING:
    from localrl.evals.data import Data

_LETTERS = "ABCD"


def problem(row: Row, number: int, data: Data) -> Problem:
    question = asked(row, "Question").strip()
    wrong = [asked(row, f"Incorrect Answer {n}").strip() for n in (1, 2, 3)]
    options = [asked(row, "Correct Answer").strip(), *wrong]
    key = hashlib.sha256(question.encode()).hexdigest()
    permutation = list(range(4))
    random.Random(key).shuffle(permutation)
    listed = "\n".join(f"{letter}) {options[i]}" for letter, i in zip(_LETTERS, permutation, strict=True))
    return Problem(
        id=str(row.get("Record ID") or key[:16]),
        question=f"{question}\n\n{listed}",
        target={
            "answer": _LETTERS[permutation.index(0)],
            "options": [options[i] for i in permutation],
        },
        meta={"permutation": permutation},
    )


def gold(row: Row, problem: Problem) -> str:
    return str(problem.target["answer"])
