"""What all screens share: the bar with their names on top, and the keys at the bottom."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, cast

from textual.screen import Screen
from textual.widgets import Footer

from localrl.tui import keys
from localrl.tui.widgets.topbar import TopBar

if TYPE_CHECKING:
    from collections.abc import Callable

    from textual.app import ComposeResult

    from localrl.tui.app import LocalrlApp


T = TypeVar("T")


class BaseScreen(Screen[None]):
    """A screen with a tab of its own; subclasses give `body`."""

    GROUP = ""

    @property
    def program(self) -> LocalrlApp:
        return cast("LocalrlApp", self.app)

    def background(self, work: Callable[[], T], then: Callable[[T], Any], name: str) -> None:
        """Run `work` in a thread and pass its result to `then` on the screen; errors are shown."""
        self.program.in_thread(lambda: self.call_later(then, work()), name)

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
        """What a screen shows between its bars."""
        yield from ()
