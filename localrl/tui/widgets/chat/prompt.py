"""Where the person writes: enter sends, and a key of its own begins a new line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.content import Content
from textual.message import Message
from textual.widgets import TextArea

if TYPE_CHECKING:
    from textual import events


class PromptInput(TextArea):
    DEFAULT_CSS = """
    PromptInput { height: auto; min-height: 3; max-height: 10; border: round $border; padding: 0 1;
        background: $background; }
    PromptInput:focus { border: round $primary 70%; }
    """

    class Sent(Message):
        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    class EditLast(Message):
        """Up in an empty prompt."""

    def __init__(self, leave: str) -> None:
        """
        Args:
            leave: the key that leaves it, in words.
        """
        super().__init__(id="prompt", show_line_numbers=False, tab_behavior="focus")
        text = f"enter sends · shift+enter or ctrl+o new line · {leave} for keys"
        self.border_subtitle = Content(text)

    async def _on_key(self, event: events.Key) -> None:
        if event.key == "enter":
            event.stop()
            event.prevent_default()
            if text := self.text.strip():
                self.post_message(self.Sent(text))
            return
        if event.key in ("shift+enter", "ctrl+o", "alt+enter"):
            event.stop()
            event.prevent_default()
            self.insert("\n")
            return
        if event.key == "up" and not self.text:
            event.stop()
            event.prevent_default()
            self.post_message(self.EditLast())
            return
        await super()._on_key(event)
