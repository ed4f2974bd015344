"""Rows of a table, one at a time: `.jsonl`, `.csv` (both also `.gz`), `.parquet`."""

from __future__ import annotations

import csv
import gzip
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, cast

from localrl import jsontext
from localrl.errors import Unavailable, UsageError, nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Row = dict[str, Any]


def read(path: Path) -> Iterator[Row]:
    """The rows of a file, by its ending.

    Raises:
        UsageError: the file is missing, of an unknown kind or malformed; names the line where there is one.
        Unavailable: a `.parquet` file, and pyarrow is not installed.
    """
    reader = READERS.get(Path(path.name.removesuffix(".gz")).suffix.lower())
    if reader is None:
        raise UsageError(
            f"{path}: cannot read {path.suffix or 'such'} files", hint=f"use {', '.join(READERS)}"
        )
    try:
        yield from reader(path)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not UTF-8 text") from error


def cell(row: Row, column: str) -> Any:
    """A column's value.

    Raises:
        UsageError: the row has no such column; names the nearest.
    """
    if column not in row:
        raise UsageError(f"a row has no column {column!r}", hint=nearest(column, map(str, row)))
    return row[column]


def _text(path: Path, encoding: str, newline: str | None = None) -> TextIO:
    if path.suffix == ".gz":
        return cast("TextIO", gzip.open(path, "rt", encoding=encoding, newline=newline))
    return path.open(encoding=encoding, newline=newline)


def _jsonl(path: Path) -> Iterator[Row]:
    with _text(path, "utf-8") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
                if "\\ud" in line.lower():
                    row = jsontext.whole(row)
            except json.JSONDecodeError as error:
                raise UsageError(f"{path}:{number}: not a JSON object: {error.msg}") from error
            if not isinstance(row, dict):
                raise UsageError(f"{path}:{number}: not a JSON object")
            yield row


def _csv(path: Path) -> Iterator[Row]:
    csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
    with _text(path, "utf-8-sig", newline="") as lines:
        reader = csv.DictReader(lines)
        for row in reader:
            if None in row or None in row.values():
                columns = len(reader.fieldnames or ())
                raise UsageError(f"{path}:{reader.line_num}: not {columns} columns as in the first line")
            yield row


def _parquet(path: Path) -> Iterator[Row]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise Unavailable(
            f"reading {path.name} needs pyarrow", hint="pip install 'localrl[parquet]'"
        ) from error
    try:
        with pyarrow.parquet.ParquetFile(path) as table:
            for batch in table.iter_batches(batch_size=256):
                yield from batch.to_pylist()
    except pyarrow.ArrowException as error:
        raise UsageError(f"{path}: not a parquet file: {error}") from error


READERS: dict[str, Callable[[Path], Iterator[Row]]] = {".jsonl": _jsonl, ".csv": _csv, ".parquet": _parquet}


def text(row: Row, column: str) -> str:
    value = row.get(column)
    if not isinstance(value, str):
        raise ValueError(f"column {column!r} is {'missing' if value is None else 'not text'}")
    return value
