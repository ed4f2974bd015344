"""Thinking budgets in words and a table: what the terminal, the interface, HTML and Markdown render."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from localrl import formats
from localrl.formats import number, percent, points
from localrl.report.tables import Table

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

UNLIMITED = "no limit"
"""What a sample is called that thinks as long as it wants."""


class CurvePoint(NamedTuple):
    """One point of the curve."""

    budget: int | None
    """None thinks as long as it wants."""
    value: float
    low: float
    high: float
    gain: Mapping[str, Any] | None
    """Over the point before, paired by problem; None where there is none."""
    tokens: float
    """Generated for a sample."""
    correct_per_hour: float | None

    @property
    def name(self) -> str:
        return UNLIMITED if self.budget is None else f"{self.budget:,}"


def curve(entry: Mapping[str, Any]) -> list[CurvePoint]:
    """The points of an eval's entry, samples that think on last; empty where it has no budgets."""
    summary = entry.get("budget_summary")
    if not summary:
        return []
    tokens = {way["budget"]: way["tokens"] for way in summary["spending"] if way["samples"] == 1}
    last = {**summary["unlimited"], "budget": None, "accuracy": entry["accuracy"]}
    return [
        CurvePoint(
            budget=at["budget"],
            value=at["accuracy"]["value"],
            low=at["accuracy"]["low"],
            high=at["accuracy"]["high"],
            gain=at["gain"],
            tokens=tokens[at["budget"]],
            correct_per_hour=at["correct_per_hour"],
        )
        for at in [*entry["budgets"], last]
    ]


def table(entry: Mapping[str, Any]) -> Table | None:
    """Every budget in a row; None where there is none."""
    points_ = curve(entry)
    if not points_:
        return None
    header = ["thinking tokens", "accuracy (95 %)", "gain (paired)", "cut without an answer", "forced"]
    header += ["majority vote", "tokens/sample", "right/hour"]
    rows = []
    for point, at in zip(points_, [*entry["budgets"], None], strict=True):
        votes = (at or entry)["majority_at"]
        rows.append(
            [
                point.name,
                formats.interval(point.value, point.low, point.high),
                _gain(point.gain),
                percent(at["hard_cut"]["value"]) if at else formats.ABSENT,
                f"{at['forced']:,} of {at['forced'] + at['natural']:,}" if at else formats.ABSENT,
                f"{percent(list(votes.values())[-1])} (k={list(votes)[-1]})" if votes else formats.ABSENT,
                number(point.tokens),
                number(point.correct_per_hour, 0),
            ]
        )
    return Table(header, rows)


def lines(entry: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What the budgets say, as labels and sentences."""
    summary = entry.get("budget_summary")
    if not summary:
        return
    if best := summary["most_per_hour"]:
        at = f"{best['budget']:,} thinking tokens" if best["budget"] else "no limit of thinking"
        yield "best", f"{number(best['correct_per_hour'], 0)} right answers an hour, the most, with {at}"
    if area := summary["area"]:
        mean = formats.interval(area["value"], area["low"], area["high"])
        yield "area", f"{mean}   the mean over log2 of the budget"
    for further in summary["further"]:
        if None not in (further["thinking"], further["voting"]):
            yield "further", _further(**further)
    for sure in summary["stop_when_sure"]:
        saved = f"{percent(abs(sure['saved']), 0)} {'fewer' if sure['saved'] > 0 else 'more'} tokens"
        lost = _gain(sure["difference"]) if sure["difference"] else points(0)
        yield "sure", f"stopping after {sure['answers']} equal answers: {saved}, {lost} points; in-sample"
    if replayed := [at["budget"] for at in entry["budgets"] if at["replayed"]]:
        budgets = ", ".join(f"{budget:,}" for budget in replayed)
        yield "replayed", f"answers at {budgets} were made after the run, from its stored thinking"


def _further(budget: int, thinking: float, voting: float) -> str:
    """Where tokens pay, told for so many that no difference passes 100 points."""
    tokens = next((many for many in (1000, 100, 10) if max(abs(thinking), abs(voting)) * many <= 1000), 1)
    most, least = (points(rate * tokens / 1000) for rate in sorted((thinking, voting), reverse=True))
    better = "thinking longer" if thinking > voting else "a vote of more samples"
    return f"from {budget:,} on, {tokens:,} tokens are best spent on {better} ({most} points against {least})"


def _gain(gain: Mapping[str, Any] | None) -> str:
    return formats.difference(gain["value"], gain["low"], gain["high"]) if gain else formats.ABSENT
