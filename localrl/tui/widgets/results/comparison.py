"""Runs side by side on the problems that they share: the difference, what each costs, and what flipped."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.content import Content
from textual.widgets import Static

if TYPE_CHECKING:
    from localrl.report.comparison_summary import ComparisonSummary, PairSummary
    from localrl.report.tables import Table

Part = str | tuple[str, str]
FLIPS = 12
NAME = 22


class ComparisonView(Static):
    DEFAULT_CSS = "ComparisonView { height: auto; }"

    def show(self, view: ComparisonSummary) -> None:
        parts: list[Part] = []
        for pair in view.pairs:
            parts += [(f"{pair.verdict}\n", "bold"), *_pair(pair), "\n"]
        if view.budgets:
            parts.append(("at each thinking budget that both have\n", "$secondary"))
            parts += [f"  {' '.join(row[:2])}  {row[2]:>7}  {row[4]}\n" for row in view.budgets.rows]
            parts.append("\n")
        parts += _metrics(view.metrics)
        for title, colour, items in (
            ("differs on purpose?", "$secondary", view.changed),
            ("protocols differ", "$warning", view.warnings),
        ):
            if items:
                parts += [(f"\n{title}\n", colour), *(f"  {item}\n" for item in items)]
        self.update(Content.assemble(*parts))


def _pair(pair: PairSummary) -> list[Part]:
    parts: list[Part] = [(f"  {pair.evidence}\n", "$secondary")]
    for flip in pair.flips[:FLIPS]:
        sign, colour = ("+", "$success") if flip.gained else ("−", "$error")
        parts += [(f"  {sign} ", colour), f"{flip.problem:<28} {flip.baseline} → {flip.other}\n"]
    if len(pair.flips) > FLIPS:
        parts.append((f"  and {len(pair.flips) - FLIPS} more\n", "$secondary"))
    return parts


def _metrics(table: Table) -> list[Part]:
    """A column a run, since a terminal has more rows than columns."""
    (_, *names), *rows = zip(table.header, *table.rows, strict=True)
    # Quantisation and id stand at the end of a name, and tell runs of one model apart.
    names = [name if len(name) <= NAME else "…" + name[1 - NAME :] for name in names]
    widths = [max(12, len(name)) for name in names]
    head = "  ".join(f"{name:>{w}}" for name, w in zip(names, widths, strict=True))
    parts: list[Part] = [(f"{'':<18}{head}\n", "$secondary")]
    for title, *values in rows:
        cells = "  ".join(f"{value:>{w}}" for value, w in zip(values, widths, strict=True))
        parts += [(f"{title:<18}", "$secondary"), f"{cells}\n"]
    return parts
