"""Names, prompts and replies come from elsewhere: what a terminal would obey in them never reaches it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from rich.segment import Segment
from textual.filter import LineFilter

if TYPE_CHECKING:
    from textual.color import Color

OBEYED = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
"""Control characters, escape sequences among them, and marks that turn the direction of a whole line."""


class SanitiseFilter(LineFilter):
    """Takes them out of every line that is drawn; they had no width."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        if all(text.isprintable() for text, _, _ in segments):
            return segments
        return [Segment(OBEYED.sub("", text), style, control) for text, style, control in segments]
