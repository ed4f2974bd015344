"""Write a report on runs to a file or a stream: HTML, Markdown, CSV, JSON, or the plots alone."""

from __future__ import annotations

import csv
import io
from dataclasses import asdict
from typing import IO, TYPE_CHECKING, Any

from localrl import jsontext
from localrl.errors import UsageError, nearest
from localrl.report import charts, comparing, html, summary, tables
from localrl.report.exports import whole_file
from localrl.verdict import Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from localrl.report.results import Results

FORMATS = ("html", "md", "csv", "json", "svg", "png")
TRANSCRIPTS = ("all", "failed", "none")


def write(
    runs: Sequence[Results],
    form: str,
    path: Path | None,
    stdout: IO[bytes] | None = None,
    *,
    transcripts: str = "all",
    max_texts: int = 20_000,
    max_bytes: int = 32_000_000,
) -> list[Path]:
    """Write the report, to standard output when no path is given; returns the files made.

    With svg and png, `path` is a folder that gets one file a plot.

    Raises:
        UsageError: no such format, nothing to report on, or no path for plots.
        Unavailable: PNG needs an extra that is not installed.
        StoreError: a file cannot be written.
    """
    if form not in FORMATS:
        raise UsageError(f"no report format named {form!r}", hint=nearest(form, FORMATS))
    if form in ("svg", "png"):
        return _plots(runs, form, path)
    texts = {"transcripts": transcripts, "max_texts": max_texts, "max_bytes": max_bytes}
    if path is None:
        if stdout is None:
            raise UsageError("a report needs a file", hint=f"-o report.{form}")
        _write(runs, form, stdout, texts)
        return []
    with whole_file(path) as out:
        _write(runs, form, out, texts)
    return [path]


def _write(runs: Sequence[Results], form: str, out: IO[bytes], texts: dict[str, Any]) -> None:
    if form == "html":
        html.write(runs, out, **texts)
    else:
        text = {"md": markdown, "csv": csv_table, "json": json_document}[form](runs)
        out.write(text.encode("utf-8", "replace"))


def markdown(runs: Sequence[Results]) -> str:
    """The report without plots and transcripts, for a README or an issue."""
    page = summary.page(runs).content
    parts = [f"# {_line(page.title)}", "", _line(page.subtitle), ""]
    if page.comparison:
        c = page.comparison
        parts += [f"## Comparison with {_line(c['baseline'])}", ""]
        parts += [f"> Warning: {_line(words)}" for words in c["warnings"]]
        parts += ["", *[_line(words) for words in c["sentences"]], ""]
        for key in ("accuracy", "figures"):
            parts += [tables.markdown(c[key].header, c[key].rows, c[key].text), ""]
    for run in page.runs:
        parts += [f"## {_line(run['name'])}", "", tables.markdown(run["evals"].header, run["evals"].rows), ""]
        for part in run["parts"]:
            words = ", ".join(outcome["words"] for outcome in part["outcomes"])
            parts.append(f"- {_line(part['eval'])}: {words}")
        parts += [f"- {_line(note)}" for note in run["notes"]]
        parts += ["", "```sh", _line(run["command"]).replace("```", ""), "```", ""]
        environment = run["environment"]
        parts += [tables.markdown(environment.header, environment.rows, environment.text), ""]
    parts.append(page.footer)
    return "\n".join(parts) + "\n"


def csv_table(runs: Sequence[Results]) -> str:
    """One line an eval and run, every number in its own column."""
    out = io.StringIO()
    writer: csv.DictWriter[str] | None = None
    for entry in _summaries(runs):
        for e in entry.evals:
            done = e.completed.accuracy
            row = {
                "run": entry.report.get("run"),
                "name": entry.name,
                "eval": e.eval,
                "problems": e.problems,
                "samples": e.samples,
                "k": e.k,
                **{str(outcome): e.outcomes.get(outcome, 0) for outcome in Outcome},
                "accuracy": e.accuracy.value,
                "low": e.accuracy.low,
                "high": e.accuracy.high,
                "repeat_low": e.repeatability.low,
                "repeat_high": e.repeatability.high,
                "pass_at_k": e.pass_at[max(e.pass_at)],
                "majority_at_k": next(reversed(e.majority_at.values()), None),
                "completed_accuracy": done.value if done else None,
                "not_completed": e.completed.cut_share,
                "if_verifier_errors_wrong": e.bounds[0],
                "if_verifier_errors_right": e.bounds[1],
                "tokens": e.tokens,
                **{k: v for k, v in asdict(entry.figures).items() if k not in ("run", "name", "correct")},
            }
            if writer is None:
                writer = csv.DictWriter(out, list(row))
                writer.writeheader()
            writer.writerow(row)
    return out.getvalue()


def json_document(runs: Sequence[Results]) -> str:
    """Reports, statistics and the comparison as one JSON document."""
    entries = _summaries(runs)
    comparison = (
        comparing.compare(runs, counted=[s.counted for s in entries])
        if summary.share_problems(entries)
        else None
    )
    document: dict[str, Any] = {
        "schema": 1,
        "runs": [
            {
                "name": s.name,
                "report": s.report,
                "command": summary.command(s.report),
                "evals": [asdict(e) for e in s.evals],
                "figures": asdict(s.figures),
            }
            for s in entries
        ],
        "comparison": comparison.as_dict() if comparison else None,
    }
    return jsontext.dumps(document, indent=2) + "\n"


def _summaries(runs: Sequence[Results]) -> list[summary.RunSummary]:
    names = comparing.names([run.report for run in runs])
    return [summary.summarise(run, name, list(run.rows())) for run, name in zip(runs, names, strict=True)]


def _plots(runs: Sequence[Results], form: str, folder: Path | None) -> list[Path]:
    if folder is None:
        raise UsageError(f"{form} plots need a folder", hint="-o plots")
    page = summary.page(runs).content
    plots = dict(page.charts)
    for number, run in enumerate(page.runs):
        for part in run["parts"]:
            stem = f"{number + 1}-{''.join(c if c.isalnum() or c in '-_.' else '_' for c in part['eval'])}"
            plots[f"{stem}-length"], plots[f"{stem}-thinking"] = part["by_length"], part["lengths"]
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    for name, svg in plots.items():
        if svg is not None:
            path = folder / f"{name}.{form}"
            data = charts.png(svg) if form == "png" else charts.standalone(svg).encode("utf-8", "replace")
            with whole_file(path) as out:
                out.write(data)
            made.append(path)
    return made


def _line(text: str) -> str:
    """Text that stays on its line and is no markup."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split()).replace("<", "&lt;")
