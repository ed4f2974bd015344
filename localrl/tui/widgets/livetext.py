"""Text that grows: only its last line is wrapped again when more arrives, and only visible lines are drawn.

It follows the end until the person scrolls up, and again once they are back at the end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from rich.segment import Segment
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from localrl.tui.wrapping import Fragment, WrappedText

if TYPE_CHECKING:
    from textual import events


class LiveText(ScrollView, can_focus=True):
    DEFAULT_CSS = """
    LiveText { background: $background; scrollbar-size-vertical: 1; overflow-x: hidden;
        scrollbar-gutter: stable; }
    LiveText > .livetext--faint { color: $secondary; }
    """
    COMPONENT_CLASSES: ClassVar = {"livetext--faint"}

    def __init__(self) -> None:
        super().__init__()
        self._wrapped = WrappedText()
        self.follow = True

    def clear(self) -> None:
        self._wrapped.clear()
        self.follow = True
        self._resized()

    def append(self, fragments: list[Fragment]) -> None:
        """Add text at the end."""
        if fragments:
            first = len(self._wrapped.lines) - 1
            self._wrapped.append(fragments)
            self._resized(first)

    @property
    def text(self) -> str:
        return self._wrapped.text

    def _resized(self, first_changed: int = 0) -> None:
        """Adapt to the number of lines, and draw those that changed."""
        size = Size(self._wrapped.width, len(self._wrapped.lines))
        room = self.scrollable_content_region.height
        if (size.height > room) == (self.virtual_size.height > room):
            # No scrollbar comes or goes; the reactive would lay out the whole screen for every new line.
            self.set_reactive(ScrollView.virtual_size, size)
            self._scroll_update(size)
            self._to_end()
        else:
            self.virtual_size = size
            self.call_after_refresh(self._to_end)
        if first_changed:
            self.refresh_lines(first_changed, size.height - first_changed)
        else:
            self.refresh()

    def _to_end(self) -> None:
        if self.follow:
            # Forced, since the layout that shows the scrollbar may still be to come.
            self.scroll_end(animate=False, immediate=True, force=True)

    def on_resize(self, event: events.Resize) -> None:
        self._wrapped.rewrap(self.scrollable_content_region.width)
        self._resized()

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        self.follow = new_value >= self.max_scroll_y - 1

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        index = y + self.scroll_offset.y
        base = self.rich_style
        if index >= len(self._wrapped.lines):
            return Strip.blank(width, base)
        faint = self.get_component_rich_style("livetext--faint")
        segments = [Segment(text, faint if dim else base) for dim, text in self._wrapped.lines[index]]
        return Strip(segments).adjust_cell_length(width, base)
