"""The newest log of the workers and their native libraries, followed as it grows."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Static

from localrl import paths
from localrl.tui import keys
from localrl.tui.screens.base import BaseScreen
from localrl.tui.widgets.livetext import LiveText

if TYPE_CHECKING:
    from pathlib import Path

    from textual.app import ComposeResult

TICK_S = 0.5
LARGEST_BYTES = 256 << 10
"""Only the end of a longer log is shown."""


class LogScreen(BaseScreen):
    GROUP = "log"
    BINDINGS = keys.bindings("log")
    CSS = """
    LogScreen #log-pane { height: 1fr; }
    LogScreen LiveText { height: 1fr; }
    LogScreen #log-empty { color: $secondary; height: auto; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._path: Path | None = None
        self._read = 0
        self._back = 0

    def body(self) -> ComposeResult:
        with Vertical(id="log-pane", classes="pane"):
            yield Static("No log yet: it begins when a model is loaded.", id="log-empty")
            yield LiveText()

    def on_mount(self) -> None:
        self.set_interval(TICK_S, self._tick)
        self.query_one(LiveText).focus()

    def on_screen_resume(self) -> None:
        self._tick()

    def _logs(self) -> list[Path]:
        """All logs, the newest first."""
        return sorted((paths.home("state") / "logs").glob("*.log"), reverse=True)

    def _tick(self) -> None:
        """Show what was written since the last tick."""
        if not self.is_current:
            return
        logs = self._logs()
        if not logs:
            return
        path = logs[self._back % len(logs)]
        with contextlib.suppress(OSError):  # somebody may have removed it just now
            self._show(path, f"{path.name} · {1 + self._back % len(logs)} of {len(logs)}")

    def _show(self, path: Path, title: str) -> None:
        text, read = self.query_one(LiveText), self._read
        if path != self._path:
            read = max(0, path.stat().st_size - LARGEST_BYTES)
        with path.open("rb") as file:
            file.seek(read)
            new = file.read(LARGEST_BYTES)
        if path != self._path:
            self._path, self._read = path, read
            text.clear()
            self.query_one("#log-pane").border_title = Content(title)
        self._read += len(new)
        self.query_one("#log-empty").display = not self._read
        if new:
            text.append([(False, new.decode("utf-8", "replace").replace("\r", "\n"))])

    def action_other(self) -> None:
        """The log before this one."""
        self._back += 1
        self._tick()

    def action_follow(self) -> None:
        text = self.query_one(LiveText)
        text.follow = True
        text.scroll_end(animate=False)

    def action_copy(self) -> None:
        self.app.copy_to_clipboard(self.query_one(LiveText).text)
        self.notify("Copied the log.", timeout=2)
