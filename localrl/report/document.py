"""What a report holds, on one run or on several compared with the first; HTML and Markdown render it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from localrl import stats
from localrl.errors import UsageError
from localrl.report import budget_charts, charts, comparison, comparison_summary, run_summary

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from localrl.report.comparison_summary import ComparisonSummary
    from localrl.report.results import Results
    from localrl.report.run_summary import RunSummary
    from localrl.report.tables import Table
    from localrl.sample import SampleRow

FOOTER = "Intervals are at 95 %; docs/statistics.md of localrl says how they are made."


@dataclass(frozen=True, slots=True)
class Section:
    """One run of the report."""

    name: str
    view: RunSummary
    evals: Table
    plots: Mapping[str, Mapping[str, str | None]]
    """By eval: "length", "thinking", "budgets", "spending", as SVG; None where there is nothing to draw."""
    command: str
    environment: Table
    rows: Sequence[SampleRow]


@dataclass(frozen=True, slots=True)
class Document:
    title: str
    subtitle: str
    headline: Sequence[tuple[str, str, str]]
    """What, its value, and a remark; empty where runs are compared."""
    comparison: ComparisonSummary | None
    charts: Mapping[str, str | None]
    """"accuracy" and "speed", of all runs."""
    sections: Sequence[Section]


def make(runs: Sequence[Results]) -> Document:
    """
    Raises:
        UsageError: no run is given, or one has no sample.
    """
    if not runs:
        raise UsageError("a report needs a run", hint="`localrl runs ls` lists them")
    reports = [run.report for run in runs]
    names = comparison.names(reports)
    sections = [_section(run, name) for run, name in zip(runs, names, strict=True)]
    compared = comparison.of_sharing(runs)
    points = [
        point
        for number, (section, report) in enumerate(zip(sections, reports, strict=True))
        for point in _points(number, section.name, report, alone=len(runs) == 1)
    ]
    return Document(
        title=f"{', '.join(names[1:])} against {names[0]}" if compared else ", ".join(names),
        subtitle="; ".join(map(run_summary.subtitle, reports)),
        headline=() if compared else run_summary.headline(reports[0]),
        comparison=comparison_summary.of_comparison(compared) if compared else None,
        charts={"accuracy": charts.accuracy(points), "speed": charts.accuracy_by_speed(points)},
        sections=sections,
    )


def _section(run: Results, name: str) -> Section:
    rows, report = list(run.rows()), run.report
    if not rows:
        raise UsageError(f"run {name} has no finished sample yet", hint="resume it, or choose another")
    plots = {}
    for entry in run_summary.judged(report):
        own = [row for row in rows if row.eval == entry["eval"]]
        plots[entry["eval"]] = {
            "length": charts.accuracy_by_length(own),
            "thinking": charts.lengths_by_outcome(own),
            "budgets": budget_charts.by_thinking(entry),
            "spending": budget_charts.by_tokens(entry),
        }
    return Section(
        name=name,
        view=run_summary.of_run(report),
        evals=run_summary.evals_table(report),
        plots=plots,
        command=run_summary.command(report),
        environment=run_summary.environment(report),
        rows=rows,
    )


def _points(number: int, name: str, report: Mapping[str, Any], alone: bool) -> list[charts.Point]:
    """The run's evals in the plots that compare."""
    entries = run_summary.judged(report)
    return [
        charts.Point(
            label=entry["eval"] if alone and len(entries) == 1 else f"{name} {entry['eval']}",
            series=number,
            short=entry["eval"],
            accuracy=stats.Interval(**entry["accuracy"]),
            repeatability=stats.Interval(**entry["repeatability"]) if entry["samples"] > 1 else None,
            x=report["speed"]["decode_tokens_per_s"],
        )
        for entry in entries
    ]
