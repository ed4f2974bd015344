"""A run in the formats of others: one file a format, each a function from a run to a file.

Samples are streamed one after another, and a file appears under its name only when it is whole.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import IO, TYPE_CHECKING

from localrl.errors import StoreError, UsageError, nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from localrl.report.results import Results


@dataclass(frozen=True, slots=True)
class Format:
    module: str
    function: str
    suffix: str
    """What a file of this format usually ends with."""
    text: bool
    """Whether it may go to standard output."""
    help: str


FORMATS = {
    "jsonl": Format("flat", "write_jsonl", ".jsonl", True, "one sample a line; `runs import` reads it back"),
    "csv": Format("flat", "write_csv", ".csv", True, "one sample a line, without the long texts"),
    "parquet": Format("flat", "write_parquet", ".parquet", False, "one sample a row, texts included"),
    "inspect": Format("inspect_log", "write", ".eval", False, "a log of Inspect, one eval a file"),
    "lm-eval": Format("lm_eval", "write", ".json", True, "the results of lm-evaluation-harness"),
    "grpo": Format(
        "grpo", "write_jsonl", ".jsonl", True, "one group a line, with advantages; for TRL and verl"
    ),
    "grpo-parquet": Format("grpo", "write_parquet", ".parquet", False, "the same as Parquet"),
}


def export(run: Results, name: str, path: Path | None, stdout: IO[bytes] | None = None) -> None:
    """Write a run in one format, to a file or to a binary stream.

    Raises:
        UsageError: there is no such format, or it is binary and no file is named, or it cannot hold this run.
        Unavailable: the format needs an extra that is not installed.
        StoreError: the file cannot be written.
    """
    if name not in FORMATS:
        raise UsageError(f"no export format named {name!r}", hint=nearest(name, FORMATS))
    form = FORMATS[name]
    write: Callable[[Results, IO[bytes]], None] = getattr(
        import_module(f"localrl.report.exports.{form.module}"), form.function
    )
    if path is None:
        if stdout is None or not form.text:
            raise UsageError(f"{name} is a binary format", hint=f"name a file: -o run{form.suffix}")
        write(run, stdout)
        return
    with whole_file(path) as out:
        write(run, out)


@contextmanager
def whole_file(path: Path) -> Iterator[IO[bytes]]:
    """A file that appears under its name only after everything was written.

    Raises:
        StoreError: the folder or the disk does not let it be written.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as out:
            yield out
        part.replace(path)
    except OSError as error:
        raise StoreError(
            f"cannot write {path}: {error.strerror}", hint="choose another place with -o"
        ) from error
    finally:
        part.unlink(missing_ok=True)
