"""One cell a sample, coloured by its verdict; a row of k cells a problem, several problems side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.binding import Binding
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

from localrl.tui.symbols import CODES

if TYPE_CHECKING:
    from textual import events

    from localrl.tui.work.run_state import ProblemRow, RunState, SampleKey

LABEL = 5
GAP = 2


class SampleGrid(ScrollView, can_focus=True):
    """Shows a run's samples; draws only what is visible, so 100,000 cost no more than 1,000."""

    DEFAULT_CSS = """
    SampleGrid { background: $background; scrollbar-size-vertical: 1; overflow-x: hidden; }
    """
    BINDINGS: ClassVar = [
        Binding("left", "move(-1, 0)", "Left", show=False),
        Binding("right", "move(1, 0)", "Right", show=False),
        Binding("up", "move(0, -1)", "Up", show=False),
        Binding("down", "move(0, 1)", "Down", show=False),
        Binding("home", "jump(0)", "First", show=False),
        Binding("end", "jump(-1)", "Last", show=False),
    ]
    cursor: reactive[int] = reactive(0)
    """The cell under the cursor, counted over all rows."""

    class Chosen(Message):
        def __init__(self, key: SampleKey) -> None:
            super().__init__()
            self.key = key

    def __init__(self) -> None:
        super().__init__()
        self._run_state: RunState | None = None
        self._version = -1
        self._styles: list[Style] = []

    def show(self, run_state: RunState | None) -> None:
        self._run_state, self._version = run_state, -1
        self.cursor = 0
        self.update_cells()

    def update_cells(self) -> None:
        """Draw again if a cell has changed."""
        version = self._run_state.version if self._run_state else -2
        if version != self._version:
            self._version = version
            self._lay_out()
            self.refresh()

    # -- where things are

    @property
    def _rows(self) -> list[ProblemRow]:
        return self._run_state.rows if self._run_state else []

    @property
    def _k(self) -> int:
        return max((len(row.cells) for row in self._rows[:1]), default=1)

    @property
    def _flat(self) -> bool:
        """With one sample a problem, cells follow each other without labels."""
        return self._run_state is not None and all(part.samples == 1 for part in self._run_state.plan.evals)

    def _columns(self) -> int:
        """Problems beside each other in one line."""
        width = max(1, self.size.width - 1)
        if self._flat:
            return max(1, width // 2)
        return max(1, (width + GAP) // (self._block() + GAP))

    def _block(self) -> int:
        """Columns that one problem takes: label, cells, correct of judged."""
        k = max((part.samples for part in self._run_state.plan.evals), default=1) if self._run_state else 1
        return LABEL + k + 1 + len(f"{k}/{k}")

    def _lay_out(self) -> None:
        self._styles = [self._style_of(symbol.colour) for symbol in CODES]
        lines = -(-len(self._rows) // self._columns())
        self.virtual_size = Size(self.size.width, lines)

    def _style_of(self, variable: str) -> Style:
        return Style(color=self.app.theme_variables.get(variable, "white")[:7])

    def on_resize(self, _: events.Resize) -> None:
        self._lay_out()

    # -- drawing

    def render_line(self, y: int) -> Strip:
        width, line = self.size.width, y + self.scroll_offset.y
        base = self.rich_style
        if not self._styles:
            return Strip.blank(width, base)
        columns = self._columns()
        rows = self._rows[line * columns : (line + 1) * columns]
        at_row, at_cell = self._cursor_cell()
        segments: list[Segment] = []
        for i, row in enumerate(rows):
            number = line * columns + i
            cell = at_cell if number == at_row and self.has_focus else -1
            if self._flat:
                segments += [self._cell(row.cells[0], cell == 0, base), Segment(" ", base)]
            else:
                segments += self._block_of(row, number, cell, base)
        return Strip(segments).adjust_cell_length(width, base)

    def _block_of(self, row: ProblemRow, number: int, cursor: int, base: Style) -> list[Segment]:
        faint = self._styles[-1]
        done, correct = row.judged
        segments = [Segment(f"{number + 1:>{LABEL - 1}} ", base + faint)]
        segments += [self._cell(code, i == cursor, base) for i, code in enumerate(row.cells)]
        counts = f" {correct}/{done}" if done else ""
        room = self._block() - LABEL - len(row.cells) + GAP
        return [*segments, Segment(f"{counts:<{room}}", base + faint)]

    def _cell(self, code: int, under_cursor: bool, base: Style) -> Segment:
        style = base + self._styles[code]
        return Segment(CODES[code].sign, style + Style(reverse=True) if under_cursor else style)

    # -- the cursor

    def _cursor_cell(self) -> tuple[int, int]:
        """(row, cell) of the cursor; rows of another eval may have fewer cells."""
        row, cell = divmod(self.cursor, self._k)
        return row, cell

    def _last(self) -> int:
        return max(0, len(self._rows) * self._k - 1)

    def action_move(self, x: int, y: int) -> None:
        step = x if x else y * self._columns() * self._k
        if 0 <= self.cursor + step <= self._last():
            self.cursor += step

    def action_jump(self, to: int) -> None:
        self.cursor = 0 if to == 0 else self._last()

    def watch_cursor(self) -> None:
        line = self._cursor_cell()[0] // self._columns()
        self.scroll_to_region(Region(0, line, 1, 1), animate=False)
        self.refresh()

    def key_at_cursor(self) -> SampleKey | None:
        """The sample under the cursor."""
        row, cell = self._cursor_cell()
        if row >= len(self._rows):
            return None
        found = self._rows[row]
        return found.eval, found.problem, min(cell, len(found.cells) - 1)

    def on_click(self, event: events.Click) -> None:
        line, x = event.y + self.scroll_offset.y, event.x
        columns = self._columns()
        column, cell = (x // 2, 0) if self._flat else divmod(x, self._block() + GAP)
        if not self._flat:
            cell -= LABEL
        row = line * columns + column
        if column < columns and 0 <= cell < self._k and row < len(self._rows):
            self.cursor = row * self._k + cell
            if key := self.key_at_cursor():
                self.post_message(self.Chosen(key))
