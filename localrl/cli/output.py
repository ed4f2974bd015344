"""What the command line prints: answers, tables and JSON on stdout, narration on stderr."""

from __future__ import annotations

import contextlib
import json
import re
import sys
from typing import TYPE_CHECKING, Any

import click

from localrl import jsontext, sanitise

if TYPE_CHECKING:
    from collections.abc import Sequence


def note(text: str) -> None:
    """Narration: one line on stderr. Work goes on when nobody reads it any more."""
    with contextlib.suppress(OSError):
        click.echo(text, err=True)


SCHEMA = 1
"""Of objects that `--json` prints: raised when a field goes or changes its meaning, not when one is added."""
PIPE_WIDTH = 1 << 14
"""Columns that nothing fills: what reads a pipe wants a row on one line, however long its names are."""
_ESCAPED = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
"""What JSON may hold as it is, and a terminal would obey."""


def speak(text: str, *, err: bool = False, faint: bool = False) -> None:
    """What a model says: a file or a pipe gets it as it is, a terminal nothing that it would obey."""
    stream = sys.stderr if err else sys.stdout
    if stream.isatty() and faint:
        sanitise.drawing(stream).write(click.style(sanitise.clean(text), dim=True))
    else:
        stream.write(text)
    stream.flush()


def document(value: Any) -> None:
    """The one JSON document that `--json` prints; an object names the version of its schema first."""
    click.echo(as_json({"schema": SCHEMA, **value} if isinstance(value, dict) else value, indent=2))


def as_json(value: Any, indent: int | None = None) -> str:
    """JSON with characters as they are; escaped where stdout cannot take one or a terminal would obey it."""
    text = _ESCAPED.sub(lambda found: f"\\u{ord(found[0]):04x}", jsontext.dumps(value, indent=indent))
    try:
        text.encode(sys.stdout.encoding)
    except UnicodeEncodeError:
        return json.dumps(json.loads(text), indent=indent)
    return text


def table(columns: Sequence[str], rows: Sequence[Sequence[Any]], *, right: Sequence[int] = ()) -> None:
    """A table on stdout; `right` names the columns that hold numbers."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    shown = Table(box=SIMPLE_HEAD, pad_edge=False)
    for i, column in enumerate(columns):
        shown.add_column(column, justify="right" if i in right else "left", overflow="fold")
    for row in rows:
        shown.add_row(*(sanitise.clean(str(cell)) for cell in row))
    width = None if sys.stdout.isatty() else PIPE_WIDTH
    out = sanitise.drawing(sys.stdout)
    Console(file=out, width=width, highlight=False, markup=False, emoji=False).print(
        shown
    )  # no markup in cells
