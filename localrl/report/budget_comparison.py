"""Two runs at each thinking budget that both have, problem by problem."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from localrl import formats, stats
from localrl.report.tables import Table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from localrl.report.comparison import RunPair

BudgetCounts = dict[str, dict[int, dict[str, tuple[int, int]]]]
"""Judged samples and correct ones by eval, budget and problem."""


@dataclass(frozen=True, slots=True)
class BudgetDifference:
    budget: int
    problems: int
    """Those that both runs answered at this budget."""
    difference: stats.Interval
    """The run's accuracy minus the baseline's."""


def differences(
    run: Mapping[int, Mapping[str, tuple[int, int]]],
    baseline: Mapping[int, Mapping[str, tuple[int, int]]],
    level: float,
) -> tuple[BudgetDifference, ...]:
    """One for each budget at which the runs share two problems, ascending."""
    found = []
    for budget in sorted(run.keys() & baseline.keys()):
        shared = [problem for problem in baseline[budget] if problem in run[budget]]
        n, c = zip(*(run[budget][problem] for problem in shared), strict=True) if shared else ((), ())
        n0, c0 = zip(*(baseline[budget][problem] for problem in shared), strict=True) if shared else ((), ())
        difference = stats.paired_gain(n, c, n0, c0, level)
        if difference is not None:
            found.append(BudgetDifference(budget, len(shared), difference))
    return tuple(found)


def table(pairs: Sequence[RunPair]) -> Table | None:
    """A row for each run, eval and budget; None where no budget is shared."""
    rows = [
        [
            pair.eval,
            pair.run,
            f"{at.budget:,}",
            str(at.problems),
            formats.difference(at.difference.value, at.difference.low, at.difference.high),
        ]
        for pair in pairs
        for at in pair.budgets
    ]
    return Table(["eval", "run", "thinking tokens", "problems", "difference"], rows, text=2) if rows else None
