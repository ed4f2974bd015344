"""The keys of the screen in front, and how to change them."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, cast

from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from localrl import settings
from localrl.tui import keys

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from localrl.tui.app import LocalrlApp


class HelpScreen(ModalScreen[None]):
    BINDINGS: ClassVar = [("escape,q,f1,question_mark", "dismiss", "Close")]
    DEFAULT_CSS = """
    HelpScreen { align: center middle; background: $background 60%; }
    HelpScreen VerticalScroll { width: 72; max-width: 94%; height: auto; max-height: 92%;
        border: round $primary 70%; background: $surface; padding: 0 2; }
    """

    def __init__(self, group: str) -> None:
        super().__init__()
        self._group = group

    def compose(self) -> ComposeResult:
        with VerticalScroll() as box:
            box.border_title = "Keys"
            box.border_subtitle = "esc closes"
            yield Static(self._text())

    def _text(self) -> Content:
        parts: list[Content | str | tuple[str, str]] = []
        for group in dict.fromkeys((self._group, "app")):
            parts.append((f"\n{keys.GROUPS.get(group, group)}\n", "bold $primary"))
            for key in keys.TABLE.get(group, ()):
                chosen = cast("LocalrlApp", self.app).settings.keys
                shown = "  ".join(keys.shown(f"{group}.{key.name}", chosen))
                parts += [
                    (f"  {shown:<14}", "$accent"),
                    f"{key.label + key.more:<30}",
                    (f"{group}.{key.name}\n", "$secondary"),
                ]
        path = settings.files()[0]
        parts += [
            ("\nOther keys: ", "bold"),
            f"in {path}\n",
            ('  [keys]\n  "bench.pause" = "ctrl+b"\n', "$secondary"),
        ]
        return Content.assemble(*parts)
