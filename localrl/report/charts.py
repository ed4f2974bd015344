"""Plots as SVG, drawn here: a report needs four simple ones, in both themes, and no big library.

Every mark is styled by class, never by attribute, so that a page can restyle it and its content policy may
forbid inline styles. `standalone` adds the styles for a file of its own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING

import numpy as np

from localrl import formats, installation, stats
from localrl.errors import Unavailable
from localrl.verdict import Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence

    from localrl.sample import SampleRow

WIDTH, HEIGHT = 640, 320
LEFT, RIGHT, TOP, BOTTOM = 56, 24, 28, 44
LETTER, LABEL = 9, 18
"""Width of a letter and height of a label, in pixels, at the size that a phone shows them."""
AXIS = "accuracy (thin: problems of this kind; thick: these problems again)"

# Okabe and Ito's palette, which people with any common colour vision tell apart.
OUTCOME_COLOURS = {
    Outcome.CORRECT: "#009e73",
    Outcome.WRONG: "#d55e00",
    Outcome.NO_ANSWER: "#8c8c8c",
    Outcome.TRUNCATED: "#e69f00",
    Outcome.LOOPED: "#cc79a7",
    Outcome.VERIFIER_TIMEOUT: "#56b4e9",
    Outcome.VERIFIER_ERROR: "#0072b2",
    Outcome.ENGINE_ERROR: "#5b4a8a",
}
OUTCOME_MARKS = dict(zip(map(str, Outcome), "✓✗–…↻⌛!E", strict=True))
"""For a page without colours."""
SERIES_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
LIGHT = {"ink": "#1a1a1a", "quiet": "#5f6368", "line": "#d6d8db", "paper": "#ffffff"}
DARK = {"ink": "#e8e8e8", "quiet": "#a0a4a8", "line": "#3a3d41", "paper": "#16181a"}


@dataclass(frozen=True, slots=True)
class Point:
    """A run's result on one eval, for the plots that compare."""

    label: str
    series: int
    """Which run, from 0: its colour."""
    accuracy: stats.Interval
    repeatability: stats.Interval | None = None
    x: float | None = None
    """Tokens per second; None where unknown."""
    short: str = ""
    """The label where the run's name stands already."""


@dataclass
class Chart:
    """A drawing surface with two axes; x and y are in data units."""

    title: str
    x_range: tuple[float, float]
    y_range: tuple[float, float] = (0.0, 1.0)
    height: int = HEIGHT
    left: int = LEFT
    log_x: bool = False
    parts: list[str] = field(default_factory=list)

    def x(self, value: float) -> float:
        low, high = self.x_range
        if self.log_x:
            value, low, high = math.log(max(value, low)), math.log(low), math.log(high)
        share = (value - low) / (high - low) if high > low else 0.5
        return self.left + share * (WIDTH - self.left - RIGHT)

    def y(self, value: float) -> float:
        low, high = self.y_range
        share = (value - low) / (high - low) if high > low else 0.5
        return self.height - BOTTOM - share * (self.height - BOTTOM - TOP)

    def line(self, x1: float, y1: float, x2: float, y2: float, style: str) -> None:
        """A line in pixels."""
        self.parts.append(f'<line class="{style}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>')

    def text(self, x: float, y: float, words: str, style: str = "tick", anchor: str = "middle") -> None:
        self.parts.append(
            f'<text class="{style}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{_safe(words)}</text>'
        )

    def dot(self, x: float, y: float, style: str, words: str) -> None:
        self.parts.append(
            f'<circle class="{style}" cx="{x:.1f}" cy="{y:.1f}" r="4.5">'
            f"<title>{_safe(words)}</title></circle>"
        )

    def bar(self, x1: float, y1: float, x2: float, y2: float, style: str, words: str) -> None:
        """A filled box between two corners in pixels."""
        self.parts.append(
            f'<rect class="{style}" x="{min(x1, x2):.1f}" y="{min(y1, y2):.1f}" width="{abs(x2 - x1):.1f}" '
            f'height="{abs(y2 - y1):.1f}"><title>{_safe(words)}</title></rect>'
        )

    def path(self, places: Sequence[tuple[float, float]], style: str) -> None:
        """A line through places in pixels."""
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        self.parts.append(f'<polyline class="path {style}" points="{points}"/>')

    def axes(
        self,
        x_label: str,
        y_label: str,
        *,
        percent_y: bool = True,
        percent_x: bool = False,
        ticks: Sequence[float] = (),
    ) -> None:
        """Both axes; `ticks` are the x axis' own, round numbers where there are none."""
        bottom = self.height - BOTTOM
        for tick in _ticks(*self.y_range):
            self.line(self.left, self.y(tick), WIDTH - RIGHT, self.y(tick), "grid")
            self.text(self.left - 6, self.y(tick) + 4, _tick(tick, percent_y), anchor="end")
        for tick in ticks or (_log_ticks(*self.x_range) if self.log_x else _ticks(*self.x_range)):
            self.line(self.x(tick), bottom, self.x(tick), bottom + 4, "axis")
            self.text(self.x(tick), bottom + 17, _tick(tick, percent_x))
        self.line(self.left, bottom, WIDTH - RIGHT, bottom, "axis")
        self.text((self.left + WIDTH - RIGHT) / 2, self.height - 6, x_label, "label")
        self.text(self.left, 16, y_label, "label", "start")

    def svg(self) -> str:
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" class="chart" viewBox="0 0 {WIDTH} {self.height}" '
            f'role="img" aria-label="{_safe(self.title)}"><title>{_safe(self.title)}</title>'
            f"{''.join(self.parts)}</svg>"
        )


def accuracy(points: Sequence[Point]) -> str:
    """One line a result: the thin bar is the interval for new problems, the thick one for these."""
    step = 40
    height = TOP + BOTTOM + step * max(1, len(points))
    chart = Chart("Accuracy with its intervals", (0.0, 1.0), (0.0, 1.0), height, RIGHT)
    bottom = height - BOTTOM
    for tick in (0, 0.25, 0.5, 0.75, 1):
        chart.line(chart.x(tick), TOP - 8, chart.x(tick), bottom, "grid")
        chart.text(chart.x(tick), bottom + 17, _tick(tick, True))
    for i, p in enumerate(points):
        y = TOP + step * i + 24
        chart.text(RIGHT, y - 13, _short(_words(p), 66), "tick", "start")
        chart.line(chart.x(p.accuracy.low), y, chart.x(p.accuracy.high), y, f"thin s{p.series % 6}")
        if p.repeatability:
            low, high = p.repeatability.low, p.repeatability.high
            chart.line(chart.x(low), y, chart.x(high), y, f"thick s{p.series % 6}")
        chart.dot(chart.x(p.accuracy.value), y, f"dot s{p.series % 6}", _words(p))
    chart.text(WIDTH / 2, height - 6, AXIS, "label")
    return chart.svg()


def accuracy_by_speed(points: Sequence[Point]) -> str | None:
    """Accuracy against decode tokens per second; None when no speed is known."""
    known = [p for p in points if p.x]
    if not known:
        return None
    top = 1.15 * max(p.x or 0 for p in known)
    chart = Chart("Accuracy against speed", (0.0, top))
    chart.axes("decode tokens per second", "accuracy")
    labels: list[tuple[float, float, float]] = []
    named: set[int] = set()
    for i, p in sorted(enumerate(known), key=lambda item: -item[1].accuracy.value):
        # Evals of one run have the same speed: side by side, else one would hide the other.
        x, y = chart.x(p.x or 0) + 7 * sum(q.x == p.x for q in known[:i]), chart.y(p.accuracy.value)
        chart.line(x, chart.y(p.accuracy.low), x, chart.y(p.accuracy.high), f"thin s{p.series % 6}")
        chart.dot(x, y, f"dot s{p.series % 6}", _words(p))
        words = _short(p.short if p.short and p.series in named else p.label, 34)
        named.add(p.series)
        after, wide = x < WIDTH * 0.6, LETTER * len(words)
        at = x + 16 if after else x - 12
        y = _free(labels, at if after else at - wide, wide, y)
        chart.text(at, y + 4, words, f"of s{p.series % 6}", "start" if after else "end")
    return chart.svg()


def _free(taken: list[tuple[float, float, float]], x: float, wide: float, y: float) -> float:
    """The first height from y down at which a label from x on covers none of those taken; takes it."""
    while hit := [b for a, b, w in taken if abs(b - y) < LABEL and a < x + wide and x < a + w]:
        y = max(hit) + LABEL
    taken.append((x, y, wide))
    return y


def accuracy_by_length(rows: Sequence[SampleRow], bins: int = 8) -> str | None:
    """Accuracy in groups of equally many samples, from short to long ones; None when that is under 2."""
    length = np.array([row.thinking_tokens + row.answer_tokens for row in rows], dtype=float)
    right = np.array([row.outcome == Outcome.CORRECT for row in rows])
    bins = min(bins, len(rows) // 2)
    if bins < 2 or length.max() <= 0:
        return None
    order = np.argsort(length, kind="stable")
    chart = Chart("Accuracy against length", (max(1.0, length.min()), max(2.0, length.max())), log_x=True)
    chart.axes("tokens generated", "accuracy")
    centres = []
    for part in np.array_split(order, bins):
        share = stats.wilson(int(right[part].sum()), len(part))
        x = chart.x(float(np.median(length[part])))
        centres.append((x, chart.y(share.value)))
        chart.line(x, chart.y(share.low), x, chart.y(share.high), "thin s0")
        words = f"{len(part)} samples of {length[part].min():,.0f} to {length[part].max():,.0f} tokens"
        chart.dot(x, chart.y(share.value), "dot s0", f"{words}: {formats.percent(share.value, 0)}")
    chart.path(centres, "s0")
    return chart.svg()


def lengths_by_outcome(rows: Sequence[SampleRow], bins: int = 24) -> str | None:
    """How long samples thought, stacked by how they ended; None when nothing was generated."""
    length = np.array([row.thinking_tokens or row.answer_tokens for row in rows], dtype=float)
    if not length.size or length.max() <= 0:
        return None
    low, high = max(1.0, length.min()), max(length.max(), 2 * max(1.0, length.min()))
    edges = np.geomspace(low, high, bins + 1)
    place = np.clip(np.searchsorted(edges, length, side="right") - 1, 0, bins - 1)
    ended = np.array([row.outcome for row in rows])
    counts = {o: np.bincount(place[ended == str(o)], minlength=bins) for o in Outcome}
    top = max(1, int(np.sum(list(counts.values()), axis=0).max()))
    chart = Chart("Length of thinking by outcome", (low, high), (0, top), log_x=True)
    chart.axes("thinking tokens (answer tokens where there is no thinking)", "samples", percent_y=False)
    base = np.zeros(bins)
    for outcome, count in counts.items():
        for i in np.flatnonzero(count):
            words = f"{outcome}: {count[i]} samples of {edges[i]:,.0f} to {edges[i + 1]:,.0f} tokens"
            x1, x2 = chart.x(edges[i]) + 0.5, chart.x(edges[i + 1]) - 0.5
            y1, y2 = chart.y(base[i]), chart.y(base[i] + count[i])
            chart.bar(x1, y1, x2, y2, f"o-{outcome}", words)
            if y1 - y2 >= 14:
                chart.text((x1 + x2) / 2, (y1 + y2) / 2 + 4, OUTCOME_MARKS[outcome], "mark")
        base += count
    return chart.svg()


def css(ink: str, quiet: str, line: str) -> str:
    """The styles of all marks; the three colours may be CSS variables."""
    series = "".join(
        f".s{i}{{stroke:{c}}}.dot.s{i},.chart .of.s{i}{{fill:{c}}}" for i, c in enumerate(SERIES_COLOURS)
    )
    outcomes = "".join(f".o-{o}{{fill:{c};background-color:{c}}}" for o, c in OUTCOME_COLOURS.items())
    return (
        f".chart text{{font:12px system-ui,sans-serif;fill:{quiet}}}.chart .label{{fill:{ink}}}"
        ".chart .mark{fill:#000}"
        f".chart .grid{{stroke:{line};stroke-width:1}}.chart .axis{{stroke:{quiet};stroke-width:1}}"
        f".thin{{stroke-width:1.5}}.thick{{stroke-width:6;stroke-opacity:.45}}"
        f".chart .of{{stroke:none}}.path{{fill:none;stroke-width:1.5;stroke-opacity:.5}}"
        f".dashed{{stroke-dasharray:5 4}}{series}{outcomes}"
    )


def standalone(svg: str, *, dark: bool | None = None) -> str:
    """The plot as a file of its own: light and dark by the viewer's wish, or one of the two."""

    def style(theme: dict[str, str]) -> str:
        return css(theme["ink"], theme["quiet"], theme["line"]) + f".paper{{fill:{theme['paper']}}}"

    rules = style(DARK if dark else LIGHT)
    if dark is None:
        rules += f"@media (prefers-color-scheme:dark){{{style(DARK)}}}"
    start = svg.index(">") + 1
    return f'{svg[:start]}<style>{rules}</style><rect class="paper" width="100%" height="100%"/>{svg[start:]}'


def png(svg: str, *, dark: bool = False, width: int = 2 * WIDTH) -> bytes:
    """The plot as pixels.

    Raises:
        Unavailable: resvg-py is not installed.
    """
    try:
        import resvg_py
    except ImportError as error:
        raise Unavailable(
            "PNG plots need resvg-py", hint=f"{installation.extra('png')}, or ask for SVG"
        ) from error
    return bytes(resvg_py.svg_to_bytes(svg_string=standalone(svg, dark=dark), width=width))


def _words(p: Point) -> str:
    i = p.accuracy
    return f"{p.label}: {formats.interval(i.value, i.low, i.high)}"


def _ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Round numbers within [low, high]."""
    if high <= low:
        return [low]
    raw = (high - low) / about
    unit = 10.0 ** math.floor(math.log10(raw))
    step = next(unit * m for m in (1, 2, 2.5, 5, 10) if unit * m >= raw)
    first = math.ceil(low / step - 1e-9)
    return [step * i for i in range(first, math.floor(high / step + 1e-9) + 1)]


def _log_ticks(low: float, high: float) -> list[float]:
    """1, 2 and 5 times powers of ten within [low, high], or the ends when there are none."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    return [t for p in powers for m in (1, 2, 5) if low <= (t := m * 10.0**p) <= high] or [low, high]


def _tick(value: float, percent: bool) -> str:
    if percent:
        return formats.percent(value, 0)
    return f"{value:,.0f}" if value == round(value) else f"{value:g}"


def _short(words: str, most: int) -> str:
    return words if len(words) <= most else words[: most - 1] + "…"


def _safe(words: str) -> str:
    """Text for an XML document: control characters, which XML forbids, become spaces."""
    return escape("".join(c if c.isprintable() else " " for c in words))
