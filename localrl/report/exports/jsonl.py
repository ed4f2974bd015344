"""One sample a line; `runs import` reads it back.

Every line has the same keys; the first also carries the run's `report` and what else the store needs to
hold the run again (`origin`). So one file is the whole run, and `pandas.read_json(lines=True)` still sees a
plain table.
"""

from __future__ import annotations

from typing import IO, TYPE_CHECKING, Any

from localrl import jsontext
from localrl.report.exports import _flat

if TYPE_CHECKING:
    from localrl.report.results import Results

SUFFIX = ".jsonl"


def write(run: Results, out: IO[bytes]) -> None:
    extra: dict[str, Any] = {"report": run.report, "origin": run.origin}
    for row in _flat.rows(run):
        out.write(jsontext.dumps(row | extra).encode("utf-8", "replace") + b"\n")
        extra = {}
