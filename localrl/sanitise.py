"""Text from strangers reaches a terminal without anything that the terminal would obey.

Names of models and files, replies, templates, imported runs and errors of servers may hold escape sequences.
So the program's standard streams are wrapped where they are terminals, and what is printed loses them there.
Who draws (a table's bold header, a progress line) cleans the texts in it and writes to `drawing(stream)`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, TextIO, cast

if TYPE_CHECKING:
    from collections.abc import Iterable

OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
"""Control characters (C1 and escape sequences among them) but for tabs and ends of lines, and marks that turn
the direction of a line. Joiners stay: Persian and emoji need them."""


def clean(text: str) -> str:
    return OBEYED.sub("", text)


class Terminal:
    """A terminal's stream that writes clean text only; everything else is the stream's own."""

    def __init__(self, stream: TextIO) -> None:
        self.drawing = stream

    def write(self, text: str) -> int:
        return self.drawing.write(text if text.isascii() and text.isprintable() else clean(text))

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.drawing, name)


def wrapped(stream: TextIO) -> TextIO:
    """The stream itself, or one that sanitises where it is a terminal."""
    return cast("TextIO", Terminal(stream)) if stream.isatty() else stream


def drawing(stream: TextIO) -> TextIO:
    """Where escape sequences of our own may be written."""
    return stream.drawing if isinstance(stream, Terminal) else stream
