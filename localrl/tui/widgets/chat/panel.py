"""System prompt, thinking and sampling of a conversation; what is left empty is as the model's card says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from textual.containers import Grid, Vertical
from textual.widgets import Input, Label, Static, TextArea

from localrl.chat import ThinkingControl
from localrl.sampling import Sampling
from localrl.thinking import parsed, spoken
from localrl.tui.widgets.fields import SAMPLER

if TYPE_CHECKING:
    from textual.app import ComposeResult


class Panel(Vertical):
    DEFAULT_CSS = """
    Panel { width: 34; height: 1fr; display: none; }
    Panel.-open { display: block; }
    Panel TextArea { height: 6; background: $surface; }
    Panel Grid { height: auto; grid-size: 2; grid-columns: 13 1fr; grid-rows: 1; margin-top: 1; }
    Panel Input { background: $surface; }
    Panel Label, Panel Static { color: $secondary; }
    """

    def __init__(self) -> None:
        super().__init__(id="panel", classes="pane")
        self.border_title = "system prompt and sampling"
        self._defaults = Sampling()

    def compose(self) -> ComposeResult:
        yield TextArea(id="system", compact=True, show_line_numbers=False, tab_behavior="focus")
        with Grid():
            yield Label("thinking")
            yield Input(id="thinking", compact=True, placeholder="on, off or tokens")
            for name, number in SAMPLER.items():
                yield Label(name)
                yield Input(id=name, compact=True, type="integer" if number.kind is int else "number")
        yield Static("", id="source", markup=False)

    def defaults(self, sampling: Sampling, source: str) -> None:
        """What holds where a field is empty."""
        self._defaults = sampling
        for name in SAMPLER:
            self.query_one(f"#{name}", Input).placeholder = f"{getattr(sampling, name):g}"
        self.query_one("#source", Static).update(source)

    def show(self, system: str, sampling: Sampling | None, control: ThinkingControl) -> None:
        """The settings of a conversation."""
        self.query_one("#system", TextArea).text = system
        plain = control == ThinkingControl(effort=control.effort)
        self.query_one("#thinking", Input).value = "" if plain else spoken(control)
        for name in SAMPLER:
            chosen = getattr(sampling, name) if sampling else None
            same = chosen is None or chosen == getattr(self._defaults, name)
            self.query_one(f"#{name}", Input).value = "" if same else f"{chosen:g}"

    @property
    def system(self) -> str:
        return self.query_one("#system", TextArea).text.strip()

    def control(self, before: ThinkingControl) -> ThinkingControl:
        """How long the model may think; effort and probes stay as they were.

        Raises:
            UsageError: it is neither on, off nor a number of tokens.
        """
        said = parsed(self.query_one("#thinking", Input).value.strip() or "on")
        return before.model_copy(update=said)

    def sampling(self) -> Sampling:
        """
        Raises:
            UsageError: a value is no number, or out of its range.
        """
        changes: dict[str, Any] = {}
        for name, number in SAMPLER.items():
            if value := self.query_one(f"#{name}", Input).value.strip():
                changes[name] = number.read(name, value)
        return Sampling.model_validate({**self._defaults.model_dump(), **changes})
