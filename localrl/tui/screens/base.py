"""What all screens share: the bar with their names on top, and the keys at the bottom."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from textual.screen import Screen
from textual.widgets import Footer

from localrl.tui.widgets.topbar import TopBar

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from localrl.tui.app import LocalrlApp


class BaseScreen(Screen[None]):
    """A screen with a tab of its own; subclasses give `body`."""

    GROUP = ""

    @property
    def program(self) -> LocalrlApp:
        return cast("LocalrlApp", self.app)

    def compose(self) -> ComposeResult:
        yield TopBar(self.GROUP)
        yield from self.body()
        yield Footer(show_command_palette=False)

    def body(self) -> ComposeResult:
        raise NotImplementedError
