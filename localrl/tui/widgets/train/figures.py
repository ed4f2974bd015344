"""The figures of a training: each with its value now, how it began, and its course as a line of bars."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, NamedTuple

from textual.content import Content
from textual.widgets import Static

from localrl import formats
from localrl.tui.widgets.bench.curve import BARS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from localrl.train.record import StepRecord
    from localrl.train.watching import TrainView

LABEL, VALUE = 12, 21
STATES = {"complete": "complete", "partial": "stopped", "failed": "failed"}


class Figure(NamedTuple):
    label: str
    of: Callable[[StepRecord], float | None]
    shown: Callable[[float], str]


def _short(value: float) -> str:
    return f"{value:.2f}".replace("-", "−")


def _share(value: float) -> str:
    return formats.percent(value, 0)


FIGURES = (
    Figure("reward", lambda step: step.reward, _short),
    Figure("correct", lambda step: step.correct, _share),
    Figure("no spread", lambda step: step.without_spread / step.drawn if step.drawn else None, _share),
    Figure("entropy", lambda step: step.entropy, _short),
    Figure("tokens", lambda step: step.tokens_per_sample, formats.number),
    Figure("cut", lambda step: step.truncated, _share),
    Figure("KL", lambda step: step.kl, lambda value: f"{value:.2g}"),
    Figure("mismatch", lambda step: step.mismatch, lambda value: f"{value:.2g}"),
    Figure("tok/s", lambda step: step.tokens_per_s, formats.rate),
)


class TrainFigures(Static):
    DEFAULT_CSS = """
    TrainFigures { height: auto; text-wrap: nowrap; text-overflow: ellipsis; }
    """

    def show(self, view: TrainView) -> None:
        """Draw one moment; a figure that was never measured has no line."""
        width = max(30, self.size.width)
        lines = [self._head(view), self._held_out(view)]
        for figure in FIGURES:
            values = [value for step in view.steps if (value := figure.of(step)) is not None]
            if values:
                lines.append(self._line(figure, values, width))
        lines += [self._cost(view), *self._concerns(view, width)]
        self.update(Content("\n").join(lines))

    def _head(self, view: TrainView) -> Content:
        plan, running = view.plan, view.status == "running"
        model = ":".join(filter(None, (plan.measured.model_name, plan.measured.quantisation)))
        state = f"  step {len(view.steps)}/{plan.recipe.steps}"
        more = f"  {formats.duration(view.eta_s)} left" if running else f"  {STATES[view.status]}"
        what = f"  {view.training.name or view.training.id} · {plan.trained.spec.name} · {plan.recipe.name}"
        return Content.assemble(
            (model, "bold"), (state + more, "$success" if running else "$secondary"), (what, "$secondary")
        )

    def _held_out(self, view: TrainView) -> Content:
        label = f"{'held out':<{LABEL}}"
        if view.before is None:
            return Content.assemble((label, "$secondary"), "being measured")
        if not view.checks:
            return Content.assemble((label, "$secondary"), (formats.percent(view.before), "bold"), " before")
        last = view.checks[-1]
        d = last.difference
        change = f"  {formats.difference(d.value, d.low, d.high)} points after {last.step} steps"
        return Content.assemble(
            (label, "$secondary"),
            (f"{formats.percent(view.before)} → {formats.percent(last.accuracy)}", "bold"),
            (change, "$success" if d.low > 0 else "$error" if d.high < 0 else "$secondary"),
        )

    def _line(self, figure: Figure, values: list[float], width: int) -> Content:
        now = figure.shown(values[-1])
        began = f"{figure.shown(values[0])} → " if len(values) > 1 else ""
        bars = _bars(values[-max(1, width - LABEL - VALUE) :])
        pad = " " * max(1, VALUE - len(began + now))
        return Content.assemble(
            (f"{figure.label:<{LABEL}}", "$secondary"),
            (began, "$secondary"),
            (now, "bold"),
            pad,
            (bars, "$primary"),
        )

    def _cost(self, view: TrainView) -> Content:
        if not view.steps:
            return Content.assemble(("no step is done yet", "$secondary"))
        last = view.steps[-1]
        spent = sum(step.wall_s for step in view.steps)
        words = f"{formats.duration(last.wall_s)} a step, {formats.duration(spent)} in all"
        words += f", {formats.size(last.memory_bytes)}, learning rate {last.lr:.2g}"
        return Content.assemble((words, "$secondary"))

    def _concerns(self, view: TrainView, width: int) -> list[Content]:
        """Each in as many lines as it needs: what to try stands at its end."""
        lines = []
        for concern in view.concerns:
            first, *more = textwrap.wrap(str(concern), width - 2)
            lines.append(Content.assemble(("! ", "bold $warning"), (first, "$warning")))
            lines += [Content.assemble((f"  {line}", "$warning")) for line in more]
        return lines


def _bars(values: Sequence[float]) -> str:
    """One bar a value, from the lowest to the highest."""
    low, high = min(values), max(values)
    if high <= low:
        return BARS[0] * len(values)
    return "".join(BARS[min(7, int((value - low) / (high - low) * 7.99))] for value in values)
