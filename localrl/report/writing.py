"""Write a report on runs to a file or a stream: HTML, Markdown, CSV, JSON, or its plots alone."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING, Any

from localrl.errors import UsageError, nearest
from localrl.paths import whole_file
from localrl.report import charts, document, html, markdown, numbers

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
    **transcripts: Any,
) -> list[Path]:
    """Write the report, to standard output when no path is given; returns the files made.

    Args:
        path: with svg and png, a folder that gets one file a plot.
        transcripts: what `html.write` takes.

    Raises:
        UsageError: no such format, nothing to report on, or no path for plots.
        Unavailable: PNG needs an extra that is not installed.
        StoreError: a file cannot be written.
    """
    if form not in FORMATS:
        raise UsageError(f"no report format named {form!r}", hint=nearest(form, FORMATS))
    if form in ("svg", "png"):
        return _plots(runs, form, path)
    if path is None:
        if stdout is None:
            raise UsageError("a report needs a file", hint=f"-o report.{form}")
        _write(runs, form, stdout, transcripts)
        return []
    with whole_file(path) as out:
        _write(runs, form, out, transcripts)
    return [path]


def _write(runs: Sequence[Results], form: str, out: IO[bytes], transcripts: dict[str, Any]) -> None:
    if form in ("csv", "json"):
        text = numbers.csv_table(runs) if form == "csv" else numbers.json_document(runs)
        out.write(text.encode("utf-8", "replace"))
    elif form == "md":
        out.write(markdown.text(document.make(runs)).encode("utf-8", "replace"))
    else:
        html.write(document.make(runs), runs, out, **transcripts)


def _plots(runs: Sequence[Results], form: str, folder: Path | None) -> list[Path]:
    if folder is None:
        raise UsageError(f"{form} plots need a folder", hint="-o plots")
    made = document.make(runs)
    plots = dict(made.charts)
    for number, section in enumerate(made.sections, 1):
        for name, drawn in section.plots.items():
            stem = f"{number}-{''.join(c if c.isalnum() or c in '-_.' else '_' for c in name)}"
            plots |= {f"{stem}-{kind}": svg for kind, svg in drawn.items()}
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for name, svg in plots.items():
        if svg is not None:
            path = folder / f"{name}.{form}"
            data = charts.png(svg) if form == "png" else charts.standalone(svg).encode("utf-8", "replace")
            with whole_file(path) as out:
                out.write(data)
            files.append(path)
    return files
