"""Runs and their samples on disk: what was generated, what was said of it, and where a run stopped."""

from __future__ import annotations

import json
import secrets
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Protocol, TypeVar

from localrl.errors import UsageError, nearest
from localrl.store import db

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from concurrent.futures import Future
    from pathlib import Path

    from localrl.verdict import Verdict

P = ParamSpec("P")
T = TypeVar("T")

ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789"
"""Letters of run ids; without those that are easily taken for another."""


@dataclass(frozen=True, slots=True)
class Run:
    key: int
    id: str
    name: str
    created: str
    """ISO 8601, UTC."""
    status: str
    """`running`, `partial`, `complete` or `failed`."""
    manifest: dict[str, Any]
    """Everything that fixes the run, as `bench.plan` writes it."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One generation as it is stored."""

    problem: int
    """The problem's key."""
    index: int
    seed: int
    finish: str
    prompt_tokens: int
    shared_tokens: int
    thinking_tokens: int
    answer_tokens: int
    ttft_s: float | None
    tokens_per_s: float | None
    text: str
    starts_thinking: bool
    error: str = ""
    outcome: str | None = None
    """None until a verifier has judged it."""
    score: float | None = None
    verifier: str | None = None
    """Name and version of the verifier that judged it, as `name/version`."""
    extracted: str | None = None
    detail: dict[str, Any] = field(default_factory=dict)
    ended: float = 0.0
    """Seconds since the epoch."""


@dataclass(frozen=True, slots=True)
class StoredProblem:
    key: int
    eval: int
    """The eval's position in the run."""
    id: str
    prompt: list[dict[str, str]]
    target: Any
    meta: dict[str, Any]


class Ask(Protocol):
    """Has a question answered over a connection of its own, in a thread of its own."""

    def __call__(
        self, question: Callable[Concatenate[Store, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> Future[T]: ...


class Store:
    """One connection to the store, for one thread. Every method that writes has written when it returns."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path or db.default_path()
        self._connection = db.connect(self._path)

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def connection(self) -> sqlite3.Connection:
        return self._connection

    def close(self) -> None:
        self._connection.close()

    @contextmanager
    def readers(self) -> Iterator[Ask]:
        """Ask questions that only read side by side: SQLite counts outside the interpreter's lock."""

        def answer(question: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
            with Store(self._path) as store:
                return question(store, *args, **kwargs)

        with ThreadPoolExecutor(thread_name_prefix="store") as pool:
            yield lambda question, *args, **kwargs: pool.submit(answer, question, *args, **kwargs)

    # -- runs

    def create_run(self, manifest: dict[str, Any], name: str = "", created: datetime | None = None) -> Run:
        run_id = "".join(secrets.choice(ALPHABET) for _ in range(6))
        when = (created or datetime.now(UTC)).isoformat(timespec="seconds")
        with db.transaction(self._connection):
            self._connection.execute(
                "INSERT INTO runs (id, name, created, status, manifest) VALUES (?, ?, ?, 'running', ?)",
                (run_id, name, when, json.dumps(manifest)),
            )
        return self.find(run_id)

    def runs(self) -> list[Run]:
        """All runs, the newest first."""
        rows = self._connection.execute(
            "SELECT key, id, name, created, status, manifest FROM runs ORDER BY key DESC"
        )
        return [_run(row) for row in rows]

    def find(self, reference: str) -> Run:
        """A run by its id, the beginning of its id, its name, or `last`.

        Raises:
            UsageError: there is none, or more than one.
        """
        runs = self.runs()
        if reference == "last" and runs:
            return runs[0]
        for matches in (
            [run for run in runs if run.id == reference],
            [run for run in runs if run.name == reference],
            [run for run in runs if reference and run.id.startswith(reference)],
        ):
            if len(matches) == 1:
                return matches[0]
            if matches:
                several = ", ".join(run.id for run in matches[:5])
                raise UsageError(f"{reference!r} could be several runs: {several}")
        known = [run.id for run in runs] + [run.name for run in runs if run.name]
        raise UsageError(f"no run {reference!r}", hint=nearest(reference, known) or "there are no runs yet")

    def set_status(self, run: Run, status: str) -> None:
        with db.transaction(self._connection):
            self._connection.execute("UPDATE runs SET status = ? WHERE key = ?", (status, run.key))

    def update_manifest(self, run: Run, **changes: Any) -> None:
        """Replace top-level entries of a run's manifest."""
        with db.transaction(self._connection):
            row = self._connection.execute("SELECT manifest FROM runs WHERE key = ?", (run.key,)).fetchone()
            manifest = {**json.loads(row[0]), **changes}
            self._connection.execute(
                "UPDATE runs SET manifest = ?, report = NULL WHERE key = ?", (json.dumps(manifest), run.key)
            )

    def remove(self, run: Run) -> None:
        """Forget a run and all its samples, and give the space back to the file."""
        with db.transaction(self._connection):
            self._connection.execute("DELETE FROM runs WHERE key = ?", (run.key,))

    def cached_report(self, run: Run) -> dict[str, Any] | None:
        row = self._connection.execute("SELECT report FROM runs WHERE key = ?", (run.key,)).fetchone()
        return json.loads(row[0]) if row and row[0] else None

    @property
    def version(self) -> int:
        """Another number whenever another process, or connection, has written to the store."""
        return int(self._connection.execute("PRAGMA data_version").fetchone()[0])

    def cache_report(self, run: Run, report: dict[str, Any], version: int) -> None:
        """Keep a report until the run changes; not when others wrote since `version`, when it was begun."""
        with db.transaction(self._connection):
            if self.version == version:
                self._connection.execute(
                    "UPDATE runs SET report = ? WHERE key = ?", (json.dumps(report), run.key)
                )

    # -- sessions: the times in which a run was worked on

    def begin_session(self, run: Run, engine: dict[str, Any]) -> int:
        with db.transaction(self._connection):
            self._connection.execute("UPDATE runs SET status = 'running' WHERE key = ?", (run.key,))
            return int(
                self._connection.execute(
                    "INSERT INTO sessions (run, engine, counters) VALUES (?, ?, '{}')",
                    (run.key, json.dumps(engine)),
                ).lastrowid
                or 0
            )

    def end_session(self, run: Run, session: int, counters: dict[str, Any], status: str) -> None:
        with db.transaction(self._connection):
            self._connection.execute(
                "UPDATE sessions SET counters = ? WHERE key = ?", (json.dumps(counters), session)
            )
            self._connection.execute(
                "UPDATE runs SET status = ?, report = NULL WHERE key = ?", (status, run.key)
            )

    def sessions(self, run: Run) -> list[tuple[dict[str, Any], dict[str, Any]]]:
        """For each session, what the engine said of itself and what it counted."""
        rows = self._connection.execute(
            "SELECT engine, counters FROM sessions WHERE run = ? ORDER BY key", (run.key,)
        )
        return [(json.loads(engine), json.loads(counters)) for engine, counters in rows]

    # -- problems and samples

    def add_problems(
        self,
        run: Run,
        eval_index: int,
        problems: Sequence[tuple[str, list[dict[str, str]], Any, dict[str, Any]]],
    ) -> list[int]:
        """Keep problems, given as (id, prompt, target, meta); returns their keys.

        Raises:
            UsageError: a problem of this id is stored with another prompt or target: the data has changed.
        """
        keys = []
        with db.transaction(self._connection):
            for problem_id, prompt, target, meta in problems:
                new = (json.dumps(prompt), json.dumps(target))
                row = self._connection.execute(
                    "SELECT key, prompt, target FROM problems WHERE run = ? AND eval = ? AND id = ?",
                    (run.key, eval_index, problem_id),
                ).fetchone()
                if row and row[1:] != new:
                    raise UsageError(
                        f"problem {problem_id} is not what it was when the run began",
                        hint="the eval's data has changed: start a new run",
                    )
                if not row:
                    row = self._connection.execute(
                        "INSERT INTO problems (run, eval, id, prompt, target, meta) "
                        "VALUES (?, ?, ?, ?, ?, ?) RETURNING key",
                        (run.key, eval_index, problem_id, *new, json.dumps(meta)),
                    ).fetchone()
                keys.append(int(row[0]))
        return keys

    def problem(self, key: int) -> StoredProblem:
        row = self._connection.execute(
            "SELECT key, eval, id, prompt, target, meta FROM problems WHERE key = ?", (key,)
        ).fetchone()
        return StoredProblem(row[0], row[1], row[2], *(json.loads(column) for column in row[3:]))

    def done(self, run: Run, eval_index: int, problem: int) -> set[int]:
        """Indexes of the samples of a problem that are stored, except those that the engine failed on."""
        rows = self._connection.execute(
            "SELECT idx FROM samples WHERE run = ? AND eval = ? AND problem = ? "
            "AND outcome IS NOT 'engine_error'",
            (run.key, eval_index, problem),
        )
        return {row[0] for row in rows}

    def add_samples(
        self,
        run: Run,
        samples: Iterable[tuple[int, Sample]],
        session: tuple[int, dict[str, Any]] | None = None,
    ) -> None:
        """Append samples, each with its eval's position, and bring a session's counters up to date.

        A sample that the engine had failed on is replaced; any other is only ever written once.
        """
        rows = list(samples)
        with db.transaction(self._connection):
            for eval_index, sample in rows:
                self._drop_failed(run, eval_index, sample)
            self._connection.executemany(
                "INSERT INTO samples VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [_narrow(run, eval_index, sample) for eval_index, sample in rows],
            )
            self._connection.executemany(
                "INSERT INTO texts VALUES (?, ?, ?, ?, ?, ?, ?, ?)", [_wide(sample) for _, sample in rows]
            )
            self._connection.execute(
                "UPDATE runs SET report = NULL WHERE key = ? AND report NOT NULL", (run.key,)
            )
            if session is not None:
                self._connection.execute(
                    "UPDATE sessions SET counters = ? WHERE key = ?", (json.dumps(session[1]), session[0])
                )

    def _drop_failed(self, run: Run, eval_index: int, sample: Sample) -> None:
        dropped = self._connection.execute(
            "DELETE FROM samples WHERE run = ? AND eval = ? AND problem = ? AND idx = ? "
            "AND outcome = 'engine_error'",
            (run.key, eval_index, sample.problem, sample.index),
        )
        if dropped.rowcount:
            self._connection.execute(
                "DELETE FROM texts WHERE problem = ? AND idx = ?", (sample.problem, sample.index)
            )

    def set_verdicts(self, run: Run, verdicts: Iterable[tuple[int, int, int, Verdict, str]]) -> None:
        """Store verdicts, given as (eval, problem, index, verdict, verifier)."""
        rows = list(verdicts)
        with db.transaction(self._connection):
            self._connection.executemany(
                "UPDATE samples SET outcome = ?, score = ? "
                "WHERE run = ? AND eval = ? AND problem = ? AND idx = ?",
                [(str(v.outcome), v.score, run.key, e, problem, index) for e, problem, index, v, _ in rows],
            )
            self._connection.executemany(
                "UPDATE texts SET verifier = ?, extracted = ?, detail = ? WHERE problem = ? AND idx = ?",
                [
                    (name, v.extracted, json.dumps(v.detail), problem, index)
                    for _, problem, index, v, name in rows
                ],
            )
            self._connection.execute("UPDATE runs SET report = NULL WHERE key = ?", (run.key,))

    def judged(self, run: Run, eval_index: int, problem: int) -> tuple[int, int]:
        """How many samples of a problem were judged, and how many of them are correct."""
        row = self._connection.execute(
            "SELECT COUNT(*), COALESCE(SUM(outcome = 'correct'), 0) FROM samples "
            "WHERE run = ? AND eval = ? AND problem = ? AND outcome NOT NULL AND outcome != 'engine_error'",
            (run.key, eval_index, problem),
        ).fetchone()
        return row[0], row[1]

    def unjudged(self, run: Run, eval_index: int, problem: int) -> list[Sample]:
        """Samples of a problem that were generated and not judged."""
        where = "s.eval = ? AND s.problem = ? AND s.outcome IS NULL"
        return [sample for _, sample in self._samples(run, where, (eval_index, problem))]

    def sample(self, run: Run, eval_index: int, problem: int, index: int) -> Sample:
        return next(
            self._samples(run, "s.eval = ? AND s.problem = ? AND s.idx = ?", (eval_index, problem, index))
        )[1]

    def samples(self, run: Run, outcome: str | None = None) -> Iterator[tuple[int, Sample]]:
        """All samples of a run with their eval's position, in order of eval, problem and index."""
        if outcome is None:
            return self._samples(run, "1", ())
        return self._samples(run, "s.outcome = ?", (outcome,))

    def _samples(self, run: Run, where: str, values: tuple[Any, ...]) -> Iterator[tuple[int, Sample]]:
        rows = self._connection.execute(
            "SELECT s.eval, s.problem, s.idx, s.seed, s.finish, s.prompt_tokens, s.shared_tokens, "
            "s.thinking_tokens, s.answer_tokens, s.ttft_s, s.tokens_per_s, t.text, t.starts_thinking, "
            "t.error, s.outcome, s.score, t.verifier, t.extracted, t.detail, s.ended "
            "FROM samples s JOIN texts t ON t.problem = s.problem AND t.idx = s.idx "
            f"WHERE s.run = ? AND {where} ORDER BY s.eval, s.problem, s.idx",
            (run.key, *values),
        )
        for row in rows:
            detail = json.loads(row[18]) if row[18] else {}
            yield row[0], _sample(row, detail)


def _narrow(run: Run, eval_index: int, s: Sample) -> tuple[Any, ...]:
    return (
        *(run.key, eval_index, s.problem, s.index, s.seed, s.finish, s.outcome, s.score),
        *(s.prompt_tokens, s.shared_tokens, s.thinking_tokens, s.answer_tokens),
        *(s.ttft_s, s.tokens_per_s, s.ended),
    )


def _wide(s: Sample) -> tuple[Any, ...]:
    return (
        *(s.problem, s.index, s.text, s.starts_thinking, s.error),
        *(s.verifier, s.extracted, json.dumps(s.detail) if s.detail else None),
    )


def _run(row: tuple[Any, ...]) -> Run:
    key, run_id, name, created, status, manifest = row
    return Run(key, run_id, name, created, status, json.loads(manifest))


def _sample(row: tuple[Any, ...], detail: dict[str, Any]) -> Sample:
    values: list[Any] = [*row[1:12], bool(row[12]), *row[13:18], detail, row[19]]
    return Sample(*values)
