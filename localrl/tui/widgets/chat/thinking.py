"""A reply's thinking in a fold, with its time and tokens: open while it thinks, then closed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.containers import Vertical
from textual.widgets import Static

from localrl.formats import duration
from localrl.tui.widgets.livetext import LiveText

if TYPE_CHECKING:
    from textual.app import ComposeResult

MOST_LINES = 12


class Thinking(Vertical):
    DEFAULT_CSS = """
    Thinking { height: auto; margin: 0 0 1 0; }
    Thinking Static { color: $secondary; height: 1; }
    Thinking Static:hover { color: $primary; }
    Thinking LiveText { height: 1; margin-left: 2; }
    """

    def __init__(self, text: str = "", seconds: float | None = None, tokens: int = 0) -> None:
        super().__init__()
        self._text, self._seconds, self._tokens = text, seconds, tokens
        self.open = False

    def compose(self) -> ComposeResult:
        yield Static(self._title(), markup=False)
        yield LiveText()

    def on_mount(self) -> None:
        self._apply()

    def append(self, text: str) -> None:
        """Add text; a closed fold does not draw it."""
        self._text += text
        if self.open:
            self._fill(text)

    def show_metrics(self, seconds: float | None, tokens: int) -> None:
        self._seconds, self._tokens = seconds, tokens
        self.query_one(Static).update(self._title(), layout=False)

    def fold(self, *, open_it: bool) -> None:
        if open_it != self.open:
            self.open = open_it
            self._apply()

    def toggle(self) -> None:
        self.fold(open_it=not self.open)

    def _title(self) -> str:
        tokens = f" · {self._tokens:,} tokens" if self._tokens else ""
        time = duration(self._seconds) if self._seconds else ""
        return f"{'▾' if self.open else '▸'} thinking {time}{tokens}"

    def _apply(self) -> None:
        text = self.query_one(LiveText)
        text.display = self.open
        text.clear()
        if self.open:
            self._fill(self._text)
        self.query_one(Static).update(self._title())

    def _fill(self, text: str) -> None:
        lines = self.query_one(LiveText)
        lines.append([(True, text)])
        height = min(MOST_LINES, max(1, lines.virtual_size.height))
        if lines.styles.height is None or lines.styles.height.value != height:
            lines.styles.height = height

    def on_click(self) -> None:
        self.toggle()
