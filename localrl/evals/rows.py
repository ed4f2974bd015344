"""Rows of a table, one at a time: `.jsonl`, `.json`, `.csv`, `.tsv` (each also `.gz`), `.parquet`."""

from __future__ import annotations

import csv
import functools
import gzip
import json
import math
import sys
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, cast

from localrl import installation, jsontext
from localrl.errors import Unavailable, UsageError, nearest
from localrl.evals import escapes

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


def _text(path: Path, newline: str | None = None) -> TextIO:
    """UTF-8, with or without a byte order mark."""
    if path.suffix == ".gz":
        return cast("TextIO", gzip.open(path, "rt", encoding="utf-8-sig", newline=newline))
    return path.open(encoding="utf-8-sig", newline=newline)


def _json(path: Path) -> Iterator[Row]:
    """An object a line, or one array of objects: both are found under either ending."""
    with _text(path) as lines:
        first = True
        for number, line in enumerate(lines, 1):
            if first and line.lstrip().startswith("["):
                yield from _array(line + lines.read(), path, number)
            elif line.strip():
                yield _object(_parsed(line, path, number), f"{path}:{number}")
            first = first and not line.strip()


def _array(text: str, path: Path, line: int) -> Iterator[Row]:
    for number, row in enumerate(_parsed(text, path, line)):
        yield _object(row, f"{path}, row {number}")


def _parsed(text: str, path: Path, line: int) -> Any:
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise UsageError(f"{path}:{line + error.lineno - 1}: not a JSON object: {error.msg}") from error
    except RecursionError as error:
        raise UsageError(f"{path}:{line}: JSON that is nested too deeply") from error
    return jsontext.whole(value) if "\\ud" in text.lower() else value


def _object(value: Any, where: str) -> Row:
    if not isinstance(value, dict):
        raise UsageError(f"{where}: not a JSON object")
    return value


def _csv(path: Path, delimiter: str = ",") -> Iterator[Row]:
    csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
    with _text(path, newline="") as lines:
        reader = csv.DictReader(lines, delimiter=delimiter)
        names = Counter(name for name in reader.fieldnames or () if name)
        if twice := [name for name, times in names.items() if times > 1]:
            raise UsageError(f"{path}:1: two columns are called {twice[0]!r}", hint="rename one")
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
        raise Unavailable(f"reading {path.name} needs pyarrow", hint=installation.extra("parquet")) from error
    try:
        with pyarrow.parquet.ParquetFile(path) as table:
            for batch in table.iter_batches(batch_size=256):
                yield from batch.to_pylist()
    except pyarrow.ArrowException as error:
        raise UsageError(f"{path}: not a parquet file: {error}") from error


READERS: dict[str, Callable[[Path], Iterator[Row]]] = {
    ".jsonl": _json,
    ".json": _json,
    ".csv": _csv,
    ".tsv": functools.partial(_csv, delimiter="\t"),
    ".parquet": _parquet,
}


def text(row: Row, column: str) -> str:
    value = row.get(column)
    if not isinstance(value, str):
        raise ValueError(f"column {column!r} is {'missing' if value is None else 'not text'}")
    return value


def asked(row: Row, column: str) -> str:
    """A column that a model reads: text, or a number as text.

    Raises:
        UsageError: there is no such column.
        ValueError: it is empty, null, NaN or an object, or a backslash was lost.
    """
    value = cell(row, column)
    if isinstance(value, str):
        if not value.strip():
            raise ValueError(f"column {column!r} is empty")
        if escapes.IN_DATA.search(value):
            raise ValueError(f"column {column!r} holds {escapes.lost(value)}; {escapes.HINT}")
        return value
    if not isinstance(value, int | float | Decimal) or isinstance(value, bool) or not math.isfinite(value):
        raise ValueError(f"column {column!r} is {json.dumps(value, default=str)[:40]}, which is no text")
    return str(value)
