"""Accuracy over thinking budgets while a run grows: a bar and a number for each budget, on a line or two."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.content import Content

from localrl import formats

if TYPE_CHECKING:
    from collections.abc import Sequence

BARS = "▁▂▃▄▅▆▇█"
OWN = "no limit"
GAP = 2


def lines(points: Sequence[tuple[int | None, float | None]], width: int) -> list[Content]:
    """The curve in as many lines as it needs.

    Args:
        points: thinking budgets and their accuracies in [0, 1], None where nothing is known yet; the budget
            None stands for samples that think as long as they want.
    """
    title = "thinking "
    found: list[list[str | tuple[str, str]]] = [[(title, "$secondary")]]
    used = len(title)
    for budget, share in points:
        name, value = _name(budget), formats.percent(share).removesuffix(" %")
        bar = " " if share is None else BARS[min(7, int(share * 8))]
        length = len(f"{name} {bar} {value}")
        if used + length > width and used > len(title):
            found.append([" " * len(title)])
            used = len(title)
        found[-1] += [(f"{name} ", "$secondary"), (bar, "$primary"), f" {value}{' ' * GAP}"]
        used += length + GAP
    return [Content.assemble(*parts) for parts in found]


def _name(budget: int | None) -> str:
    """`512`, `4k` for 4096, `no limit`."""
    if budget is None:
        return OWN
    return f"{budget // 1024}k" if budget % 1024 == 0 else f"{budget:,}"
