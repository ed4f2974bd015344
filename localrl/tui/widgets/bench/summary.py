"""The figures of a run: how far each eval is, accuracy with its interval, outcomes, and speed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.content import Content
from textual.widgets import Static

from localrl import formats
from localrl.tui.symbols import SYMBOLS
from localrl.tui.widgets.bench import curve
from localrl.tui.widgets.bench.curve import BARS

if TYPE_CHECKING:
    from localrl.report.metrics import Accuracy
    from localrl.tui.work.bench import BenchWork
    from localrl.tui.work.run_state import EvalSnapshot, RunSnapshot

BAR, LEAST_BAR, NAME, LEAST_NAME = 16, 8, 18, 6
STATES = {
    "loading": "loading the model …",
    "running": "running",
    "paused": "paused",
    "stopping": "stopping …",
    "complete": "complete",
    "partial": "stopped, everything done is kept",
    "failed": "failed, everything done is kept",
    "dropped": "stopped before it began",
    "watching": "at work in another process",
    "died": "its process died, everything done is kept",
    "left": "at work in another process",
}


Intervals = dict[tuple[int, int | None], "Accuracy"]
"""By an eval's position and thinking budget, None where there is none."""


class Summary(Static):
    DEFAULT_CSS = """
    Summary { height: auto; text-wrap: nowrap; text-overflow: ellipsis; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._lines = 0
        self._shown: tuple[BenchWork, RunSnapshot, Intervals] | None = None

    def on_resize(self) -> None:
        if self._shown:
            self.show(*self._shown)

    def show(self, work: BenchWork, view: RunSnapshot, intervals: Intervals) -> None:
        """Draw the figures of one moment."""
        self._shown = work, view, intervals
        run_state = work.run_state
        width = max(30, self.size.width)
        lines = [self._head(work, view)]
        for i, part in enumerate(view.evals):
            papers = run_state.published[i] if run_state.published else ()
            lines += self._eval(part, intervals.get((i, None)), papers, width)
            if part.budgets:
                known = [(b, intervals.get((i, b))) for b in (*part.budgets, None)]
                lines += curve.lines([(b, a.value if a else None) for b, a in known], width)
        lines += [*self._outcomes(view.outcomes, width), *self._speed(work, view, width)]
        self.update(Content("\n").join(lines), layout=len(lines) != self._lines)
        self._lines = len(lines)

    def _head(self, work: BenchWork, view: RunSnapshot) -> Content:
        """What the person named comes last: it may be long."""
        plan, metrics = work.run_state.plan, view.metrics
        model = plan.model_name + (f":{plan.quantisation}" if plan.quantisation else "")
        # Fewer may be wanted than still run.
        wanted = f" of {metrics.parallel}" if metrics.running <= metrics.parallel else ""
        streams = f"{metrics.running}{wanted} streams" if metrics.steps else ""
        if metrics.preempted:
            streams += f", {metrics.preempted} preempted"
        colour = {"running": "$success", "paused": "$warning", "failed": "$error", "died": "$error"}.get(
            work.state, "$secondary"
        )
        return Content.assemble(
            (model, "bold"),
            (f"  {STATES[work.state]}", colour),
            ("  " + "  ".join(filter(None, [streams, work.label])), "$secondary"),
        )

    def _eval(
        self,
        part: EvalSnapshot,
        accuracy: Accuracy | None,
        papers: tuple[float, ...],
        width: int,
    ) -> list[Content]:
        """One line; where it has no room for the interval, that is a line of its own."""
        share = part.done / part.total if part.total else 0.0
        counts = f" {part.done}/{part.total or '?'}  "
        value = formats.percent(accuracy.value if accuracy else None)
        published = "  paper " + ", ".join(f"{100 * score:.1f}" for score in papers) if papers else ""
        such, such_short = "", ""
        if accuracy:
            bounds, here = formats.bounds(accuracy.low, accuracy.high), 100 * accuracy.repeatability
            such = f"  {bounds} on such problems, ±{here:.1f} on these"
            such_short = f"  {bounds} such, ±{here:.1f} these"
        room = width - len(counts + value + published) - 1
        name = f"{part.name[:NAME]:<8}"
        words, below = such, ""
        if len(such) + len(name) + LEAST_BAR > room:
            words = such_short
        if len(words) + LEAST_NAME > room:
            words, below = "", such if len(such) <= width else such_short
        bar = max(0, min(BAR if width >= 90 else LEAST_BAR, room - len(words + name)))
        full = round(share * bar)
        line = Content.assemble(
            f"{name[: max(LEAST_NAME, room - len(words))]} ",
            ("━" * full, "$primary"),
            ("━" * (bar - full), "$border"),
            counts,
            (value, "bold"),
            (words, "$secondary"),
            (published, "$primary"),
        )
        return [line, Content.assemble((below, "$secondary"))] if below else [line]

    def _outcomes(self, outcomes: dict[str, int], width: int) -> list[Content]:
        """Every outcome that occurred, in as many lines as they need; never folded into wrong."""
        lines: list[list[str | tuple[str, str]]] = [[]]
        used = 0
        for name, mark in SYMBOLS.items():
            if count := outcomes.get(name, 0):
                words = f"{count:,} {mark.label}"
                if used + 2 + len(words) > width and lines[-1]:
                    lines.append([])
                    used = 0
                used += len(words) + 5
                lines[-1] += [(f"{mark.sign} ", f"${mark.colour}"), f"{words}   "]
        if not used:
            return [Content.assemble(("nothing judged yet", "$secondary"))]
        return [Content.assemble(*parts) for parts in lines]

    def _speed(self, work: BenchWork, view: RunSnapshot, width: int) -> list[Content]:
        """The sparkline takes what room the figures leave; they go into a second line where they need one."""
        rate = f"{formats.rate(view.tokens_per_s)} tok/s "
        first = f"  TTFT {formats.duration(view.ttft_s)}" if view.ttft_s is not None else ""
        right = (
            f"  {formats.rate(view.correct_now * 3600 / view.elapsed_s)} right/h"
            if view.elapsed_s > 5
            else ""
        )
        time = (
            f"  {formats.duration(view.elapsed_s)}" if work.ended else f"  ETA {formats.duration(view.eta_s)}"
        )
        restarts = f"  restarted {view.restarts}×" if view.restarts else ""
        after = Content.assemble(first + right, (time, "$secondary"))
        room = width - len(rate + restarts)
        below = after.cell_length > room
        if not below:
            room -= after.cell_length
        line = Content.assemble(
            (rate, "bold"), (_sparkline(work.run_state.rates, room) if room else "", "$primary")
        )
        again = Content.assemble((restarts, "$warning"))
        return [line + again, after] if below else [line + after + again]


def _sparkline(values: list[float], width: int) -> str:
    """The last values as bars, one a column, from zero to the highest."""
    shown = values[-width:]
    highest = max(shown, default=0.0)
    if highest <= 0:
        return BARS[0] * len(shown)
    return "".join(BARS[min(7, int(value / highest * 7.99))] for value in shown)
