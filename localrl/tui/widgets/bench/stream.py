"""The text of one sample, live while it is generated; its verdict when it has one."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Static

from localrl.formats import duration
from localrl.tui.symbols import SYMBOLS
from localrl.tui.widgets.livetext import LiveText

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from localrl.tui.work.run_state import LiveSample


class StreamView(Vertical):
    DEFAULT_CSS = """
    StreamView { layout: vertical; }
    StreamView #stream-state { height: 1; color: $secondary; text-wrap: nowrap; text-overflow: ellipsis; }
    StreamView LiveText { height: 1fr; }
    """

    def __init__(self) -> None:
        super().__init__(classes="pane")
        self.stream: LiveSample | None = None
        self._fragments: list[tuple[bool, str]] | None = None
        self._seen = 0
        self._title = self._status = ""

    def compose(self) -> ComposeResult:
        yield Static("", id="stream-state", markup=False)
        yield LiveText()

    def show(self, stream: LiveSample | None) -> None:
        if stream is not self.stream:
            self.stream, self._fragments = stream, None
            if stream is None:
                self.query_one(LiveText).clear()
        self.update_text()
        self.update_state()

    def explain(self, status: str) -> None:
        """Say why no stream is shown."""
        if self.stream is None and status != self._status:
            self._status = status
            self.query_one("#stream-state", Static).update(status, layout=False)

    def update_text(self) -> None:
        """Show what has arrived since the last update."""
        text, stream = self.query_one(LiveText), self.stream
        if stream is None:
            self.border_title = self._title = "no stream"
            return
        if stream.fragments is not self._fragments:  # another stream, or this one began anew
            self._fragments, self._seen = stream.fragments, 0
            text.clear()
        new = stream.fragments[self._seen :]
        before = stream.fragments[self._seen - 1] if self._seen else (False, "")
        self._seen += len(new)
        text.append(_joined(new, before[0]))
        if (title := f"{stream.key[1]} · sample {stream.key[2] + 1}") != self._title:
            self._title, self.border_title = title, Content(title)  # draws the whole frame

    def update_state(self) -> None:
        """Progress of the sample; less often than the text, so that a text update draws one line only."""
        if self.stream and (status := self._state(self.stream)) != self._status:
            self._status = status
            self.query_one("#stream-state", Static).update(status, layout=False)

    def _state(self, stream: LiveSample) -> str:
        tokens = f"{stream.tokens:,} tokens"
        if stream.outcome:
            symbol = SYMBOLS[stream.outcome]
            answer = f": {stream.extracted}" if stream.extracted is not None else ""
            return f"{symbol.sign} {symbol.label}{answer} · {tokens}"
        if stream.cut:
            return f"stopped, to be done again · {tokens}"
        if not stream.fragments:
            return "waiting"
        if stream.fragments[-1][0]:
            return f"▾ thinking {duration(time.monotonic() - stream.began)} · {tokens}"
        thought = stream.thinking_s or 0.0
        after = f", after {duration(thought)} of thinking" if thought > 0.5 else ""
        return f"answering{after} · {tokens}"


def _joined(fragments: list[tuple[bool, str]], thought: bool) -> list[tuple[bool, str]]:
    """Merges adjacent fragments of one kind; a blank line separates the answer from the thinking.

    Args:
        thought: what came before was thinking.
    """
    joined: list[tuple[bool, str]] = []
    for thinking, text in fragments:
        if joined and joined[-1][0] == thinking:
            joined[-1] = (thinking, joined[-1][1] + text)
        else:
            apart = "\n\n" if (joined[-1][0] if joined else thought) and not thinking else ""
            joined.append((thinking, apart + (text.lstrip("\n") if apart else text)))
    return joined
