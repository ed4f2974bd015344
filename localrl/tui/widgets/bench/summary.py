"""The figures of a run: how far each eval is, accuracy with its interval, outcomes, and speed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.content import Content
from textual.widgets import Static

from localrl.tui.marks import MARKS
from localrl.tui.words import number, percent, span, sparkline

if TYPE_CHECKING:
    from localrl.tui.work.bench import BenchWork
    from localrl.tui.work.board import EvalView

BAR = 16
STATES = {
    "loading": "loading the model …",
    "running": "running",
    "paused": "paused",
    "stopping": "stopping …",
    "complete": "complete",
    "partial": "stopped, everything done is kept",
    "failed": "failed, everything done is kept",
    "dropped": "stopped before it began",
}

Intervals = dict[int, tuple[float, float, float]]
"""For an eval's position: low and high on such problems, and the half width on these problems."""


class Summary(Static):
    DEFAULT_CSS = """
    Summary { height: auto; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._lines = 0

    def show(self, work: BenchWork, intervals: Intervals) -> None:
        """Draw the figures as they are now."""
        view, board = work.board.view, work.board
        width = max(30, self.size.width)
        lines = [self._head(work)]
        for i, part in enumerate(view.evals):
            lines.append(self._eval(part, intervals.get(i), width))
        lines.append(self._outcomes(view.outcomes, width))
        right = f"{view.correct_now * 3600 / view.elapsed_s:,.0f} right/h" if view.elapsed_s > 5 else ""
        left = width - 44
        lines.append(
            Content.assemble(
                (f"{number(view.tokens_per_s, 0)} tok/s ", "bold"),
                (sparkline(board.rates, max(6, left)), "$primary"),
                f"  {right}  " if right else "  ",
                (f"ETA {span(view.eta_s)}" if not work.ended else span(view.elapsed_s), "$secondary"),
                (f"  engine restarted {view.restarts}×" if view.restarts else "", "$warning"),
            )
        )
        self.update(Content("\n").join(lines), layout=len(lines) != self._lines)
        self._lines = len(lines)

    def _head(self, work: BenchWork) -> Content:
        plan, load = work.board.plan, work.board.view.load
        model = plan.model_name + (f":{plan.quantisation}" if plan.quantisation else "")
        streams = f"{load.running} of {load.parallel} streams" if load.steps else ""
        if load.set_aside:
            streams += f", {load.set_aside} set aside"
        colour = {"running": "$success", "paused": "$warning", "failed": "$error"}.get(
            work.state, "$secondary"
        )
        return Content.assemble(
            (model, "bold"),
            ("  " + "  ".join(filter(None, [work.label, streams])), "$secondary"),
            (f"  {STATES[work.state]}", colour),
        )

    def _eval(self, part: EvalView, interval: tuple[float, float, float] | None, width: int) -> Content:
        share = part.done / part.total if part.total else 0.0
        bar = BAR if width >= 90 else 8
        full = round(share * bar)
        correct = part.outcomes.get("correct", 0)
        accuracy = correct / part.done if part.done else None
        parts: list[str | tuple[str, str]] = [
            f"{part.name[:18]:<{max(8, min(18, len(part.name)))}} ",
            ("━" * full, "$primary"),
            ("━" * (bar - full), "$border"),
            f" {part.done}/{part.total or '?'}  ",
            (percent(accuracy), "bold"),
        ]
        if interval and accuracy is not None:
            low, high, here = interval
            words = f"  {100 * low:.1f}–{100 * high:.1f} on such problems, ±{100 * here:.1f} on these"
            parts.append((words, "$secondary"))
        return Content.assemble(*parts)

    def _outcomes(self, outcomes: dict[str, int], width: int) -> Content:
        """Every outcome that occurred; never folded into wrong."""
        parts: list[str | tuple[str, str]] = []
        for name, mark in MARKS.items():
            if count := outcomes.get(name, 0):
                parts += [(f"{mark.sign} ", f"${mark.colour}"), f"{count:,} {mark.words}   "]
        return Content.assemble(*parts) if parts else Content.assemble(("nothing judged yet", "$secondary"))
