"""Tables of text, and how Markdown writes them: aligned, so that they also read well in a terminal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Table:
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    text: int = 1
    """So many columns from the left are text, the others numbers."""


def markdown(table: Table) -> str:
    cells = [list(table.header), *[[_cell(cell) for cell in row] for row in table.rows]]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    rule = ["-" * w if i < table.text else "-" * (w - 1) + ":" for i, w in enumerate(widths)]
    lines = [
        [
            c.ljust(w) if i < table.text else c.rjust(w)
            for i, (c, w) in enumerate(zip(row, widths, strict=True))
        ]
        for row in cells
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in (lines[0], rule, *lines[1:]))


def _cell(text: str) -> str:
    """Text that stays inside its cell and cannot become markup of another kind."""
    clean = "".join(c if c.isprintable() else " " for c in text)
    return clean.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("`", "\\`")
