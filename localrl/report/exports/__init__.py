"""A run in the formats of others, one file each.

A format is a module with

    SUFFIX = ".jsonl"      # what a file of this format usually ends with
    BINARY = True          # left out where it may go to standard output
    EXTRA = "parquet"      # the extra of localrl that it needs, where it needs one

    def write(run: Results, out: IO[bytes]) -> None     # samples are streamed one after another

Its docstring's first paragraph says what it writes. `write` raises UsageError for a run that it cannot hold.
"""

from __future__ import annotations

from typing import IO, TYPE_CHECKING, Protocol

from localrl import paths
from localrl.errors import UsageError
from localrl.registry import Registry, arguments

if TYPE_CHECKING:
    from pathlib import Path

    from localrl.report.results import Results


class ExportFormat(Protocol):
    SUFFIX: str

    def write(self, run: Results, out: IO[bytes]) -> None: ...


def _wrong(form: ExportFormat) -> str:
    if not form.SUFFIX.startswith("."):
        return f"has a SUFFIX that is no ending of a file: {form.SUFFIX!r}"
    return arguments(form, "write", 2)


FORMATS = Registry[ExportFormat](
    "export format",
    "localrl.report.exports",
    "localrl.exports",
    {
        "SUFFIX": "what a file of this format usually ends with, such as .jsonl",
        "write": "write(run, out) -> None",
        "__doc__": "its docstring says what it writes",
    },
    _wrong,
)


def extra(name: str) -> str:
    """What has to be installed for one of our formats, as pip takes it; empty when nothing is."""
    found: str = getattr(FORMATS.get(name), "EXTRA", "")
    return f"localrl[{found}]" if found else ""


def export(run: Results, name: str, path: Path | None, stdout: IO[bytes] | None = None) -> None:
    """Write a run in one format, to a file or to a binary stream.

    Raises:
        UsageError: there is no such format, or it is binary and no file is named, or it cannot hold this run.
        Unavailable: the format needs an extra that is not installed.
        StoreError: the file cannot be written.
    """
    form = FORMATS.get(name)
    binary = getattr(form, "BINARY", False)
    if path is not None and binary and path.suffix in {".json", ".jsonl", ".csv"} - {form.SUFFIX}:
        raise UsageError(f"{name} writes no text", hint=f"name it {path.with_suffix(form.SUFFIX)}")
    if path is not None:
        with paths.whole_file(path) as out:
            form.write(run, out)
    elif stdout is None or binary:
        raise UsageError(f"{name} is a binary format", hint=f"name a file: -o run{form.SUFFIX}")
    else:
        form.write(run, stdout)
