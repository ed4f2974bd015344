"""What all screens share: the bar with their names on top, and the keys at the bottom."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from textual.screen import Screen
from textual.widgets import Footer

from localrl.tui import keys
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

    @property
    def view(self) -> str:
        """Which of several views is shown."""
        return ""

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return not self.is_mounted or keys.works(self.GROUP, action, self.view)

    def compose(self) -> ComposeResult:
        yield TopBar(self.GROUP)
        yield from self.body()
        yield Footer(show_command_palette=False)

    def body(self) -> ComposeResult:
        raise NotImplementedError
