"""One sample a row: JSON lines (which `importing` reads back), CSV for spreadsheets, and Parquet.

Every line of the JSONL is a sample with the same keys; the first also carries the run's `report` and what
else the store needs to hold the run again (`origin`). So one file is the whole run, and
`pandas.read_json(lines=True)` still sees a plain table.
"""

from __future__ import annotations

import csv
import io
from typing import IO, TYPE_CHECKING, Any

from localrl import jsontext
from localrl.errors import Unavailable
from localrl.sample import Problem, Sample
from localrl.verdict import Response

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from localrl.report.results import Results

_BATCH = 500  # rows a Parquet row group: texts of some 40 kB each stay within tens of megabytes
_PARQUET_INTEGERS = {"sample", "seed", "prompt_tokens", "thinking_tokens", "answer_tokens"}
_PARQUET_REALS = {"score", "ttft_s", "tokens_per_s"}
_TEXTS = ("messages", "thinking", "answer", "raw", "detail", "stored")


def record(run_id: str, sample: Sample) -> dict[str, Any]:
    """A sample as flat JSON values."""
    problem, response = sample.problem, sample.response
    return {
        "run": run_id,
        "eval": problem.eval,
        "problem": problem.id,
        "sample": sample.index,
        "outcome": sample.outcome,
        "score": sample.score,
        "prompt_tokens": sample.prompt_tokens,
        "thinking_tokens": sample.thinking_tokens,
        "answer_tokens": sample.answer_tokens,
        "ttft_s": sample.ttft_s,
        "tokens_per_s": sample.tokens_per_s,
        "seed": sample.seed,
        "target": problem.target,
        "extracted": sample.extracted,
        "finish": sample.finish,
        "messages": [m.model_dump() for m in problem.messages],
        "thinking": response.thinking,
        "answer": response.answer,
        "raw": response.raw,
        "detail": sample.detail,
        "stored": {
            "shared_tokens": sample.shared_tokens,
            "starts_thinking": sample.starts_thinking,
            "error": sample.error,
            "verifier": sample.verifier,
            "ended": sample.ended,
            "meta": problem.meta,
        },
    }


def write_jsonl(run: Results, out: IO[bytes]) -> None:
    extra: dict[str, Any] = {"report": run.report, "origin": run.origin}
    for sample in run.samples():
        line = record(str(run.report.get("run", "")), sample) | extra
        out.write(jsontext.dumps(line).encode("utf-8", "replace") + b"\n")
        extra = {}


def write_csv(run: Results, out: IO[bytes]) -> None:
    """Long texts are left out; cells that a spreadsheet would run as a formula get a leading apostrophe."""
    text = io.TextIOWrapper(out, encoding="utf-8", errors="replace", newline="", write_through=True)
    writer: csv.DictWriter[str] | None = None
    for sample in run.samples():
        row = {k: v for k, v in record(str(run.report.get("run", "")), sample).items() if k not in _TEXTS}
        if writer is None:
            writer = csv.DictWriter(text, list(row))
            writer.writeheader()
        writer.writerow({key: _cell(value) for key, value in row.items()})
    text.flush()
    text.detach()


def _cell(value: Any) -> Any:
    if value is None or isinstance(value, (int, float)):
        return value
    text = value if isinstance(value, str) else jsontext.dumps(value)
    try:
        float(text)
    except ValueError:
        return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text
    return text


def write_parquet(run: Results, out: IO[bytes]) -> None:
    """Structured values (`target`, `messages`, `detail`) are JSON text, so every run has the same schema.

    Raises:
        Unavailable: pyarrow is not installed.
    """
    pa, parquet = pyarrow()
    run_id = str(run.report.get("run", ""))
    columns = list(record("", _example()))
    schema = pa.schema([(name, _parquet_type(pa, name)) for name in columns])
    about = schema.with_metadata({"localrl.report": jsontext.dumps(run.report)})
    with parquet.ParquetWriter(out, about) as writer:
        for batch in _batches(run.samples()):
            rows = [_flat(record(run_id, sample)) for sample in batch]
            writer.write_table(pa.Table.from_pylist(rows, schema=schema))


def pyarrow() -> tuple[Any, Any]:
    """The modules pyarrow and pyarrow.parquet.

    Raises:
        Unavailable: they are not installed.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as parquet
    except ImportError as error:
        raise Unavailable("Parquet needs pyarrow", hint="pip install 'localrl[parquet]'") from error
    return pa, parquet


def _parquet_type(pa: Any, name: str) -> Any:
    return (
        pa.int64() if name in _PARQUET_INTEGERS else pa.float64() if name in _PARQUET_REALS else pa.string()
    )


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    for key in ("target", "messages", "detail", "stored"):
        row[key] = jsontext.dumps(row[key])
    # Half a surrogate pair, which a model may well produce, is not UTF-8.
    return {k: v.encode("utf-8", "replace").decode() if isinstance(v, str) else v for k, v in row.items()}


def _batches(samples: Iterable[Sample]) -> Iterator[list[Sample]]:
    batch: list[Sample] = []
    for sample in samples:
        batch.append(sample)
        if len(batch) == _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _example() -> Sample:
    return Sample(Problem("", "", None), 0, 0, Response(""), "")
