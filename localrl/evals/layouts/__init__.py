"""Layouts: how a row of a dataset becomes a problem, one file each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from localrl.registry import Registry, arguments

if TYPE_CHECKING:
    from localrl.evals.data import Data
    from localrl.evals.rows import Row
    from localrl.sample import Problem


class Layout(Protocol):
    """Where a dataset publishes no answers, a layout has `NO_GOLD = "why"` in place of `gold`.

    What it raises (UsageError, ValueError, TypeError, AttributeError) is reported with the file and the row.
    """

    def problem(self, row: Row, number: int, data: Data) -> Problem:
        """`number` counts the rows from 0, over all files."""

    def gold(self, row: Row, problem: Problem) -> str | None:
        """An answer that `evals check` finds judged correct; None where this row has none."""


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
