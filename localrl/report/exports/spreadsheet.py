"""One sample a line, without the long texts.

Cells that a spreadsheet would run as a formula get a leading apostrophe.
"""

from __future__ import annotations

import csv
import io
from typing import IO, TYPE_CHECKING

from localrl.report.exports import _flat
from localrl.report.tables import formula_free

if TYPE_CHECKING:
    from localrl.report.results import Results

NAME = "csv"
SUFFIX = ".csv"
TEXTS = ("messages", "thinking", "answer", "raw", "detail", "stored")


def write(run: Results, out: IO[bytes]) -> None:
    text = io.TextIOWrapper(out, encoding="utf-8", errors="replace", newline="", write_through=True)
    writer: csv.DictWriter[str] | None = None
    for whole in _flat.rows(run):
        row = {key: value for key, value in whole.items() if key not in TEXTS}
        if writer is None:
            writer = csv.DictWriter(text, list(row))
            writer.writeheader()
        writer.writerow({key: formula_free(value) for key, value in row.items()})
    text.flush()
    text.detach()
