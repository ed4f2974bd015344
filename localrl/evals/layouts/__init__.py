"""Layouts: how a row of a dataset becomes a problem, one file each.

A layout is a module with two functions:

    def problem(row: Row, number: int, data: Data) -> Problem    # `number` counts rows from 0
    def gold(row: Row, problem: Problem) -> str | None           # an answer that has to be judged correct

`evals check` judges the golds. Where a dataset publishes no answers, `NO_GOLD = "why"` stands for `gold`.
What either raises (UsageError, ValueError, TypeError, AttributeError) is reported with the file and the row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from localrl.registry import Registry, arguments

if TYPE_CHECKING:
    from localrl.evals.data import Data
    from localrl.evals.rows import Row
    from localrl.sample import Problem


class Layout(Protocol):
    def problem(self, row: Row, number: int, data: Data) -> Problem: ...

    def gold(self, row: Row, problem: Problem) -> str | None: ...


def _wrong(layout: Layout) -> str:
    golds, why = hasattr(layout, "gold"), getattr(layout, "NO_GOLD", "")
    if golds == bool(why):
        return (
            "has no gold(row, problem); where none are published, NO_GOLD says why"
            if not golds
            else ("has both gold and NO_GOLD")
        )
    return arguments(layout, "problem", 3) or (arguments(layout, "gold", 2) if golds else "")


LAYOUTS = Registry[Layout](
    "layout",
    "localrl.evals.layouts",
    "localrl.layouts",
    {"problem": "problem(row, number, data) -> Problem"},
    _wrong,
)
