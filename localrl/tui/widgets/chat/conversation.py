"""A conversation from its end: earlier messages are added as the person scrolls up to them.

Layout costs grow with the messages on the screen: 300 froze it for seconds. Messages far below the viewport
are not laid out until the person scrolls down again.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from textual.containers import VerticalScroll
from textual.widgets import Static

from localrl.tui.widgets.chat.message import ReplyView, UserMessage

if TYPE_CHECKING:
    from textual.widget import Widget

    from localrl.store.chats import ChatMessage

FEW, MOST = 12, 24
"""Messages shown at first and added each time, and the most that are laid out."""


class Earlier(Static):
    DEFAULT_CSS = """
    Earlier { color: $secondary; width: 100%; text-align: center; margin: 1 0 0 0; }
    Earlier:hover { color: $primary; }
    """

    def on_click(self) -> None:
        if isinstance(self.parent, ConversationView):
            self.parent.show_earlier()


class ConversationView(VerticalScroll):
    DEFAULT_CSS = """
    ConversationView { height: 1fr; padding: 0 1; background: $background; scrollbar-size-vertical: 1;
        scrollbar-gutter: stable; }
    """

    def __init__(self) -> None:
        super().__init__(id="messages")
        self._earlier: list[ChatMessage] = []
        """Messages before the first one on the screen."""
        self._opened = 0
        self._changing = asyncio.Lock()
        """Held while messages are added or removed: by keys, by the timer and by scrolling."""

    async def open(self, messages: list[ChatMessage]) -> bool:
        """Show the end of a conversation in the place of what is shown; False if another took its place."""
        self._opened += 1
        opened = self._opened
        async with self._changing:
            await self.remove_children()
            self._earlier = list(messages[:-FEW])
            await self._mount_earlier()
            for message in messages[-FEW:]:
                if opened != self._opened:
                    return False
                await self.mount(_view(message))  # one after the other: keys have their turn in between
        self.scroll_end(animate=False)
        return opened == self._opened

    async def trim(self) -> None:
        """Remove the first messages from a full screen, and show its end."""
        async with self._changing:
            shown = [view for view in self.children if _message(view)]
            await self._take_off(shown[: len(shown) - FEW] if len(shown) > MOST else [])
            for view in shown:
                view.display = True

    async def _take_off(self, first: list[Widget]) -> None:
        if first:
            self._earlier += [message for view in first if (message := _message(view))]
            before = list(self.children).index(first[-1])
            await self.remove_children(list(self.children)[: before + 1])
            await self._mount_earlier()

    def anchored(self, wanted: bool) -> bool:
        """Stay at the end while a reply grows, within the same frame.

        Textual's anchor puts content shorter than the screen at its bottom, so only where there is far more.
        """
        wanted = wanted and self.max_scroll_y > 2 * self.size.height
        if wanted != self.is_anchored:
            self.anchor(wanted)
        return wanted

    def to_end(self) -> None:
        """Show the end, whatever is shown now."""
        if self._later:
            self.run_worker(self._go_to_end())
        self.scroll_end(animate=False)

    async def _go_to_end(self) -> None:
        await self.trim()
        self.scroll_end(animate=False)

    def show_earlier(self) -> None:
        if self._earlier and not self._changing.locked():
            self.run_worker(self._show_earlier(self._opened))

    async def _show_earlier(self, opened: int) -> None:
        async with self._changing:
            if opened != self._opened or not self._earlier:
                return
            more, self._earlier = self._earlier[-FEW:], self._earlier[:-FEW]
            await self.query(Earlier).remove()
            first = self.children[0]
            for one in reversed(more):
                await self.mount(_view(one), before=0)
                if opened != self._opened:
                    return
            await self._mount_earlier()
            if _message(self.children[-1]):  # no reply is under way
                for view in [view for view in self.children if view.display and _message(view)][MOST:]:
                    view.display = False
        self.call_after_refresh(self.scroll_to_widget, first, animate=False, top=True)

    @property
    def _later(self) -> list[Widget]:
        """Messages below those that are laid out."""
        return [view for view in self.children if not view.display]

    async def _show_later(self) -> None:
        async with self._changing:
            more = self._later[:FEW]
            for view in more:
                view.display = True
            shown = [view for view in self.children if view.display and _message(view)]
            await self._take_off(shown[:-MOST])
        if more:
            self.call_after_refresh(self.scroll_to_widget, more[0], animate=False)

    async def _mount_earlier(self) -> None:
        await self.query(Earlier).remove()
        if self._earlier:
            text = f"▴ {len(self._earlier):,} earlier messages: scroll up for more"
            await self.mount(Earlier(text, markup=False), before=0)

    def last_exchange(self) -> list[Widget]:
        """What is shown of the last message and of its reply."""
        shown = list(self.children)
        asked = [i for i, view in enumerate(shown) if isinstance(view, UserMessage)]
        return shown[asked[-1] :] if asked else shown

    # -- scrolling beyond the messages on the screen

    def action_scroll_up(self) -> None:
        self._at_top()
        super().action_scroll_up()

    def action_page_up(self) -> None:
        self._at_top()
        super().action_page_up()

    def action_scroll_home(self) -> None:
        self._at_top()
        super().action_scroll_home()

    def on_mouse_scroll_up(self) -> None:
        self._at_top()

    def action_scroll_down(self) -> None:
        self._at_bottom()
        super().action_scroll_down()

    def action_page_down(self) -> None:
        self._at_bottom()
        super().action_page_down()

    def action_scroll_end(self) -> None:
        self.to_end()

    def on_mouse_scroll_down(self) -> None:
        self._at_bottom()

    def _at_bottom(self) -> None:
        if self.is_vertical_scroll_end and self._later and not self._changing.locked():
            self.run_worker(self._show_later())

    def _at_top(self) -> None:
        if self.scroll_y <= 0:
            self.show_earlier()


def _view(message: ChatMessage) -> UserMessage | ReplyView:
    return UserMessage(message.text, message) if message.role == "user" else ReplyView(message)


def _message(view: Widget) -> ChatMessage | None:
    return view.message if isinstance(view, (UserMessage, ReplyView)) else None
