"""How rows of the published datasets become problems, one function a layout."""

from __future__ import annotations

import hashlib
import json
import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from localrl.errors import UsageError, nearest
from localrl.verify import code_targets

if TYPE_CHECKING:
    from collections.abc import Callable

    from localrl.evals.rows import Row
    from localrl.evals.sources import Data

LETTERS = "ABCD"


@dataclass(frozen=True, slots=True)
class Asked:
    """A row as question and target."""

    id: str
    question: str
    target: Any
    meta: dict[str, Any] = field(default_factory=dict)


def columns(row: Row, number: int, data: Data) -> Asked:
    """The columns that the definition names."""
    name = str(cell(row, data.id)) if data.id else str(number)
    target = cell(row, data.target)
    return Asked(name, str(cell(row, data.question)), target)


def gsm8k(row: Row, number: int, data: Data) -> Asked:
    """The gold answer follows `####`, thousands commas removed."""
    gold = str(cell(row, "answer")).rpartition("####")[2].strip().replace(",", "")
    return Asked(str(number), str(cell(row, "question")), gold)


def gpqa(row: Row, number: int, data: Data) -> Asked:
    """Four options in an order that the question's hash fixes; `meta.permutation` says how they were dealt.

    In the data the right option always comes first. `permutation[i]` is the column (0 the right one) that
    stands at letter i.
    """
    question = str(cell(row, "Question")).strip()
    wrong = [str(cell(row, f"Incorrect Answer {n}")).strip() for n in (1, 2, 3)]
    options = [str(cell(row, "Correct Answer")).strip(), *wrong]
    key = hashlib.sha256(question.encode()).hexdigest()
    permutation = list(range(4))
    random.Random(key).shuffle(permutation)
    listed = "\n".join(f"{letter}) {options[i]}" for letter, i in zip(LETTERS, permutation, strict=True))
    return Asked(
        id=str(row.get("Record ID") or key[:16]),
        question=f"{question}\n\n{listed}",
        target={
            "answer": LETTERS[permutation.index(0)],
            "options": [options[i] for i in permutation],
        },
        meta={"permutation": permutation},
    )


def ifeval(row: Row, number: int, data: Data) -> Asked:
    """The instructions with their arguments; arguments that a table stores as null are left out."""
    arguments = [
        {key: value for key, value in (given or {}).items() if value is not None}
        for given in cell(row, "kwargs")
    ]
    prompt = str(cell(row, "prompt"))
    target = {"prompt": prompt, "instructions": list(cell(row, "instruction_id_list")), "kwargs": arguments}
    return Asked(str(row.get("key", number)), prompt, target)


def humaneval(row: Row, number: int, data: Data) -> Asked:
    return Asked(
        str(cell(row, "task_id")), str(cell(row, "prompt")).strip(), code_targets.humaneval_target(row)
    )


def livecodebench(row: Row, number: int, data: Data) -> Asked:
    """The question in the words of LiveCodeBench's own prompt, with starter code or for standard input."""
    starter = str(row.get("starter_code") or "").strip()
    if starter:
        how = (
            "You will use the following starter code to write the solution to the problem and enclose your "
            f"code within delimiters.\n```python\n{starter}\n```"
        )
    else:
        how = (
            "Read the inputs from stdin solve the problem and write the answer to stdout (do not directly "
            "test on the sample inputs). Enclose your code within delimiters as follows. Ensure that when "
            "the python program runs, it reads the inputs, runs the algorithm and writes output to "
            "STDOUT.\n```python\n# YOUR CODE HERE\n```"
        )
    return Asked(
        id=str(cell(row, "question_id")),
        question=f"### Question:\n{cell(row, 'question_content')}\n\n### Format: {how}",
        target=code_targets.livecodebench_target(row),
        meta={key: str(row.get(key, "")) for key in ("contest_date", "difficulty", "platform")},
    )


LAYOUTS: dict[str, Callable[[Row, int, Data], Asked]] = {
    "columns": columns,
    "gsm8k": gsm8k,
    "gpqa": gpqa,
    "ifeval": ifeval,
    "humaneval": humaneval,
    "livecodebench": livecodebench,
}


def cell(row: Row, column: str) -> Any:
    """A column's value.

    Raises:
        UsageError: the row has no such column; names the nearest.
    """
    if column not in row:
        raise UsageError(f"a row has no column {column!r}", hint=nearest(column, map(str, row)))
    return row[column]


def gold(data: Data, row: Row, target: Any) -> str | None:
    """An answer that has to be judged correct; None where none is published."""
    if data.layout == "humaneval":
        return f"{cell(row, 'prompt')}{cell(row, 'canonical_solution')}"
    if data.layout == "gpqa":
        return str(target["answer"])
    if data.layout in ("ifeval", "livecodebench"):
        return None
    first = target[0] if isinstance(target, list) and target else target
    return first if isinstance(first, str) else json.dumps(first)
