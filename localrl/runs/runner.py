"""Do a run: feed groups to the engine, store each sample, have it judged, and say what happens as events.

The order makes a run safe to kill at any instant: a finished sample is committed before it is counted, and so
is a verdict. What is stored is never generated again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from localrl.engine.client import EngineClient, Restarted
from localrl.engine.protocol import (
    Finished,
    FinishReason,
    GroupRequest,
    Metrics,
    SampleRequest,
    Started,
    Text,
)
from localrl.errors import Stopped, StoreError, UsageError
from localrl.evals import dataset
from localrl.runs import energy, rewarding
from localrl.runs.progress import EvalProgress, Progress
from localrl.runs.stopping import Rules
from localrl.sampling import sample_seed
from localrl.store import sums
from localrl.store.runs import Run, Sample, Store
from localrl.thinking import split
from localrl.verdict import Outcome, Verdict
from localrl.verify import registry

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from concurrent.futures import Future

    from localrl.evals.spec import Problem
    from localrl.runs.plan import EvalPlan, RunPlan
    from localrl.verify.pool import VerifierPool

UNJUDGEABLE = {
    FinishReason.LENGTH: Outcome.TRUNCATED,
    FinishReason.CONTEXT: Outcome.TRUNCATED,
    FinishReason.LOOP: Outcome.LOOPED,
    FinishReason.ERROR: Outcome.ENGINE_ERROR,
}
"""A sample that did not end by itself has an outcome of its own and is not asked for an answer."""
LARGEST_STORED_TARGET = 1 << 16
"""Longer targets (test suites) are kept out of the store; they are in the eval's data."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A sample that now counts."""

    eval: int
    problem: str
    index: int
    outcome: Outcome
    extracted: str | None


@dataclass(frozen=True, slots=True)
class Live:
    """Text of a running stream."""

    eval: int
    problem: str
    index: int
    text: str
    thinking: bool
    tokens: int


RunEvent = Judged | Live | Restarted | Metrics


@dataclass(slots=True)
class _Open:
    """A problem whose samples are being generated or judged."""

    eval: int
    key: int
    problem: Problem


@dataclass(frozen=True, slots=True)
class _Tag:
    """Which sample a verdict or an engine event belongs to."""

    open: _Open
    index: int


class Runner:
    """One session of one run. `events` works in the caller's thread; `stop` may come from any other."""

    def __init__(
        self, store: Store, run: Run, plan: RunPlan, engine: EngineClient, pool: VerifierPool
    ) -> None:
        self._store, self._run, self._plan, self._engine, self._pool = store, run, plan, engine, pool
        self._stopping = engine.stopping
        self._waiting: dict[str, tuple[_Open, SampleRequest]] = {}
        self._verdicts: list[Future[Verdict]] = []
        self._names = [verifier_name(part) for part in plan.evals]
        self._rules = Rules(store, run, plan)
        self._session = store.begin_session(run, asdict(engine.info))
        self._meter = energy.Meter(energy.sensors()[0])
        self._steps_seen = Metrics()
        self._base = Metrics()
        self._estimated = 0
        self.progress = Progress([self._counted(i, part) for i, part in enumerate(plan.evals)])
        self.progress.done_before, self.progress.correct_before = self.progress.done, self.progress.correct
        for seconds in sums.rates(store, run)[0]:
            self.progress.first_token.add(seconds)

    def stop(self) -> None:
        """Finish the step, store what is done, and end `events`."""
        self._stopping.set()

    def pause(self, paused: bool = True) -> None:
        self.progress.pause(paused)
        self._engine.pause(paused)

    def events(self) -> Iterator[RunEvent]:
        """Work until all samples are judged, or until stopped.

        Raises:
            UsageError: a prompt cannot run with these settings, or the data changed since the run began.
            StoreError: results cannot be written; what was counted is safe.
            LocalrlError: the engine cannot be kept alive.
        """
        complete = False
        try:
            complete = yield from self._work()
        finally:
            with contextlib.suppress(StoreError):
                self._store.update_manifest(self._run, stopped=self._rules.settled())
                self._store.end_session(
                    self._run, self._session, self._counters(), "complete" if complete else "partial"
                )

    def _work(self) -> Generator[RunEvent, None, bool]:
        groups = self._groups()
        more = True
        with contextlib.suppress(Stopped):  # while a worker that had died was being started again
            while not self._stopping.is_set():
                while more and len(self._waiting) < self._wanted():
                    more = self._submit_next(groups)
                if not more and not self._waiting and not self._verdicts:
                    break
                yield from self._take(self._engine.events(timeout=0.05 if self._verdicts else 0.5))
                yield from self._collect()
        yield from self._collect(wait_s=10.0)
        return not more and not self._waiting and not self._verdicts

    # -- what to generate

    def _wanted(self) -> int:
        """Samples to have with the engine: what runs now, and enough behind it that it never waits for us."""
        return self.progress.metrics.parallel + max(8, self.progress.metrics.parallel // 2)

    def _submit_next(self, groups: Iterator[tuple[_Open, tuple[SampleRequest, ...]]]) -> bool:
        found = next(groups, None)
        if found is None:
            return False
        part, samples = self._plan.evals[found[0].eval], found[1]
        for sample in samples:
            self._waiting[sample.id] = (found[0], sample)
        if samples:
            self._engine.submit(
                GroupRequest(
                    id=f"{found[0].eval}/{found[0].key}/{_index(samples[0])}",
                    prompt=part.spec.prompt.messages(found[0].problem.question),
                    samples=samples,
                    sampling=part.sampling,
                    thinking=self._plan.thinking,
                    loop_guard=self._plan.loop_guard,
                )
            )
        return True

    def _groups(self) -> Iterator[tuple[_Open, tuple[SampleRequest, ...]]]:
        """Every problem with the samples that it lacks; what was left unjudged is judged here."""
        for index, part in enumerate(self._plan.evals):
            problems = dataset.problems(part.spec, Path(part.path), part.limit)
            for problem, wanted in self._rules.order(index, problems):
                prompt = [message.model_dump() for message in part.spec.prompt.messages(problem.question)]
                target = _kept(problem.target)
                key = self._store.add_problems(
                    self._run, index, [(problem.id, prompt, target, problem.meta)]
                )[0]
                done = self._store.done(self._run, index, key)
                # Later rounds come back to problems whose samples this session is judging already.
                first = 0 in wanted
                pending = self._store.unjudged(self._run, index, key) if done and first else []
                samples = tuple(
                    SampleRequest(
                        f"{index}/{key}/{i}", sample_seed(self._plan.seed, part.spec.name, problem.id, i)
                    )
                    for i in wanted
                    if i not in done
                )
                if done and first and (samples or pending):
                    counts = self._store.judged(self._run, index, key)
                    self.progress.evals[index].reopen(key, counts)
                open_problem = _Open(index, key, problem)
                for sample in pending:
                    self._judge(open_problem, sample)
                yield open_problem, samples

    # -- what came back

    def _take(self, events: list[Any]) -> Iterator[RunEvent]:
        """Store all samples that finished in this step in one commit, then have them judged."""
        finished: list[tuple[_Open, Sample]] = []
        refused = ""
        for event in events:
            if isinstance(event, Finished):
                found = self._waiting.pop(event.sample)
                if event.reason is FinishReason.REFUSED:
                    refused = refused or f"problem {found[0].problem.id}: {event.error}"
                else:
                    self._estimated += event.estimated
                    finished.append((found[0], self._to_sample(found[0], found[1], event)))
            elif isinstance(event, Text):
                open_problem, request = self._waiting[event.sample]
                yield Live(
                    open_problem.eval,
                    open_problem.problem.id,
                    _index(request),
                    event.text,
                    event.thinking,
                    event.tokens,
                )
            elif isinstance(event, Metrics):
                self._steps_seen = event
                self.progress.take(_plus(self._base, event))
                yield self.progress.metrics
            elif isinstance(event, Restarted):
                self._base = _plus(self._base, self._steps_seen)
                self._steps_seen = Metrics()
                self.progress.restarts += 1
                yield event
            else:
                assert isinstance(event, Started)
        if finished:
            self._store.add_samples(
                self._run, [(o.eval, sample) for o, sample in finished], (self._session, self._counters())
            )
        for open_problem, sample in finished:
            if sample.outcome is None:
                self._judge(open_problem, sample)
            else:
                yield self._count(open_problem, sample.index, Outcome(sample.outcome), None)
        if refused:
            raise UsageError(refused)

    def _to_sample(self, open_problem: _Open, request: SampleRequest, end: Finished) -> Sample:
        if end.ttft_s is not None:
            self.progress.first_token.add(end.ttft_s)
        outcome = UNJUDGEABLE.get(end.reason)
        spec = self._plan.evals[open_problem.eval].spec
        return Sample(
            problem=open_problem.key,
            index=_index(request),
            seed=request.seed,
            finish=str(end.reason),
            prompt_tokens=end.prompt_tokens,
            shared_tokens=end.shared_tokens,
            thinking_tokens=end.thinking_tokens,
            answer_tokens=end.answer_tokens,
            ttft_s=end.ttft_s,
            tokens_per_s=end.tokens_per_s,
            text=end.text,
            starts_thinking=end.starts_thinking,
            error=end.error,
            outcome=str(outcome) if outcome else None,
            score=0.0 if outcome else None,
            detail=rewarding.unjudged(spec, outcome, end.thinking_tokens + end.answer_tokens)
            if outcome
            else {},
            ended=time.time(),
        )

    def _judge(self, open_problem: _Open, sample: Sample) -> None:
        part = self._plan.evals[open_problem.eval]
        response = split(sample.text, self._plan.thinking, sample.starts_thinking)
        self._verdicts.append(
            rewarding.submit(
                self._pool,
                part.spec,
                response,
                open_problem.problem.target,
                sample.thinking_tokens + sample.answer_tokens,
                _Tag(open_problem, sample.index),
            )
        )

    def _collect(self, wait_s: float = 0.0) -> Iterator[Judged]:
        """Store the verdicts that are there, then count them."""
        deadline = time.monotonic() + wait_s
        while self._verdicts and time.monotonic() < deadline and not all(v.done() for v in self._verdicts):
            time.sleep(0.01)
        ready = [future for future in self._verdicts if future.done()]
        if not ready:
            return
        self._verdicts = [future for future in self._verdicts if not future.done()]
        found = [(_tag(future), future.result()) for future in ready]
        self._store.set_verdicts(
            self._run,
            [(t.open.eval, t.open.key, t.index, v, self._names[t.open.eval]) for t, v in found],
        )
        for tag, verdict in found:
            yield self._count(tag.open, tag.index, verdict.outcome, verdict.extracted)

    def _count(self, open_problem: _Open, index: int, outcome: Outcome, extracted: str | None) -> Judged:
        part = self._plan.evals[open_problem.eval]
        self.progress.evals[open_problem.eval].judged(open_problem.key, outcome, part.samples)
        self._rules.take(open_problem.eval, open_problem.problem.id, index, outcome)
        return Judged(open_problem.eval, open_problem.problem.id, index, outcome, extracted)

    # -- counters

    def _counted(self, index: int, part: EvalPlan) -> EvalProgress:
        """Where earlier sessions left this eval."""
        problems = dataset.count(part.spec, Path(part.path), part.limit) or 0
        progress = EvalProgress(part.spec.name, problems * part.samples)
        tally = sums.tally(self._store, self._run, index)
        progress.outcomes.update({name: count for name, count in tally.outcomes.items() if name})
        progress.outcomes.pop(Outcome.ENGINE_ERROR, None)  # tried again in this session
        progress.groups.update(sums.finished_groups(self._store, self._run, index, part.samples))
        return progress

    def _counters(self) -> dict[str, Any]:
        """What this session has cost so far, as `report` adds it up."""
        metrics = self.progress.metrics
        return {
            "before": {"done": self.progress.done_before, "correct": self.progress.correct_before},
            "wall_s": self.progress.worked_s,
            "generated_tokens": metrics.generated_tokens,
            "decode_s": metrics.decode_s,
            "prefill_tokens": metrics.prefill_tokens,
            "prefill_s": metrics.prefill_s,
            "peak_memory_bytes": metrics.peak_memory_bytes,
            "estimated_samples": self._estimated,
            "parallel": metrics.parallel,
            "running": metrics.running,
            "energy_j": self._meter.joules(),
        }


def _plus(base: Metrics, metrics: Metrics) -> Metrics:
    """A worker's counters on top of those of the workers before it."""
    return replace(
        metrics,
        generated_tokens=base.generated_tokens + metrics.generated_tokens,
        decode_s=base.decode_s + metrics.decode_s,
        prefill_tokens=base.prefill_tokens + metrics.prefill_tokens,
        prefill_s=base.prefill_s + metrics.prefill_s,
        steps=base.steps + metrics.steps,
        peak_memory_bytes=max(base.peak_memory_bytes, metrics.peak_memory_bytes),
    )


def _index(request: SampleRequest) -> int:
    return int(request.id.rpartition("/")[2])


def _tag(future: Future[Verdict]) -> _Tag:
    tag: _Tag = future.tag  # type: ignore[attr-defined]
    return tag


def verifier_name(part: EvalPlan) -> str:
    """Name and version, as stored with a verdict."""
    name = part.spec.verifier.name
    return f"{name}/{registry.VERIFIERS.get(name).VERSION}"


def is_omitted(target: Any) -> bool:
    """Whether a stored target is only the mark of one that was too long."""
    return isinstance(target, dict) and set(target) == {"omitted_characters", "sha256"}


def _kept(target: Any) -> Any:
    """The target as it is stored: itself, or its size and hash when it is too long."""
    text = json.dumps(target)
    if len(text) <= LARGEST_STORED_TARGET:
        return target
    return {"omitted_characters": len(text), "sha256": hashlib.sha256(text.encode()).hexdigest()}
