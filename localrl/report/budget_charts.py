"""Two plots of thinking budgets: accuracy over thinking, and over all tokens where samples vote as well."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from localrl import formats
from localrl.report import budget_summary
from localrl.report.charts import Chart

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

CUT = "s1"
"""The series of what a cut without a forced answer would score."""


def by_thinking(entry: Mapping[str, Any]) -> str | None:
    """Accuracy over the budget on a log2 axis; None where there are no budgets."""
    points = budget_summary.curve(entry)
    if not points:
        return None
    budgets = [point.budget for point in points if point.budget]
    last = 2 * budgets[-1]  # where those stand that have no limit
    chart = Chart("Accuracy over thinking budgets", (budgets[0] / 1.2, last * 1.2), log_x=True)
    chart.axes("thinking tokens (log2)", "accuracy; dashed: cut there without an answer", ticks=budgets)
    chart.text(chart.x(last), chart.height - 27, budget_summary.UNLIMITED)
    places = [(chart.x(point.budget or last), chart.y(point.value)) for point in points]
    cut = [(chart.x(at["budget"]), chart.y(at["hard_cut"]["value"])) for at in entry["budgets"]]
    chart.path(places, "s0")
    chart.path([*cut, places[-1]], f"{CUT} dashed")
    for point, (x, y) in zip(points, places, strict=True):
        chart.line(x, chart.y(point.low), x, chart.y(point.high), "thin s0")
        words = formats.interval(point.value, point.low, point.high)
        chart.dot(x, y, "dot s0", f"{point.name} thinking tokens: {words}")
    for at, (x, y) in zip(entry["budgets"], cut, strict=True):
        words = f"cut at {at['budget']:,} without an answer: {formats.percent(at['hard_cut']['value'])}"
        chart.dot(x, y, f"dot {CUT}", words)
    return chart.svg()


def by_tokens(entry: Mapping[str, Any]) -> str | None:
    """Accuracy over all tokens of a problem: one sample that thinks longer beside votes of several.

    None where no problem has two samples.
    """
    summary = entry.get("budget_summary")
    ways = summary["spending"] if summary else []
    sizes = sorted({way["samples"] for way in ways})
    if len(sizes) < 2:
        return None
    tokens = [way["tokens"] for way in ways]
    chart = Chart("Accuracy over all tokens of a problem", (min(tokens), max(tokens) * 1.05), log_x=True)
    chart.axes("tokens of a problem, thinking and answers of all its samples", "accuracy")
    for number, size in enumerate(sizes):
        _line(chart, [way for way in ways if way["samples"] == size], f"s{number % 6}", size, number)
    return chart.svg()


def _line(chart: Chart, ways: Sequence[Mapping[str, Any]], style: str, size: int, number: int) -> None:
    """One size of the vote, over the budgets."""
    who = "one sample" if size == 1 else f"vote of {size}"
    ordered = sorted(ways, key=lambda way: float(way["tokens"]))
    chart.path([(chart.x(way["tokens"]), chart.y(way["accuracy"])) for way in ordered], style)
    for way in ordered:
        budget = budget_summary.UNLIMITED if way["budget"] is None else f"{way['budget']:,} thinking tokens"
        words = f"{who}, {budget}: {formats.percent(way['accuracy'])} for {way['tokens']:,.0f} tokens"
        chart.dot(chart.x(way["tokens"]), chart.y(way["accuracy"]), f"dot {style}", words)
    chart.text(chart.left + 8, 40 + 16 * number, who, f"of {style}", "start")
