"""One sample a row, texts included.

Structured values (`target`, `messages`, `detail`, `stored`) are JSON text, so every run has the same schema.
"""

from __future__ import annotations

from itertools import islice
from typing import IO, TYPE_CHECKING, Any

from localrl import jsontext
from localrl.report.exports import _flat
from localrl.report.exports._arrow import pyarrow
from localrl.sample import Problem, Sample
from localrl.verdict import Response

if TYPE_CHECKING:
    from localrl.report.results import Results

SUFFIX = ".parquet"
BINARY = True
EXTRA = "parquet"
_BATCH = 500  # rows a row group: texts of some 40 kB each stay within tens of megabytes
_INTEGERS = {"sample", "seed", "prompt_tokens", "thinking_tokens", "answer_tokens"}
_REALS = {"score", "ttft_s", "tokens_per_s"}
_COLUMNS = list(_flat.record("", Sample(Problem("", "", None), 0, 0, Response(""), "")))


def write(run: Results, out: IO[bytes]) -> None:
    """
    Raises:
        Unavailable: pyarrow is not installed.
    """
    pa, parquet = pyarrow()
    schema = pa.schema([(name, _type(pa, name)) for name in _COLUMNS])
    about = schema.with_metadata({"localrl.report": jsontext.dumps(run.report)})
    rows = map(_text, _flat.rows(run))
    with parquet.ParquetWriter(out, about) as writer:
        while batch := list(islice(rows, _BATCH)):
            writer.write_table(pa.Table.from_pylist(batch, schema=schema))


def _type(pa: Any, name: str) -> Any:
    return pa.int64() if name in _INTEGERS else pa.float64() if name in _REALS else pa.string()


def _text(row: dict[str, Any]) -> dict[str, Any]:
    for key in ("target", "messages", "detail", "stored"):
        row[key] = jsontext.dumps(row[key])
    # Half a surrogate pair, which a model may well produce, is not UTF-8.
    return {k: v.encode("utf-8", "replace").decode() if isinstance(v, str) else v for k, v in row.items()}
