"""Text of strangers (names, prompts, replies) is drawn without control characters."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.segment import Segment
from textual.filter import LineFilter

from localrl.sanitise import clean

if TYPE_CHECKING:
    from textual.color import Color


_LINE_ENDS = {ord(end): None for end in "\t\n"}


class SanitiseFilter(LineFilter):
    """Removes them from every line that is drawn; they have no width."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        if all(text.isprintable() for text, _, _ in segments):
            return segments
        return [
            Segment(clean(text).translate(_LINE_ENDS), style, control) for text, style, control in segments
        ]
