"""The first line of every screen: the screens' names, and what goes on at the moment."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from textual.containers import Horizontal
from textual.content import Content
from textual.widgets import Static

from localrl.formats import percent, rate
from localrl.tui import keys

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from localrl.tui.app import LocalrlApp


class TopBar(Horizontal):
    DEFAULT_CSS = """
    TopBar { height: 1; background: $background; }
    TopBar #tabs { width: auto; link-style: none; link-color: $secondary; link-style-hover: bold; }
    TopBar #status { width: 1fr; text-align: right; color: $secondary; padding-right: 1;
        text-wrap: nowrap; text-overflow: ellipsis; }
    """

    def __init__(self, active: str) -> None:
        super().__init__()
        self._active = active

    def compose(self) -> ComposeResult:
        parts: list[Content] = [Content.from_markup("[bold $primary] localrl [/] ")]
        for name, title in list(keys.GROUPS.items())[1:]:
            style = "bold reverse" if name == self._active else "$secondary"
            parts.append(Content.from_markup(f"[@click=app.show('{name}')][{style}] {title} [/][/]"))
        yield Static(Content("").join(parts), id="tabs")
        yield Static("", id="status")

    def on_mount(self) -> None:
        self.set_interval(0.5, self._refresh)
        self._refresh()

    def _refresh(self) -> None:
        if not self.screen.is_current:
            return
        program = cast("LocalrlApp", self.app)
        work, downloads = program.bench_work, program.downloads
        parts = []
        if downloads and (download := downloads.under_way):
            parts.append(f"↓ {percent(download.share, 0)}")
        if program.serve_work:
            parts.append("serving")
        if work and not work.ended:
            view = work.run_state.snapshot
            state = "watching" if work.watching else work.state
            speed = f" · {rate(view.tokens_per_s)} tok/s" if state in ("running", "watching") else ""
            parts.append(f"{state} {view.done}/{view.total or '?'}{speed}")
        self.query_one("#status", Static).update("   ".join(parts), layout=False)
