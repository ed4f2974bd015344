"""A run from elsewhere: the JSONL that `runs export` writes, checked line by line, and put into the store."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Protocol

from pydantic import BaseModel, Field, ValidationError

from localrl import jsontext
from localrl.chat import Message
from localrl.engine.protocol import FinishReason
from localrl.errors import UsageError
from localrl.runs.plan import RunPlan
from localrl.sample import Problem, Sample, by_problem
from localrl.verdict import Outcome, Response

if TYPE_CHECKING:
    from collections.abc import Iterator

    from localrl.store.runs import Run, Store

_BATCH = 200  # problems a transaction when a run is imported
Count = Annotated[int, Field(ge=0, lt=2**63)]
Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class _Fork(BaseModel):
    """What a sample answered at a thinking budget."""

    budget: Annotated[int, Field(ge=1, lt=2**63)]
    at: Count = 0
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] = 0
    finish: FinishReason
    outcome: Outcome | None
    score: Annotated[float, Field(ge=0, le=1)] = 0.0
    thinking_tokens: Count
    answer_tokens: Count
    raw: str
    extracted: str | None = None
    detail: dict[str, Any] = {}
    error: str = ""
    verifier: str | None = None
    ended: Amount = 0.0
    reopened: bool = False
    replayed: bool = False

    def as_fork(self, problem: Problem, index: int) -> Sample:
        values = self.model_dump(exclude={"raw", "finish"})
        return Sample(problem, index, response=Response("", raw=self.raw), finish=str(self.finish), **values)


class _Stored(BaseModel):
    """What only the store needs of a sample."""

    shared_tokens: Count = 0
    starts_thinking: bool = False
    error: str = ""
    verifier: str | None = None
    ended: Amount = 0.0
    meta: dict[str, Any] = {}
    forks: list[_Fork] = []
    natural: list[Annotated[int, Field(ge=1, lt=2**63)]] = []


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
        problem = Problem(
            id=self.problem,
            question="",
            target=self.target,
            meta=self.stored.meta,
            eval=self.eval,
            messages=self.messages,
        )
        return Sample(
            problem=problem,
            index=self.sample,
            seed=self.seed,
            response=Response(self.answer, self.thinking, self.raw),
            finish=str(self.finish),
            prompt_tokens=self.prompt_tokens,
            shared_tokens=self.stored.shared_tokens,
            thinking_tokens=self.thinking_tokens,
            answer_tokens=self.answer_tokens,
            ttft_s=self.ttft_s,
            tokens_per_s=self.tokens_per_s,
            starts_thinking=self.stored.starts_thinking,
            error=self.stored.error,
            outcome=self.outcome,
            score=self.score,
            verifier=self.stored.verifier,
            extracted=self.extracted,
            detail=self.detail,
            ended=self.stored.ended,
            forks=tuple(fork.as_fork(problem, self.sample) for fork in self.stored.forks),
            natural=tuple(self.stored.natural),
        )


class Importable(Protocol):
    """What the store needs to hold a run that was made elsewhere; see `Results`."""

    report: dict[str, Any]
    origin: dict[str, Any]

    def samples(self) -> Iterator[Sample]: ...


@dataclass
class ImportedRun:
    """A run in a file, which is read again each time, so that it needs no memory."""

    path: Path
    report: dict[str, Any]
    origin: dict[str, Any]

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
                    yield number, sample_of(line, f"{self.path}:{number}")


def read_jsonl(path: Path) -> ImportedRun:
    """Open a file of `runs export --format jsonl`, and check every line of it.

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
        problem, where = sample.problem, f"{run.path}:{number}"
        if (problem.eval, problem.id, sample.index) in seen:
            raise UsageError(f"{where}: sample {sample.index} of problem {problem.id!r} is here twice")
        at = [*sample.natural, *(fork.budget for fork in sample.forks)]
        if len(set(at)) < len(at):
            raise UsageError(f"{where}: a thinking budget of problem {problem.id!r} is here twice")
        seen.add((problem.eval, problem.id, sample.index))
        question = hash(jsontext.dumps([[m.model_dump() for m in problem.messages], problem.target]))
        if asked.setdefault((problem.eval, problem.id), question) != question:
            raise UsageError(f"{where}: problem {problem.id!r} has another prompt or target than before")


def sample_of(line: bytes, where: str) -> Sample:
    """A sample as an export or a bundle writes it.

    Raises:
        UsageError: the line holds none; says `where`.
    """
    try:
        return _Line.model_validate(jsontext.loads(line)).as_sample()
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "it"
        raise UsageError(f"{where}: not a sample of localrl: {place}: {first['msg']}") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{where}: this line is not JSON: {error}") from error


def put(store: Store, run: Importable) -> Run:
    """Keep a run from elsewhere under a new id; its manifest remembers where it came from.

    Raises:
        UsageError: it does not carry what the store needs, or is in the store already.
    """
    origin, source = run.origin, str(run.report.get("run", ""))
    try:
        manifest = _at_home(origin["manifest"])
        sessions = [(dict(engine), dict(counters)) for engine, counters in origin["sessions"]]
        RunPlan.model_validate(manifest["plan"])
        created = datetime.fromisoformat(str(run.report["created"]))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UsageError(
            "this file holds no whole run", hint="export it again without --eval, by this version of localrl"
        ) from error
    for known in store.runs():
        if source and source in (known.id, known.manifest.get("imported_from")):
            raise UsageError(f"run {source} is here already, as {known.id}")
    name = str(run.report.get("name") or "")
    new = store.create_run({**manifest, "imported_from": source}, name, created)
    try:
        for engine, counters in sessions:
            store.end_session(new, store.begin_session(new, engine), counters, "partial")
        groups = by_problem(run.samples())
        while batch := list(islice(groups, _BATCH)):
            _add(store, new, batch)
        status = origin.get("status")
        store.set_status(new, status if status in ("complete", "failed") else "partial")
    except BaseException:
        store.remove(new)
        raise
    return store.find(new.id)


def _at_home(manifest: dict[str, Any]) -> dict[str, Any]:
    """The manifest with this machine's home folder in the paths that a run goes on with."""
    plan = manifest["plan"]

    def at_home(part: dict[str, Any], *keys: str) -> dict[str, Any]:
        return part | {key: str(Path(part[key]).expanduser()) for key in keys if part[key].startswith("~/")}

    evals = [at_home(part, "path") for part in plan["evals"]]
    plan = at_home(plan, "model_path") | {"engine": at_home(plan["engine"], "model"), "evals": evals}
    return {**manifest, "plan": plan}


def _add(store: Store, run: Run, groups: list[list[Sample]]) -> None:
    """Add whole groups with their problems, in one transaction for each of the two."""
    problems = store.add_problems(run, [group[0].problem for group in groups])
    store.add_samples(
        run,
        [
            replace(sample, problem=problem)
            for problem, group in zip(problems, groups, strict=True)
            for sample in group
        ],
    )
