"""The end of a growing reply as plain text; it takes room a few lines at a time.

Every change of height lays the whole conversation out again, the dearest thing that this screen does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.segment import Segment
from textual.strip import Strip
from textual.widget import Widget

from localrl.tui.wrapped import Wrapped

if TYPE_CHECKING:
    from textual import events

STEP = 4
"""Lines by which it grows."""


class Tail(Widget):
    DEFAULT_CSS = """
    Tail { height: 0; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._wrapped = Wrapped()
        self._whole = ""

    def show(self, text: str) -> None:
        """Show a text, which mostly begins with the one shown before."""
        if text == self._whole:
            return
        if not text.startswith(self._whole):
            self._wrapped.clear()
            self._whole = ""
        self._wrapped.append([(False, text[len(self._whole) :])])
        self._whole = text
        self._fit()

    def _fit(self) -> None:
        lines = len(self._wrapped.lines) if self._whole else 0
        height = -(-lines // STEP) * STEP
        if self.styles.height is None or self.styles.height.value != height:
            self.styles.height = height
        self.refresh()

    def on_resize(self, _: events.Resize) -> None:
        self._wrapped.rewrap(self.size.width)
        self._fit()

    def render_line(self, y: int) -> Strip:
        base = self.rich_style
        lines = self._wrapped.lines
        segments = [Segment(text, base) for _, text in lines[y]] if y < len(lines) else []
        return Strip(segments).adjust_cell_length(self.size.width, base)
