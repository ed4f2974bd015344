"""Runs and their samples on disk: what was generated, what was said of it, and where a run stopped."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Protocol, TypeVar

from localrl.chat import ThinkingTags
from localrl.errors import UsageError
from localrl.sample import SampleRow
from localrl.store import db, forks, references, samples
from localrl.store.chats import Chats
from localrl.store.samples import SampleRows
from localrl.store.trainings import Trainings

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from concurrent.futures import Future
    from pathlib import Path

    from localrl.sample import Problem, Sample

P = ParamSpec("P")
T = TypeVar("T")


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
    """Everything that fixes the run, as `runs.session` writes it; its `plan` is a `runs.plan.RunPlan`."""

    @property
    def evals(self) -> list[str]:
        """The names of its evals, by position."""
        return [part["spec"]["name"] for part in self.manifest["plan"]["evals"]]

    @property
    def thinking(self) -> ThinkingTags | None:
        """The tags between which its model thinks."""
        tags = self.manifest["plan"].get("thinking")
        return None if tags is None else ThinkingTags.model_validate(tags)

    def position(self, eval_name: str) -> int:
        """
        Raises:
            UsageError: the run has no such eval.
        """
        evals = self.evals
        if eval_name not in evals:
            raise UsageError(f"the run's plan knows no eval {eval_name!r}")
        return evals.index(eval_name)


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
        """For the modules of this package, which alone hold SQL."""
        return self._connection

    @property
    def chats(self) -> Chats:
        return Chats(self._connection)

    @property
    def trainings(self) -> Trainings:
        return Trainings(self._connection)

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
        run_id = references.new_id()
        when = (created or datetime.now(UTC)).isoformat(timespec="seconds")
        with db.transaction(self._connection):
            self._connection.execute(
                "INSERT INTO runs (id, name, created, status, manifest) VALUES (?, ?, ?, 'running', ?)",
                (run_id, name, when, json.dumps(manifest)),
            )
        return self.find(run_id)

    def runs(self, checks: bool = False) -> list[Run]:
        """All runs, the newest first.

        Args:
            checks: also those that looked at a training on its way.
        """
        where = "1" if checks else "key NOT IN (SELECT run FROM measurements WHERE purpose = 'check')"
        rows = self._connection.execute(
            f"SELECT key, id, name, created, status, manifest FROM runs WHERE {where} ORDER BY key DESC"
        )
        return [_run(row) for row in rows]

    def find(self, reference: str) -> Run:
        """A run by its id, the beginning of its id, its name, or `last`.

        Raises:
            UsageError: there is none, or more than one.
        """
        return references.meant(reference, self.runs(checks=reference != "last"), "run")

    def set_status(self, run: Run, status: str) -> None:
        with db.transaction(self._connection):
            self._connection.execute("UPDATE runs SET status = ? WHERE key = ?", (status, run.key))

    def update_manifest(self, run: Run, **changes: Any) -> None:
        """Replace top-level entries of a run's manifest."""
        with db.transaction(self._connection):
            row = self._connection.execute("SELECT manifest FROM runs WHERE key = ?", (run.key,)).fetchone()
            manifest = {**json.loads(row[0]), **changes}
            self._connection.execute(
                "UPDATE runs SET manifest = ? WHERE key = ?", (json.dumps(manifest), run.key)
            )

    def remove(self, run: Run) -> None:
        """Delete a run and all its samples; the file uses the space again."""
        with db.transaction(self._connection):
            self._connection.execute("DELETE FROM runs WHERE key = ?", (run.key,))

    def cached_report(self, run: Run) -> dict[str, Any] | None:
        """What `cache_report` stored, unless the run has changed since; triggers of the schema forget it."""
        row = self._connection.execute("SELECT report FROM runs WHERE key = ?", (run.key,)).fetchone()
        return json.loads(row[0]) if row and row[0] else None

    @property
    def version(self) -> int:
        """Another number whenever another process, or connection, has written to the store."""
        return int(self._connection.execute("PRAGMA data_version").fetchone()[0])

    def cache_report(self, run: Run, report: dict[str, Any], version: int) -> None:
        """Cache a report until the run changes; not when others wrote since `version`, when it was begun."""
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
            self._connection.execute("UPDATE runs SET status = ? WHERE key = ?", (status, run.key))

    def sessions(self, run: Run) -> list[tuple[dict[str, Any], dict[str, Any]]]:
        """For each session, what the engine said of itself and what it counted."""
        rows = self._connection.execute(
            "SELECT engine, counters FROM sessions WHERE run = ? ORDER BY key", (run.key,)
        )
        return [(json.loads(engine), json.loads(counters)) for engine, counters in rows]

    # -- problems and samples

    def add_problems(self, run: Run, problems: Iterable[Problem]) -> list[Problem]:
        """Store problems of a run's evals; returns them with their keys.

        Raises:
            UsageError: a problem of this id is stored with another prompt or target: the data has changed; or
                the run has no such eval.
        """
        with db.transaction(self._connection):
            return [replace(problem, key=self._problem_key(run, problem)) for problem in problems]

    def _problem_key(self, run: Run, problem: Problem) -> int:
        new = (samples.prompt_json(problem), samples.target_json(problem))
        place = (run.key, run.position(problem.eval), problem.id)
        row = self._connection.execute(
            "SELECT key, prompt, target FROM problems WHERE run = ? AND eval = ? AND id = ?", place
        ).fetchone()
        if row and row[1:] != new:
            raise UsageError(
                f"problem {problem.id} is not what it was when the run began",
                hint="the eval's data has changed: start a new run",
            )
        if not row:
            row = self._connection.execute(
                "INSERT INTO problems (run, eval, id, prompt, target, meta) "
                "VALUES (?, ?, ?, ?, ?, ?) RETURNING key",
                (*place, *new, json.dumps(problem.meta)),
            ).fetchone()
        return int(row[0])

    def questions(self, run: Run) -> dict[tuple[str, str], tuple[str, str]]:
        """Prompt and target of every problem as JSON texts, by eval and id."""
        rows = self._connection.execute(
            "SELECT eval, id, prompt, target FROM problems WHERE run = ?", (run.key,)
        )
        evals = run.evals
        return {(evals[position], name): (prompt, target) for position, name, prompt, target in rows}

    def problem_ids(self, run: Run, words: str = "") -> dict[int, str]:
        """The ids of a run's problems that contain these words, by their keys."""
        where = "run = :run" + " AND id LIKE :like" * bool(words)
        values = {"run": run.key, "like": f"%{words}%"}
        return dict(self._connection.execute(f"SELECT key, id FROM problems WHERE {where}", values))

    def done(self, run: Run, problem: Problem) -> set[int]:
        """Indexes of the samples of a problem that are stored, except those that the engine failed on."""
        rows = self._connection.execute(
            "SELECT idx FROM samples WHERE run = ? AND eval = ? AND problem = ? "
            "AND outcome IS NOT 'engine_error'",
            (run.key, run.position(problem.eval), problem.key),
        )
        return {row[0] for row in rows}

    def add_samples(
        self, run: Run, added: Iterable[Sample], session: tuple[int, dict[str, Any]] | None = None
    ) -> None:
        """Append samples of stored problems with their forks, and bring a session's counters up to date.

        A sample that the engine had failed on is replaced; any other is only ever written once.
        """
        placed = [(run.position(sample.problem.eval), sample) for sample in added]
        with db.transaction(self._connection):
            for position, sample in placed:
                self._drop_failed(run, position, sample)
            self._connection.executemany(
                "INSERT INTO samples VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [samples.numbers(run.key, position, sample) for position, sample in placed],
            )
            self._connection.executemany(
                "INSERT INTO texts VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                [samples.texts(sample) for _, sample in placed],
            )
            for position, sample in placed:
                forks.add(self._connection, run.key, position, sample)
            if session is not None:
                self._connection.execute(
                    "UPDATE sessions SET counters = ? WHERE key = ?", (json.dumps(session[1]), session[0])
                )

    def add_forks(self, run: Run, answered: Sequence[Sample]) -> None:
        """Append the forks that these samples have, which are stored already without them."""
        with db.transaction(self._connection):
            for sample in answered:
                forks.add(self._connection, run.key, run.position(sample.problem.eval), sample)

    def forked(self, run: Run) -> set[tuple[str, str, int, int]]:
        """Eval, problem, sample and thinking budget of every answer at one, also where a sample had ended."""
        evals, ids = run.evals, self.problem_ids(run)
        return {(evals[at], ids[key], index, budget) for at, key, index, budget in forks.places(self, run)}

    def _drop_failed(self, run: Run, position: int, sample: Sample) -> None:
        dropped = self._connection.execute(
            "DELETE FROM samples WHERE run = ? AND eval = ? AND problem = ? AND idx = ? "
            "AND outcome = 'engine_error'",
            (run.key, position, sample.problem.key, sample.index),
        )
        if dropped.rowcount:
            self._connection.execute(
                "DELETE FROM texts WHERE problem = ? AND idx = ?", (sample.problem.key, sample.index)
            )
            forks.drop(self._connection, run.key, position, sample)

    def set_verdicts(self, run: Run, judged: Sequence[Sample]) -> None:
        """Store the verdicts of samples and forks that are here already."""
        found = [sample for sample in judged if sample.budget is None]
        forked = [(run.position(each.problem.eval), each) for each in judged if each.budget is not None]
        with db.transaction(self._connection):
            forks.set_verdicts(self._connection, run.key, forked)
            self._connection.executemany(
                "UPDATE samples SET outcome = ?, score = ? "
                "WHERE run = ? AND eval = ? AND problem = ? AND idx = ?",
                [
                    (s.outcome, s.score, run.key, run.position(s.problem.eval), s.problem.key, s.index)
                    for s in found
                ],
            )
            self._connection.executemany(
                "UPDATE texts SET verifier = ?, extracted = ?, detail = ? WHERE problem = ? AND idx = ?",
                [(s.verifier, s.extracted, json.dumps(s.detail), s.problem.key, s.index) for s in found],
            )

    def judged(self, run: Run, problem: Problem) -> tuple[int, int]:
        """How many samples of a problem were judged, and how many of them are correct."""
        row = self._connection.execute(
            "SELECT COUNT(*), COALESCE(SUM(outcome = 'correct'), 0) FROM samples "
            "WHERE run = ? AND eval = ? AND problem = ? AND outcome NOT NULL AND outcome != 'engine_error'",
            (run.key, run.position(problem.eval), problem.key),
        ).fetchone()
        return row[0], row[1]

    def unjudged(self, run: Run, problem: Problem) -> list[Sample]:
        """Samples of a problem, and then forks, that were generated and not judged."""
        where = "s.eval = ? AND s.problem = ? AND s.outcome IS NULL"
        found = list(self._samples(run, where, (run.position(problem.eval), problem.key)))
        return found + forks.unjudged(self, run, problem)

    def sample(self, run: Run, eval_name: str, problem: str, index: int) -> Sample:
        """One sample, by its eval, its problem's id and its index in the group."""
        position = run.position(eval_name)
        where = (
            "s.eval = ? AND s.idx = ? AND s.problem = "
            "(SELECT key FROM problems WHERE run = s.run AND eval = s.eval AND id = ?)"
        )
        return next(self._samples(run, where, (position, index, problem)))

    def samples(self, run: Run) -> Iterator[Sample]:
        """All samples of a run with their texts, in order of eval, problem and index."""
        return self._samples(run, "1", ())

    def _samples(self, run: Run, where: str, values: tuple[Any, ...]) -> Iterator[Sample]:
        rows = self._connection.execute(
            f"SELECT {samples.SAMPLE} WHERE s.run = ? AND {where} ORDER BY s.eval, s.problem, s.idx",
            (run.key, *values),
        )
        tags, evals, problem = run.thinking, run.evals, None
        forked, answered = forks.any_of(self, run), {}
        for row in rows:
            if problem is None or problem.key != row[0]:
                problem = samples.to_problem(
                    self._connection.execute(
                        f"SELECT {samples.PROBLEM} FROM problems WHERE key = ?", (row[0],)
                    ).fetchone(),
                    evals,
                )
                answered = forks.of_problem(self, run, problem) if forked else {}
            sample = samples.to_sample(row, problem, tags)
            found, natural = answered.get(sample.index, ((), ()))
            yield replace(sample, forks=found, natural=natural) if forked else sample

    def rows(self, run: Run, *, judged: bool = False, since: float | None = None) -> Iterator[SampleRow]:
        """The samples of a run without their texts, in order of eval, problem and index.

        Args:
            judged: only those that have a verdict.
            since: only those that ended later, in seconds since the epoch.
        """
        where = "run = :run" + " AND outcome NOT NULL" * judged + " AND ended > :since" * (since is not None)
        found = self._connection.execute(
            f"SELECT {samples.ROW} WHERE {where} ORDER BY eval, problem, idx",
            {"run": run.key, "since": since},
        )
        evals, ids = run.evals, self.problem_ids(run)
        for row in found:
            yield SampleRow(evals[row[0]], ids[row[1]], *row[2:])

    def find_rows(self, run: Run, outcome: str = "", words: str = "") -> SampleRows:
        """The samples of a run without their texts, all at hand.

        Args:
            outcome: only those that ended so.
            words: only those of problems whose id contains this.
        """
        where = "run = :run" + " AND outcome = :outcome" * bool(outcome)
        if words:
            where += " AND problem IN (SELECT key FROM problems WHERE run = :run AND id LIKE :like)"
        found = self._connection.execute(
            f"SELECT {samples.ROW} WHERE {where} ORDER BY eval, problem, idx",
            {"run": run.key, "outcome": outcome, "like": f"%{words}%"},
        )
        rows: list[tuple[Any, ...]] = []
        while some := found.fetchmany(1000):  # in parts, so that other threads get their turns
            rows += some
        return SampleRows(rows, run.evals, self.problem_ids(run, words))


def _run(row: tuple[Any, ...]) -> Run:
    key, run_id, name, created, status, manifest = row
    return Run(key, run_id, name, created, status, json.loads(manifest))
