"""The evals to choose from, with a sign that needs no colour for those that are chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding
from textual.content import Content
from textual.message import Message
from textual.widgets import OptionList
from textual.widgets.option_list import Option

if TYPE_CHECKING:
    from collections.abc import Sequence


class EvalList(OptionList):
    DEFAULT_CSS = """
    EvalList { width: 1fr; height: 100%; min-height: 11; max-height: 14; background: $background;
        text-wrap: nowrap; text-overflow: ellipsis; }
    """
    BINDINGS: ClassVar = [Binding("space", "select", "Choose", show=False)]

    class Changed(Message):
        pass

    def __init__(self, evals: Sequence[tuple[str, str]], chosen: Sequence[str]) -> None:
        super().__init__(id="evals", classes="pane", compact=True)
        self._titles = dict(evals)
        self.selected = [name for name in self._titles if name in chosen]
        self.border_title = "evals · space chooses"
        self.add_options([Option(self._label(name), name) for name in self._titles])

    def _label(self, name: str) -> Content:
        sign, colour = ("■", "$success") if name in self.selected else ("□", "$secondary")
        return Content.assemble((f"{sign} ", colour), f"{name:<15} ", (self._titles[name], "$secondary"))

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        name = event.option.id or ""
        if name in self.selected:
            self.selected.remove(name)
        else:
            self.selected.append(name)
        self.replace_option_prompt(name, self._label(name))
        self.post_message(self.Changed())
