"""A table of any length: rows are formatted when they are drawn, so 100,000 of them scroll like ten."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, NamedTuple

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual.binding import Binding
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from textual import events


class Column(NamedTuple):
    title: str
    width: int
    """0 takes the room that is left."""
    right: bool = False
    least: int = 0
    """How wide the table must be to show it."""


Cell = tuple[str, str]
"""(text, a variable of the theme, or nothing)"""


class VirtualTable(ScrollView, can_focus=True):
    DEFAULT_CSS = """
    VirtualTable { background: $background; scrollbar-size-vertical: 1; overflow-x: hidden; }
    VirtualTable > .table--header { color: $secondary; }
    VirtualTable > .table--cursor { background: $block-cursor-background; }
    VirtualTable > .table--cursor-blurred { background: $block-cursor-blurred-background; }
    """
    COMPONENT_CLASSES: ClassVar = {"table--header", "table--cursor", "table--cursor-blurred"}
    BINDINGS: ClassVar = [
        Binding("up,k", "move(-1)", "Up", show=False),
        Binding("down,j", "move(1)", "Down", show=False),
        Binding("pageup", "page(-1)", "Page up", show=False),
        Binding("pagedown", "page(1)", "Page down", show=False),
        Binding("home", "jump(0)", "First", show=False),
        Binding("end", "jump(-1)", "Last", show=False),
        Binding("enter", "select", "Open", show=False),
    ]
    cursor: reactive[int] = reactive(0)

    class Highlighted(Message):
        def __init__(self, table: VirtualTable, row: int) -> None:
            super().__init__()
            self.table, self.row = table, row

        @property
        def control(self) -> VirtualTable:
            return self.table

    class Selected(Highlighted):
        pass

    def __init__(self, columns: Sequence[Column], cells: Callable[[Any], list[Cell]], **kwargs: Any) -> None:
        """
        Args:
            cells: makes the cells of one row from whatever a row is.
        """
        super().__init__(**kwargs)
        self._columns, self._cells = columns, cells
        self.rows: Sequence[Any] = []

    def show(self, rows: Sequence[Any], *, keep_cursor: bool = False) -> None:
        self.rows = rows
        self.virtual_size = Size(self.size.width, len(rows) + 1)
        cursor = min(self.cursor, max(0, len(rows) - 1)) if keep_cursor else 0
        if cursor == self.cursor:
            self._moved()
        self.cursor = cursor
        self.refresh()

    @property
    def current(self) -> Any:
        """What the cursor is on, or None."""
        return self.rows[self.cursor] if self.cursor < len(self.rows) else None

    def on_resize(self, _: events.Resize) -> None:
        self.virtual_size = Size(self.size.width, len(self.rows) + 1)

    # -- drawing

    def _widths(self) -> list[int]:
        """Of each column; -1 for one that has no room."""
        shown = [c for c in self._columns if self.size.width >= c.least]
        room = self.size.width - 2 - sum(c.width for c in shown) - 2 * (len(shown) - 1)
        return [(c.width or max(6, room)) if c in shown else -1 for c in self._columns]

    def render_line(self, y: int) -> Strip:
        width, base = self.size.width, self.rich_style
        if y == 0:  # the head stays
            style = self.get_component_rich_style("table--header")
            cells = [(column.title, "") for column in self._columns]
            return self._line(cells, base + style).adjust_cell_length(width, base)
        index = y - 1 + self.scroll_offset.y
        if index >= len(self.rows):
            return Strip.blank(width, base)
        style = base
        if index == self.cursor:
            name = "table--cursor" if self.has_focus else "table--cursor-blurred"
            style = base + self.get_component_rich_style(name)
        return self._line(self._cells(self.rows[index]), style).adjust_cell_length(width, style)

    def _line(self, cells: list[Cell], style: Style) -> Strip:
        variables = self.app.theme_variables
        segments = []
        for column, width, (text, colour) in zip(self._columns, self._widths(), cells, strict=True):
            if width < 0:
                continue
            used = cell_len(text)
            if used > width:
                text, used = set_cell_size(text, width - 1) + "…", width
            room = " " * (width - used)
            shown = room + text if column.right else text + room
            own = style + Style(color=variables[colour][:7]) if colour else style
            segments += [Segment(shown, own), Segment("  ", style)]
        return Strip(segments[:-1])

    # -- the cursor

    def action_move(self, step: int) -> None:
        self._go(self.cursor + step)

    def action_page(self, step: int) -> None:
        self._go(self.cursor + step * max(1, self.size.height - 2))

    def action_jump(self, to: int) -> None:
        self._go(0 if to == 0 else len(self.rows) - 1)

    def action_select(self) -> None:
        if self.current is not None:
            self.post_message(self.Selected(self, self.cursor))

    def _go(self, row: int) -> None:
        self.cursor = max(0, min(row, len(self.rows) - 1))

    def watch_cursor(self) -> None:
        # The head covers the first line: ask for one line more above.
        self.scroll_to_region(Region(0, self.cursor, 1, 2), animate=False, force=True)
        self.refresh()
        self._moved()

    def _moved(self) -> None:
        if self.current is not None:
            self.post_message(self.Highlighted(self, self.cursor))

    def on_click(self, event: events.Click) -> None:
        row = event.y - 1 + self.scroll_offset.y
        if event.y > 0 and row < len(self.rows):
            again = row == self.cursor
            self.cursor = row
            if again:
                self.action_select()
