"""A training while another process works on it, or after: figures, warnings, samples with their rewards."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Static

from localrl.store.runs import Store
from localrl.tui import keys
from localrl.tui.screens.base import BaseScreen
from localrl.tui.symbols import SYMBOLS, UNJUDGED
from localrl.tui.widgets.train.figures import TrainFigures

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from localrl.train.watching import TrainView, WatchedSample

LOOK_EVERY_S = 1.0
SHOWN = 200
"""Samples that are listed."""
EMPTY = """No training yet. In another terminal:

  localrl train smollm2-135m sums --lr 1e-3

It is shown here while it works, and goes on when this program ends."""


class TrainScreen(BaseScreen):
    GROUP = "train"
    BINDINGS = keys.bindings("train")
    CSS = """
    TrainScreen #train-pane { height: auto; }
    TrainScreen #samples-pane { height: 1fr; }
    TrainScreen #train-samples { height: 1fr; text-wrap: nowrap; text-overflow: ellipsis; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._back = 0
        """How many trainings newer than the one that is shown there are."""
        self._looking = False

    def body(self) -> ComposeResult:
        with Vertical(id="train-pane", classes="pane"):
            yield TrainFigures(EMPTY, markup=False)
        with Vertical(id="samples-pane", classes="pane") as pane:
            pane.border_title = "Samples"
            yield Static(id="train-samples")

    def on_mount(self) -> None:
        self.set_interval(LOOK_EVERY_S, self._tick)

    def on_screen_resume(self) -> None:
        self._tick()

    def _tick(self) -> None:
        if self.is_current and not self._looking:
            self._looking = True
            self.background(self._look, self._show, "training")

    def _look(self) -> TrainView | None:
        """In a thread."""
        try:
            return _view(self._back)
        finally:
            self._looking = False

    def _show(self, view: TrainView | None) -> None:
        if view is None:
            return
        self.query_one(TrainFigures).show(view)
        self.query_one("#samples-pane").border_title = f"Samples of step {_step(view)}, the newest first"
        lines = [_line(sample) for sample in view.samples[:SHOWN]]
        self.query_one("#train-samples", Static).update(Content("\n").join(lines))

    def action_other(self) -> None:
        """The training before this one; after the first, the newest again."""
        self._back += 1
        self._tick()


def _view(back: int) -> TrainView | None:
    """The newest training but `back`; None where there is none."""
    from localrl.train import watching

    with Store() as store:
        every = store.trainings.all()
        return watching.look(store, every[back % len(every)]) if every else None


def _step(view: TrainView) -> int:
    """Counted from 1."""
    return view.samples[0].rollout.step + 1 if view.samples else len(view.steps) + 1


def _line(sample: WatchedSample) -> Content:
    """Sign, reward, advantage and text of one sample."""
    rollout = sample.rollout
    symbol = SYMBOLS[rollout.outcome] if rollout.outcome else UNJUDGED
    reward = f"{rollout.reward:+6.2f}" if rollout.outcome else " " * 6
    advantage = f"{sample.advantage:+6.2f}" if sample.advantage is not None else " " * 6
    text = " ".join(rollout.text.split())
    return Content.assemble(
        (f"{symbol.sign} ", f"${symbol.colour}"),
        (f"{reward.replace('-', '−')} ", "bold"),
        (f"{advantage.replace('-', '−')}  ", "$primary"),
        (f"{rollout.problem} ", "$secondary"),
        text,
    )
