"""Runs as points: accuracy upwards against a cost or a speed, one numbered mark a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from textual.content import Content
from textual.widgets import Static

from localrl.formats import percent

if TYPE_CHECKING:
    from collections.abc import Sequence

COLOURS = ("primary", "accent", "success", "error", "secondary")
SIGNS = "123456789abcdefghijklmnopqrstuvwxyz"


class ScatterPoint(NamedTuple):
    x: float
    y: float
    """Accuracy, 0 to 1."""
    number: int
    """The run's, from 0."""


class Scatter(Static):
    DEFAULT_CSS = "Scatter { width: 1fr; height: 1fr; min-height: 6; }"

    def __init__(self, x_title: str) -> None:
        super().__init__()
        self._x_title = x_title
        self._points: Sequence[ScatterPoint] = ()

    def show(self, points: Sequence[ScatterPoint]) -> None:
        self._points = points
        self._draw()

    def on_resize(self) -> None:
        self._draw()

    def _draw(self) -> None:
        width, height = self.size.width - 8, self.size.height - 3
        if width < 10 or height < 2:
            return
        if not self._points:
            self.update(Content.assemble((f"no measured run yet: {self._x_title}", "$secondary")))
            return
        low, high = _range([p.y for p in self._points], 0.0, 1.0)
        left, right = _range([p.x for p in self._points], 0.0, None)
        cells: dict[tuple[int, int], int] = {}
        for point in self._points:
            column = round((point.x - left) / (right - left) * (width - 1))
            row = round((high - point.y) / (high - low) * (height - 1))
            while (row, column) in cells and column < width - 1:  # beside a run at the same place
                column += 1
            cells[row, column] = point.number
        lines = [Content.assemble(("accuracy against " + self._x_title, "$secondary"))]
        for row in range(height):
            label = percent(high - (high - low) * row / (height - 1), 0) if row in (0, height - 1) else ""
            parts: list[str | tuple[str, str]] = [(f"{label:>6} ┤" if label else "       │", "$secondary")]
            for column in range(width):
                number = cells.get((row, column))
                if number is None:
                    parts.append(" ")
                else:
                    colour = COLOURS[number % len(COLOURS)]
                    parts.append((SIGNS[number % len(SIGNS)], f"bold ${colour}"))
            lines.append(Content.assemble(*parts))
        lines.append(Content.assemble(("       └" + "─" * width, "$secondary")))
        ends = f"{left:,.0f}", f"{right:,.0f}"
        lines.append(Content.assemble((f"        {ends[0]:<{width - len(ends[1])}}{ends[1]}", "$secondary")))
        self.update(Content("\n").join(lines))


def _range(values: list[float], least: float, most: float | None) -> tuple[float, float]:
    """The values' range with a margin, inside the bounds, never empty."""
    low, high = min(values), max(values)
    margin = (high - low) * 0.1 or max(abs(high) * 0.1, 0.05)
    low, high = max(least, low - margin), high + margin
    return low, min(high, most) if most is not None else high
