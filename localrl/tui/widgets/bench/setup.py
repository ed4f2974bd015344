"""What a new run will do and how long it will take; and the runs that were left unfinished."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from textual.containers import Grid, Horizontal, Vertical, VerticalScroll
from textual.message import Message
from textual.suggester import SuggestFromList
from textual.widgets import Button, Input, Label, OptionList, Static
from textual.widgets.option_list import Option

from localrl import thinking
from localrl.chat import ThinkingControl
from localrl.engine.protocol import ServerOptions
from localrl.runs.budgets import parsed
from localrl.runs.request import RunRequest
from localrl.tui.widgets.bench.evals import EvalList
from localrl.tui.widgets.fields import SAMPLER, NumberField

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from localrl.tui.app import ModelSelection
    from localrl.tui.work.plans import UnfinishedRun

FIELDS: tuple[tuple[str, str, NumberField | None, str], ...] = (
    # of a request or its sampling, label, what it must be, what holds when it is left empty
    ("samples", "samples each", NumberField(int, 1, 100_000), "as the eval says"),
    ("limit", "first problems", NumberField(int, 1, 100_000_000), "all"),
    ("max_tokens", "max tokens", SAMPLER["max_tokens"], "as the eval says"),
    ("temperature", "temperature", SAMPLER["temperature"], "as card or eval say"),
    ("thinking", "thinking", None, "on; off or tokens"),
    ("budgets", "budgets", None, "none; 512,1024 or log2"),
    ("parallel", "streams", NumberField(int, 1, 10_000), "auto: measured"),
    ("seed", "seed", NumberField(int, -(2**63), 2**63 - 1), "0"),
    ("name", "name", None, "none"),
)


class Setup(VerticalScroll):
    DEFAULT_CSS = """
    Setup { padding: 0; }
    Setup #columns { height: auto; max-height: 14; }
    Setup #fields { width: 1fr; height: auto; grid-size: 2; grid-columns: 15 1fr; grid-rows: 1; }
    Setup Input { background: $surface; }
    Setup Label { color: $secondary; }
    Setup #estimate { margin: 1 1 0 1; height: auto; min-height: 2; max-height: 5; }
    Setup #begin { margin: 0 1 0 1; min-width: 20; }
    Setup #unfinished { height: auto; max-height: 8; margin-top: 1; background: $background; }
    Setup #unfinished.-none { display: none; }
    """

    class Changed(Message):
        pass

    class Begin(Message):
        pass

    class Continue(Message):
        def __init__(self, run: str) -> None:
            super().__init__()
            self.run = run

    def __init__(
        self, model: str, models: list[str], evals: list[tuple[str, str]], chosen: list[str]
    ) -> None:
        super().__init__(id="setup")
        self.left: list[str] = []
        """Ids of runs to go on with, the newest first."""
        self._model, self._models, self._evals, self._chosen = model, models, evals, chosen

    def compose(self) -> ComposeResult:
        with Horizontal(id="columns"):
            yield EvalList(self._evals, self._chosen)
            with Vertical(classes="pane", id="what") as what, Grid(id="fields"):
                what.border_title = "run"
                yield Label("model")
                yield Input(
                    self._model,
                    id="model",
                    compact=True,
                    suggester=SuggestFromList(self._models, case_sensitive=False),
                )
                for name, label, number, otherwise in FIELDS:
                    yield Label(label)
                    kind: Literal["text", "integer", "number"] = "text"
                    if number:
                        kind = "integer" if number.kind is int else "number"
                    yield Input(placeholder=otherwise, id=name, compact=True, type=kind)
        yield Static("", id="estimate", markup=False)
        yield Button("Start", id="begin", variant="primary", compact=True)
        unfinished = OptionList(id="unfinished", classes="pane -none", compact=True, markup=False)
        unfinished.border_title = "unfinished runs · enter goes on, or watches one at work"
        yield unfinished

    def request(self, backend: ModelSelection) -> RunRequest:
        """The run that the form describes, on the backend that was chosen.

        Raises:
            UsageError: a field holds no number, or one out of its range, or what is no list of budgets
                or neither on nor off nor a budget of the thinking.
        """
        values: dict[str, Any] = {}
        for name, label, number, _ in FIELDS:
            if value := self.query_one(f"#{name}", Input).value.strip():
                values[name] = number.read(label, value) if number else value
        if "budgets" in values:
            values["budgets"] = parsed(values["budgets"])
        control = ThinkingControl.model_validate(thinking.parsed(values.pop("thinking", "on")))
        return RunRequest(
            model=self.query_one("#model", Input).value.strip(),
            evals=tuple(self.query_one(EvalList).selected),
            backend=backend.backend,
            endpoints=backend.endpoints,
            server=backend.server or ServerOptions(),
            control=control,
            sampling={name: values.pop(name) for name in SAMPLER if name in values},
            **values,
        )

    def show_estimate(self, text: str) -> None:
        self.query_one("#estimate", Static).update(text)

    def unfinished(self, runs: list[UnfinishedRun]) -> None:
        """Offer runs to watch where a process works on them, and the others to go on with."""
        self.left = [run.id for run in runs if not run.at_work]
        listed = self.query_one("#unfinished", OptionList)
        listed.set_class(not runs, "-none")
        listed.clear_options()
        for run in sorted(runs, key=lambda run: not run.at_work):
            listed.add_option(Option(f"{'▸ at work   ' * run.at_work}{run.description}", id=run.id))

    def on_input_changed(self) -> None:
        self.post_message(self.Changed())

    def on_eval_list_changed(self) -> None:
        self.post_message(self.Changed())

    def on_input_submitted(self) -> None:
        self.post_message(self.Begin())

    def on_button_pressed(self) -> None:
        self.post_message(self.Begin())

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        if event.option.id and event.option_list.id == "unfinished":
            self.post_message(self.Continue(event.option.id))
