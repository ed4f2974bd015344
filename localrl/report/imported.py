"""A run read from the JSONL that `runs export` writes, checked line by line: it comes from somewhere else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, Field, ValidationError

from localrl import jsontext
from localrl.chat import Message
from localrl.engine.protocol import FinishReason
from localrl.errors import UsageError
from localrl.report.record import Row, Sample
from localrl.verdict import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Count = Annotated[int, Field(ge=0, lt=2**63)]
Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class _Stored(BaseModel):
    """What only the store needs of a sample."""

    shared_tokens: Count = 0
    starts_thinking: bool = False
    error: str = ""
    verifier: str | None = None
    ended: Amount = 0.0
    meta: dict[str, Any] = {}


class _Line(BaseModel):
    eval: str
    problem: str
    sample: Count
    outcome: Outcome
    score: Annotated[float, Field(ge=0, le=1)]
    prompt_tokens: Count
    thinking_tokens: Count
    answer_tokens: Count
    ttft_s: Amount | None
    tokens_per_s: Amount | None
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)]
    target: Any
    extracted: str | None
    finish: FinishReason
    messages: tuple[Message, ...]
    thinking: str
    answer: str
    raw: str
    detail: dict[str, Any]
    stored: _Stored

    def as_sample(self) -> Sample:
        return Sample(
            row=Row(**{name: getattr(self, name) for name in Row._fields} | {"outcome": str(self.outcome)}),
            seed=self.seed,
            target=self.target,
            messages=self.messages,
            thinking=self.thinking,
            answer=self.answer,
            extracted=self.extracted,
            raw=self.raw,
            finish=str(self.finish),
            detail=self.detail,
            stored=self.stored.model_dump(exclude_unset=True),
        )


@dataclass
class ImportedRun:
    """Implements `record.Run` by reading the file again, so that it needs no memory."""

    path: Path
    report: dict[str, Any]
    origin: dict[str, Any]

    def rows(self) -> Iterator[Row]:
        return (sample.row for sample in self.samples())

    def questions(self) -> dict[tuple[str, str], tuple[str, str]]:
        return {(s.row.eval, s.row.problem): _question(s) for s in self.samples()}

    def samples(self) -> Iterator[Sample]:
        return (sample for _, sample in self.numbered())

    def numbered(self) -> Iterator[tuple[int, Sample]]:
        """Every sample with the number of its line, from 1.

        Raises:
            UsageError: a line is not a sample; names it.
        """
        with self.path.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    yield number, _sample(line, f"{self.path}:{number}")


def read_jsonl(path: Path) -> ImportedRun:
    """Open a file that `flat.write_jsonl` wrote, and check every line of it.

    Raises:
        UsageError: it cannot be read, is no such file, or a line is damaged; names the line.
    """
    try:
        with path.open("rb") as lines:
            first = jsontext.loads(lines.readline())
        report, origin = first["report"], first["origin"]
        if not isinstance(report, dict) or report.get("schema") != 1:
            raise UsageError(f"{path}: the report is of another version", hint="update localrl")
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise UsageError(
            f"{path} is not a run exported by localrl",
            hint="`localrl runs export RUN --format jsonl` makes one",
        ) from error
    run = ImportedRun(path, report, origin)
    _check(run)
    return run


def _check(run: ImportedRun) -> None:
    """Refuse a sample that is there twice, and a problem that is asked in two ways."""
    seen: set[tuple[str, str, int]] = set()
    asked: dict[tuple[str, str], int] = {}
    for number, sample in run.numbered():
        row, where = sample.row, f"{run.path}:{number}"
        if (row.eval, row.problem, row.sample) in seen:
            raise UsageError(f"{where}: sample {row.sample} of problem {row.problem!r} is here twice")
        seen.add((row.eval, row.problem, row.sample))
        question = hash(_question(sample))
        if asked.setdefault((row.eval, row.problem), question) != question:
            raise UsageError(f"{where}: problem {row.problem!r} has another prompt or target than before")


def _question(sample: Sample) -> tuple[str, str]:
    return jsontext.dumps([m.model_dump() for m in sample.messages]), jsontext.dumps(sample.target)


def _sample(line: bytes, where: str) -> Sample:
    try:
        return _Line.model_validate(jsontext.loads(line)).as_sample()
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "it"
        raise UsageError(f"{where}: not a sample of localrl: {place}: {first['msg']}") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{where}: this line is not JSON: {error}") from error
