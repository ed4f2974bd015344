"""One sample a row: JSON lines (which we read back), CSV for spreadsheets, and Parquet.

Every line of the JSONL is a sample with the same keys; the first also carries the run's `report` and what
else the store needs to hold the run again (`origin`). So one file is the whole run, and
`pandas.read_json(lines=True)` still sees a plain table.
"""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

from localrl.bench.record import Row, Sample
from localrl.chat import Message
from localrl.errors import Unavailable, UsageError
from localrl.verdict import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from localrl.bench.record import Run

_BATCH = 500  # rows a Parquet row group: texts of some 40 kB each stay within tens of megabytes
_PARQUET_INTEGERS = {"sample", "seed", "prompt_tokens", "thinking_tokens", "answer_tokens"}
_PARQUET_REALS = {"score", "ttft_s", "tokens_per_s"}
_KEPT = ("seed", "target", "thinking", "answer", "extracted", "raw", "finish", "detail", "stored")
_TEXTS = ("messages", "thinking", "answer", "raw", "detail", "stored")


def record(run_id: str, sample: Sample) -> dict[str, Any]:
    """A sample as flat JSON values."""
    return {
        "run": run_id,
        **sample.row._asdict(),
        "seed": sample.seed,
        "target": sample.target,
        "extracted": sample.extracted,
        "finish": sample.finish,
        "messages": [m.model_dump() for m in sample.messages],
        "thinking": sample.thinking,
        "answer": sample.answer,
        "raw": sample.raw,
        "detail": sample.detail,
        "stored": sample.stored,
    }


def write_jsonl(run: Run, out: IO[bytes]) -> None:
    extra: dict[str, Any] = {"report": run.report, "origin": run.origin}
    for sample in run.samples():
        line = record(str(run.report.get("run", "")), sample) | extra
        out.write(json.dumps(line, ensure_ascii=False, allow_nan=False).encode("utf-8", "replace") + b"\n")
        extra = {}


def write_csv(run: Run, out: IO[bytes]) -> None:
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
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    try:
        float(text)
    except ValueError:
        return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text
    return text


def write_parquet(run: Run, out: IO[bytes]) -> None:
    """Structured values (`target`, `messages`, `detail`) are JSON text, so every run has the same schema.

    Raises:
        Unavailable: pyarrow is not installed.
    """
    pa, parquet = pyarrow()
    run_id = str(run.report.get("run", ""))
    columns = list(record("", _example()))
    schema = pa.schema([(name, _parquet_type(pa, name)) for name in columns])
    writer = parquet.ParquetWriter(out, schema.with_metadata({"localrl.report": json.dumps(run.report)}))
    for batch in _batches(run.samples()):
        rows = [_flat(record(run_id, sample)) for sample in batch]
        writer.write_table(pa.Table.from_pylist(rows, schema=schema))
    writer.close()


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
        row[key] = json.dumps(row[key], ensure_ascii=False)
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
    return Sample(Row("", "", 0, "wrong", 0.0, 0, 0, 0, None, None), 0, None, (), "", "")


@dataclass
class ImportedRun:
    """A run read from our JSONL; implements `record.Run` by reading the file again, so it needs no memory."""

    path: Path
    report: dict[str, Any]
    origin: dict[str, Any]

    def rows(self) -> Iterator[Row]:
        return (sample.row for sample in self.samples())

    def samples(self) -> Iterator[Sample]:
        with self.path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    yield _sample(line, f"{self.path}:{number}")


def read_jsonl(path: Path) -> ImportedRun:
    """Open a file that `write_jsonl` wrote, and check every line of it.

    Raises:
        UsageError: it cannot be read, is no such file, or a line is damaged; names the line.
    """
    try:
        with path.open(encoding="utf-8") as lines:
            first = json.loads(lines.readline())
        report = first["report"]
        if not isinstance(report, dict) or report.get("schema") != 1:
            raise UsageError(f"{path}: the report is of another version", hint="update localrl")
        run = ImportedRun(path, report, first["origin"])
        for _ in run.samples():
            pass
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f"{path} is not a run exported by localrl",
            hint="`localrl runs export RUN --format jsonl` makes one",
        ) from error
    return run


def _sample(line: str, where: str) -> Sample:
    try:
        data = json.loads(line)
        row = Row(**{name: data[name] for name in Row._fields})
        Outcome(row.outcome)
        return Sample(
            row=row,
            messages=tuple(Message.model_validate(m) for m in data["messages"]),
            **{key: data[key] for key in _KEPT},
        )
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{where}: this line is not a sample of localrl") from error
