"""Tables of text, and how Markdown and spreadsheets take what others wrote.

Markdown tables are aligned, so that they also read well in a terminal.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from localrl import jsontext

if TYPE_CHECKING:
    from collections.abc import Sequence


_CALLING = re.compile(r"((?:(?:\w+:)?//|www\.|mailto:|xmpp:)[^\s<>`|\\]+|[\w.+-]*@[\w.-]+)", re.IGNORECASE)
"""What GitHub's Markdown makes a link of by itself: addresses, and people's names."""
_MARKUP = re.compile(r"[\\`\[]|&(?=#?\w+;)|~(?=~)")
"""Escapes, code, links and images, characters by their number, fences and strikethrough."""


@dataclass(frozen=True, slots=True)
class Table:
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    text: int = 1
    """So many columns from the left are text, the others numbers."""


def markdown(table: Table) -> str:
    cells = [[escaped(cell).replace("|", "\\|") for cell in row] for row in (table.header, *table.rows)]
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


def escaped(text: str) -> str:
    """Text of anybody's on one line of Markdown: it makes no link, no image and no tag, and calls nobody."""
    parts = _CALLING.split(on_one_line(text))  # every second part matched
    return "".join(
        f"`{part}`" if i % 2 else _MARKUP.sub(r"\\\g<0>", part) for i, part in enumerate(parts)
    ).replace("<", "&lt;")


def on_one_line(text: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def formula_free(value: Any) -> Any:
    """A cell that no spreadsheet runs as a formula: one that looks like it gets a leading apostrophe."""
    if value is None or isinstance(value, (int, float)):
        return value
    text = value if isinstance(value, str) else jsontext.dumps(value)
    try:
        float(text)
    except ValueError:
        return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text
    return text
