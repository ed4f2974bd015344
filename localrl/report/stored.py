"""A run in the store as `record.Run`, and the way back: a run from elsewhere put into the store."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from localrl.chat import Message
from localrl.errors import UsageError
from localrl.report import report
from localrl.report.record import Row, Sample, by_problem
from localrl.runs.plan import RunPlan
from localrl.store import runs as store_runs
from localrl.thinking import split

if TYPE_CHECKING:
    from collections.abc import Iterator

    from localrl.report.record import Run
    from localrl.store.runs import Store

_BATCH = 200  # problems a transaction when a run is imported


@dataclass(frozen=True)
class StoredRun:
    """Implements `record.Run`; samples that no verifier has judged yet are left out."""

    store: Store
    run: store_runs.Run

    @cached_property
    def _plan(self) -> RunPlan:
        return RunPlan.model_validate(self.run.manifest["plan"])

    @cached_property
    def report(self) -> dict[str, Any]:
        made = report.make(self.store, self.run)
        return {**made, "command": self._plan.command} if self._plan.command else made

    @property
    def origin(self) -> dict[str, Any]:
        return {
            "manifest": self.run.manifest,
            "sessions": self.store.sessions(self.run),
            "status": self.run.status,
        }

    def rows(self) -> Iterator[Row]:
        names = [part.spec.name for part in self._plan.evals]
        problems = dict(
            self.store.connection.execute("SELECT key, id FROM problems WHERE run = ?", (self.run.key,))
        )
        for found in self.store.connection.execute(
            "SELECT eval, problem, idx, outcome, score, prompt_tokens, thinking_tokens, answer_tokens, "
            "ttft_s, tokens_per_s FROM samples WHERE run = ? AND outcome NOT NULL "
            "ORDER BY eval, problem, idx",
            (self.run.key,),
        ):
            yield Row(names[found[0]], problems[found[1]], *found[2:])

    def questions(self) -> dict[tuple[str, str], tuple[str, str]]:
        names = [part.spec.name for part in self._plan.evals]
        found = self.store.connection.execute(
            "SELECT eval, id, prompt, target FROM problems WHERE run = ?", (self.run.key,)
        )
        return {(names[index], problem): (prompt, target) for index, problem, prompt, target in found}

    def samples(self) -> Iterator[Sample]:
        tags, problem = self._plan.thinking, None
        for index, found in self.store.samples(self.run):
            if found.outcome is None:
                continue
            if problem is None or problem.key != found.problem:
                problem = self.store.problem(found.problem)
            parts = split(found.text, tags, found.starts_thinking)
            yield Sample(
                row=Row(
                    eval=self._plan.evals[index].spec.name,
                    problem=problem.id,
                    sample=found.index,
                    outcome=found.outcome,
                    score=found.score or 0.0,
                    prompt_tokens=found.prompt_tokens,
                    thinking_tokens=found.thinking_tokens,
                    answer_tokens=found.answer_tokens,
                    ttft_s=found.ttft_s,
                    tokens_per_s=found.tokens_per_s,
                ),
                seed=found.seed,
                target=problem.target,
                messages=tuple(Message.model_validate(m) for m in problem.prompt),
                thinking=parts.thinking,
                answer=parts.answer,
                extracted=found.extracted,
                raw=found.text,
                finish=found.finish,
                detail=found.detail,
                stored={
                    "shared_tokens": found.shared_tokens,
                    "starts_thinking": found.starts_thinking,
                    "error": found.error,
                    "verifier": found.verifier,
                    "ended": found.ended,
                    "meta": problem.meta,
                },
            )


def find(store: Store, reference: str) -> StoredRun:
    """A run by its id, the beginning of its id, its name, or `last`.

    Raises:
        UsageError: there is none, or more than one.
    """
    return StoredRun(store, store.find(reference))


def put(store: Store, run: Run) -> store_runs.Run:
    """Keep a run from elsewhere under a new id; its manifest remembers where it came from.

    Raises:
        UsageError: it does not carry what the store needs, or is in the store already.
    """
    origin, source = run.origin, str(run.report.get("run", ""))
    try:
        manifest = origin["manifest"]
        sessions = [(dict(engine), dict(counters)) for engine, counters in origin["sessions"]]
        plan = RunPlan.model_validate(manifest["plan"])
        created = datetime.fromisoformat(str(run.report["created"]))
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(
            "this file holds no whole run", hint="export it again without --eval, by this version of localrl"
        ) from error
    for known in store.runs():
        if source and source in (known.id, known.manifest.get("imported_from")):
            raise UsageError(f"run {source} is here already, as {known.id}")
    positions = {part.spec.name: i for i, part in enumerate(plan.evals)}
    name = str(run.report.get("name") or "")
    kept = store.create_run({**manifest, "imported_from": source}, name, created)
    try:
        for engine, counters in sessions:
            store.end_session(kept, store.begin_session(kept, engine), counters, "partial")
        batch: list[list[Sample]] = []
        for problem in by_problem(run.samples()):
            batch.append(problem)
            if len(batch) == _BATCH:
                _add(store, kept, positions, batch)
                batch = []
        _add(store, kept, positions, batch)
        status = origin.get("status")
        store.set_status(kept, status if status in ("complete", "failed") else "partial")
    except BaseException:
        store.remove(kept)
        raise
    return store.find(kept.id)


def _add(store: Store, run: store_runs.Run, positions: dict[str, int], batch: list[list[Sample]]) -> None:
    """Add whole problems with their samples, in one transaction an eval for each of the two."""
    for position in {positions.get(samples[0].row.eval, -1) for samples in batch}:
        own = [samples for samples in batch if positions.get(samples[0].row.eval, -1) == position]
        if position < 0:
            raise UsageError(f"the run's plan knows no eval {own[0][0].row.eval!r}")
        keys = store.add_problems(run, position, [_problem(samples[0]) for samples in own])
        rows = [
            (position, _to_stored(key, s)) for key, samples in zip(keys, own, strict=True) for s in samples
        ]
        store.add_samples(run, rows)


def _problem(first: Sample) -> tuple[str, list[dict[str, str]], Any, dict[str, Any]]:
    prompt = [m.model_dump() for m in first.messages]
    return first.row.problem, prompt, first.target, first.stored.get("meta", {})


def _to_stored(problem: int, s: Sample) -> store_runs.Sample:
    return store_runs.Sample(
        problem=problem,
        index=s.row.sample,
        seed=s.seed,
        finish=s.finish,
        prompt_tokens=s.row.prompt_tokens,
        shared_tokens=int(s.stored.get("shared_tokens", 0)),
        thinking_tokens=s.row.thinking_tokens,
        answer_tokens=s.row.answer_tokens,
        ttft_s=s.row.ttft_s,
        tokens_per_s=s.row.tokens_per_s,
        text=s.raw,
        starts_thinking=bool(s.stored.get("starts_thinking", False)),
        error=str(s.stored.get("error", "")),
        outcome=s.row.outcome,
        score=s.row.score,
        verifier=s.stored.get("verifier"),
        extracted=s.extracted,
        detail=s.detail,
        ended=float(s.stored.get("ended", 0.0)),
    )
