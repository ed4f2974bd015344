"""As grpo, with native lists and structs, as `datasets` and verl load them."""

from __future__ import annotations

import json
from typing import IO, TYPE_CHECKING

from localrl import jsontext
from localrl.report.exports import grpo
from localrl.report.exports._arrow import pyarrow

if TYPE_CHECKING:
    from localrl.report.results import Results

SUFFIX = ".parquet"
BINARY = True
EXTRA = "parquet"


def write(run: Results, out: IO[bytes]) -> None:
    """
    Raises:
        Unavailable: pyarrow is not installed.
    """
    pa, parquet = pyarrow()
    text, real = pa.string(), pa.float64()
    message = pa.struct([("role", text), ("content", text)])
    schema = pa.schema(
        [
            ("data_source", text),
            ("prompt", pa.list_(message)),
            ("ability", text),
            ("reward_model", pa.struct([("style", text), ("ground_truth", text)])),
            (
                "extra_info",
                pa.struct([("index", pa.int64()), ("problem", text), ("run", text), ("split", text)]),
            ),
            ("completions", pa.list_(text)),
            ("rewards", pa.list_(real)),
            ("advantages", pa.list_(real)),
            ("outcomes", pa.list_(text)),
            ("completion_tokens", pa.list_(pa.int64())),
            ("zero_spread", pa.bool_()),
        ]
    )
    with parquet.ParquetWriter(out, schema) as writer:
        for group in grpo.groups(run):
            clean = json.loads(jsontext.dumps(group).encode("utf-8", "replace"))
            writer.write_table(pa.Table.from_pylist([clean], schema=schema))
