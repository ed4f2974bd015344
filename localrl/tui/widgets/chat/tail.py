"""The end of a growing reply as plain text.

Each change of its height lays out the whole conversation, so it grows by half a second's lines at a time.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

from rich.segment import Segment
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from localrl.tui.wrapping import WrappedText

if TYPE_CHECKING:
    from textual import events

GROWS_EVERY_S = 0.5
LEAST, MOST = 2, 10
"""Lines by which it grows; few for slow text, to leave little empty space below."""


class Tail(Widget):
    DEFAULT_CSS = """
    Tail { height: 0; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._wrapped = WrappedText()
        self._whole = ""
        self._height = 0
        self._lines = 0
        """Those there were when it last grew."""
        self._grew = time.monotonic()
        self._rate = 0.0
        """Lines a second."""

    def show(self, text: str) -> None:
        """Show a text; one that extends the previous text is cheap."""
        if text == self._whole:
            return
        if not text.startswith(self._whole):
            self._wrapped.clear()
            self._whole = ""
        changed = len(self._wrapped.lines) - 1 if self._whole else 0
        self._wrapped.append([(False, text[len(self._whole) :])])
        self._whole = text
        self._fit(changed)

    def _fit(self, changed: int = 0) -> None:
        """Adapt the height, and draw from the first changed line."""
        lines = len(self._wrapped.lines) if self._whole else 0
        if not self._height - MOST < lines <= self._height or not lines:
            self._grow(lines)
        if changed:
            self.refresh(Region(0, changed, self.size.width, lines - changed))
        else:
            self.refresh()

    def _grow(self, lines: int) -> None:
        now = time.monotonic()
        if lines > self._lines:  # shrinking, when text became Markdown, says nothing of the speed
            self._rate = (lines - self._lines) / max(now - self._grew, GROWS_EVERY_S / MOST)
        self._lines, self._grew = lines, now
        height = lines + min(MOST, max(LEAST, math.ceil(GROWS_EVERY_S * self._rate))) - 1 if lines else 0
        if height != self._height:
            self._height = height
            self.styles.height = height

    def on_resize(self, _: events.Resize) -> None:
        self._wrapped.rewrap(self.size.width)
        self._fit()

    def render_line(self, y: int) -> Strip:
        base = self.rich_style
        lines = self._wrapped.lines
        segments = [Segment(text, base) for _, text in lines[y]] if y < len(lines) else []
        return Strip(segments).adjust_cell_length(self.size.width, base)
