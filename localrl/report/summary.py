"""What a report says, before it is HTML, Markdown, CSV or JSON: the statistics, and the parts of a page."""

from __future__ import annotations

import shlex
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from localrl import __version__, formats, stats
from localrl.errors import UsageError
from localrl.report import charts, comparing, tables
from localrl.report.report import SO_FAR
from localrl.stats.groups import Group, Groups, arrays, groups
from localrl.verdict import Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence

    from localrl.report.results import Results
    from localrl.sample import SampleRow


@dataclass(frozen=True, slots=True)
class EvalSummary:
    """One eval of one run, with every number's interval or denominator."""

    eval: str
    problems: int
    samples: int
    k: str
    """Samples a problem: "4", or "1–4" where they differ."""
    accuracy: stats.Interval
    """For problems of this kind."""
    repeatability: stats.Interval
    """For these problems, if the run were repeated."""
    pass_at: dict[int, float]
    majority_at: dict[str, float]
    completed: stats.Completed
    bounds: tuple[float, float]
    """Accuracy if all samples that the verifier failed on were wrong, and if all were right."""
    outcomes: dict[str, int]
    tokens: int
    published: tuple[dict[str, Any], ...] = ()
    deviations: tuple[str, ...] = ()
    stopped: dict[str, Any] | None = None
    """Why the eval was stopped early, with the interval that holds although the run was watched."""


@dataclass(frozen=True, slots=True)
class RunSummary:
    name: str
    report: dict[str, Any]
    evals: tuple[EvalSummary, ...]
    figures: comparing.Figures
    counted: Groups


def summarise(run: Results, name: str, rows: Sequence[SampleRow]) -> RunSummary:
    """All statistics of one run.

    Raises:
        UsageError: the run has no sample.
    """
    counted = groups(rows)
    if not counted:
        raise UsageError(f"run {name} has no finished sample yet", hint="resume it, or choose another")
    outcomes: dict[str, Counter[str]] = {name: Counter() for name in counted}
    for row in rows:
        outcomes[row.eval][str(row.outcome)] += 1
    about = {entry.get("eval"): entry for entry in run.report.get("evals") or []}
    return RunSummary(
        name=name,
        report=run.report,
        evals=tuple(
            _eval(eval_name, list(problems.values()), outcomes[eval_name], about.get(eval_name, {}))
            for eval_name, problems in counted.items()
        ),
        figures=comparing.figures(name, run.report, counted),
        counted=counted,
    )


def _eval(name: str, problems: list[Group], outcomes: Counter[str], entry: dict[str, Any]) -> EvalSummary:
    n, c = arrays(problems)
    least, most = int(n.min()), int(n.max())
    return EvalSummary(
        eval=name,
        problems=len(problems),
        samples=int(n.sum()),
        k=str(most) if least == most else f"{least}–{most}",
        accuracy=stats.generalisation(n, c),
        repeatability=stats.repeatability(n, c),
        pass_at={j: stats.pass_at(n, c, j) for j in _powers(least)},
        majority_at=dict(entry.get("majority_at") or {}),
        completed=stats.completed_accuracy(n, [g.completed for g in problems], c),
        bounds=stats.verifier_bounds(n, c, [g.failed for g in problems]),
        outcomes={o: outcomes[o] for o in Outcome if outcomes[o]},
        tokens=sum(g.tokens for g in problems),
        published=tuple(entry.get("published") or ()),
        deviations=tuple(entry.get("deviations") or ()),
        stopped=entry.get("stopped"),
    )


def _powers(k: int) -> list[int]:
    """1, 2, 4, ... and k itself."""
    return sorted({k, *(2**i for i in range(k.bit_length()) if 2**i <= k)})


@dataclass(frozen=True, slots=True)
class Table:
    header: list[str]
    rows: list[list[str]]
    text: int = 1
    """So many columns from the left are text, the others numbers."""


@dataclass(frozen=True, slots=True)
class Item:
    what: str
    value: str
    more: str = ""


@dataclass(frozen=True, slots=True)
class Content:
    """What page.html.j2 is filled with."""

    title: str
    subtitle: str
    headline: list[Item]
    comparison: dict[str, Any] | None
    charts: dict[str, str | None]
    runs: list[dict[str, Any]] = field(default_factory=list)
    version: str = __version__
    footer: str = "Intervals are at 95 %; docs/statistics.md of localrl says how they are made."


@dataclass(frozen=True, slots=True)
class Page:
    content: Content
    rows: list[list[SampleRow]]
    """Each run's samples."""


def page(runs: Sequence[Results]) -> Page:
    """The parts of a report on one run, or on several compared with the first.

    Raises:
        UsageError: no run is given, or one has no sample.
    """
    if not runs:
        raise UsageError("a report needs a run", hint="`localrl runs ls` lists them")
    names = comparing.names([run.report for run in runs])
    summaries, parts, read = [], [], []
    for number, (run, name) in enumerate(zip(runs, names, strict=True)):
        rows = list(run.rows())
        summaries.append(summarise(run, name, rows))
        parts.append(_parts(number, summaries[-1], rows))
        read.append(rows)
    counted = [s.counted for s in summaries]
    side = comparing.compare(runs, counted=counted) if share_problems(summaries) else None
    points = [
        charts.Point(
            label=f"{s.name} {e.eval}" if len(summaries) > 1 or len(s.evals) > 1 else e.eval,
            series=i,
            short=e.eval,
            accuracy=e.accuracy,
            repeatability=None if e.k == "1" else e.repeatability,
            x=s.figures.decode_tokens_per_s,
        )
        for i, s in enumerate(summaries)
        for e in s.evals
    ]
    content = Content(
        title=" against ".join(names[:2]) + (f" and {len(names) - 2} more" if len(names) > 2 else ""),
        subtitle=_subtitle(summaries[0].report),
        headline=_headline(summaries[0], whose=f", {names[0]}" if len(names) > 1 else ""),
        comparison=_comparison(side) if side else None,
        charts={"accuracy": charts.accuracy(points), "speed": charts.accuracy_by_speed(points)},
        runs=[
            {
                "name": s.name,
                "evals": evals_table(s),
                "notes": _notes(s),
                "parts": part,
                "command": command(s.report),
                "environment": _environment(s.report),
            }
            for s, part in zip(summaries, parts, strict=True)
        ],
    )
    return Page(content, read)


def share_problems(summaries: Sequence[RunSummary]) -> bool:
    """Whether some run can be compared with the first: they share two problems of an eval."""
    first = summaries[0].counted
    return any(
        len(first.get(name, {}).keys() & problems.keys()) > 1
        for other in summaries[1:]
        for name, problems in other.counted.items()
    )


def _parts(number: int, summary: RunSummary, rows: list[SampleRow]) -> list[dict[str, Any]]:
    found = []
    for e in summary.evals:
        own = [row for row in rows if row.eval == e.eval]
        found.append(
            {
                "eval": e.eval,
                "key": f"{number}/{e.eval}",
                "outcomes": [
                    {"name": o, "words": f"{o.replace('_', ' ')} {n:,}"} for o, n in e.outcomes.items()
                ],
                "by_length": charts.accuracy_by_length(own),
                "lengths": charts.lengths_by_outcome(own),
            }
        )
    return found


def evals_table(summary: RunSummary) -> Table:
    """Every eval with its intervals, outcomes, and what was published for this model."""
    header = ["eval", "accuracy (95 %)", "published", "on these problems", "pass@k", "majority@k"]
    header += ["completed only", "not completed", "problems × k", "tokens/sample"]
    rows = []
    for e in summary.evals:
        top = max(e.pass_at)
        majority = list(e.majority_at.items())
        done = e.completed.accuracy
        rows.append(
            [
                e.eval,
                _interval(e.accuracy),
                "; ".join(_published(p) for p in e.published) or formats.ABSENT,
                formats.ABSENT if e.k == "1" else _interval(e.repeatability),
                f"{formats.percent(e.pass_at[top])} (k={top})" if top > 1 else formats.ABSENT,
                f"{formats.percent(majority[-1][1])} (k={majority[-1][0]})" if majority else formats.ABSENT,
                _interval(done),
                formats.percent(e.completed.cut_share),
                f"{e.problems} × {e.k}",
                formats.number(e.tokens / e.samples),
            ]
        )
    return Table(header, rows)


def _interval(i: stats.Interval | None) -> str:
    return formats.interval(i.value, i.low, i.high) if i else formats.ABSENT


def _published(entry: dict[str, Any]) -> str:
    source = f" ({entry['source']})" if entry.get("source") else ""
    return f"{formats.percent(entry.get('value'))}{source}"


def _notes(summary: RunSummary) -> list[str]:
    notes = []
    for e in summary.evals:
        if e.deviations:
            whose = "the published protocol" if e.published else "the eval's definition"
            notes.append(f"{e.eval} departs from {whose}: {', '.join(e.deviations)}.")
        if e.stopped:
            notes.append(_stopped(e.eval, e.stopped))
        if e.bounds[0] != e.bounds[1]:
            low, high = (formats.percent(b) for b in e.bounds)
            notes.append(
                f"{e.eval}: the verifier failed on some samples; accuracy lies between {low} and {high}."
            )
    if summary.report.get("status") not in (None, "complete"):
        notes.append(f"This run is {SO_FAR}.")
    if summary.figures.energy_j is None:
        notes.append("Energy was not measured.")
    return notes


def _stopped(name: str, stop: dict[str, Any]) -> str:
    """Why an eval was stopped early, with the interval that holds although the run was watched."""
    low, high = stop["interval"]["low"], stop["interval"]["high"]
    after = f"after {stop['problems']} {stop['unit']}"
    if stop["rule"] == "decide":
        span = f"{formats.points(low)} to {formats.points(high)} points"
        return (
            f"{name} was stopped early by --decide, {after}: {stop['verdict']} than the other run, by {span}."
        )
    return (
        f"{name} was stopped early by --until, {after}; the interval that holds although the run was watched "
        f"is {formats.bounds(low, high)} %, not the one above."
    )


def _headline(summary: RunSummary, whose: str) -> list[Item]:
    f = summary.figures
    items = [
        Item(
            e.eval + whose,
            formats.percent(e.accuracy.value),
            formats.bounds(e.accuracy.low, e.accuracy.high),
        )
        for e in summary.evals[:3]
    ]
    items.append(
        Item("decode" + whose, f"{formats.number(f.decode_tokens_per_s)} tok/s", _streams(summary.report))
    )
    items.append(
        Item(
            "right answers" + whose, f"{formats.number(f.correct_per_hour)} /h", f"{f.correct:,} in this run"
        )
    )
    if f.correct_per_kilojoule is not None:
        items.append(
            Item("right answers" + whose, f"{formats.number(f.correct_per_kilojoule, 2)} /kJ", "measured")
        )
    return items


def _streams(report: dict[str, Any]) -> str:
    parallel = (report.get("backend") or {}).get("parallel")
    return f"{parallel} at once" if parallel else ""


def _subtitle(report: dict[str, Any]) -> str:
    backend, hardware = report.get("backend") or {}, report.get("hardware") or {}
    words = [
        str(report.get("created") or "")[:10],
        " ".join(str(v) for v in (backend.get("name"), backend.get("version")) if v),
        str(hardware.get("device") or ""),
        f"run {report['run']}" if report.get("run") else "",
    ]
    return " · ".join(word for word in words if word)


def _comparison(side: comparing.Side) -> dict[str, Any]:
    accuracy, figures = tables.accuracy_rows(side), tables.figure_rows(side)
    return {
        "baseline": side.baseline,
        "warnings": side.warnings,
        "changed": side.changed,
        "sentences": [tables.sentence(side, pair) for pair in side.pairs],
        "accuracy": Table(*accuracy, text=2),
        "figures": Table(*figures),
    }


def command(report: dict[str, Any]) -> str:
    """The command that makes this run again: as the run recorded it, else put together from its settings."""
    recorded = report.get("command")
    if recorded:
        return recorded if isinstance(recorded, str) else shlex.join(map(str, recorded))
    model, sampling = report.get("model") or {}, report.get("sampling") or {}
    evals, backend = report.get("evals") or [], report.get("backend") or {}
    name = ":".join(str(model[key]) for key in ("name", "quantisation") if model.get(key)) or "MODEL"
    words = ["localrl", "bench", name, *[str(e.get("eval")) for e in evals]]
    if evals and evals[0].get("samples"):
        words += ["--samples", str(evals[0]["samples"])]
    for key in ("seed", "temperature", "top_p", "top_k", "min_p", "max_tokens"):
        if sampling.get(key) is not None:
            words += [f"--{key.replace('_', '-')}", str(sampling[key])]
    for key, flag in (("name", "--backend"), ("parallel", "--parallel"), ("context", "--ctx")):
        if backend.get(key):
            words += [flag, str(backend[key])]
    return shlex.join(words)


def _environment(report: dict[str, Any]) -> Table:
    rows = []
    for part in ("model", "backend", "hardware", "sampling"):
        for key, value in (report.get(part) or {}).items():
            if isinstance(value, dict):
                rows += [
                    [f"{part} {key.removesuffix('s')} {name}", str(each)] for name, each in value.items()
                ]
            elif value not in (None, "", []):
                rows.append([f"{part} {key.replace('_', ' ')}", str(value)])
    return Table(["environment", ""], rows, text=2)
