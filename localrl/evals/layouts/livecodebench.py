"""LiveCodeBench: the question in the words of its own prompt, with starter code or for standard input."""

from __future__ import annotations

from typing import TYPE_CHECKING

from localrl.evals.rows import Row, cell
from localrl.sample import Problem
from localrl.verify import code_targets

if TYPE_CHECKING:
    from localrl.evals.data import Data

NO_GOLD = "the dataset holds tests and no solutions"


def problem(row: Row, number: int, data: Data) -> Problem:
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
    return Problem(
        id=str(cell(row, "question_id")),
        question=f"### Question:\n{cell(row, 'question_content')}\n\n### Format: {how}",
        target=code_targets.livecodebench_target(row),
        meta={key: str(row.get(key, "")) for key in ("contest_date", "difficulty", "platform")},
    )
