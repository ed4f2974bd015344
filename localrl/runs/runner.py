"""Do a run: feed groups to the engine, store each sample, have it judged, and say what happens as events.

The order makes a run safe to kill at any instant: a finished sample is committed before it is counted, and so
is a verdict. What is stored is never generated again.
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import asdict, dataclass, replace
from itertools import islice
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
from localrl.runs import budgets, ends, energy, rewarding
from localrl.runs.ordering import WINDOW, Lengths, characters, longest_first
from localrl.runs.progress import EvalProgress, Progress
from localrl.runs.stopping import StoppingRules
from localrl.sample import Problem, Sample
from localrl.sampling import sample_seed
from localrl.store import aggregates, forks
from localrl.verdict import Outcome, Verdict
from localrl.verify import registry

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Sequence
    from concurrent.futures import Future

    from localrl.runs.plan import EvalPlan, RunPlan
    from localrl.store.runs import Run, Store
    from localrl.verify.pool import VerifierPool


@dataclass(frozen=True, slots=True)
class Live:
    """Text of a running stream."""

    problem: Problem
    index: int
    text: str
    thinking: bool
    tokens: int


AT_ONCE = 64
"""Problems that are entered into the store together, each commit waiting for the disk."""

_Group = tuple[Problem, tuple[SampleRequest, ...]]

RunEvent = Sample | Live | Restarted | Metrics
"""A sample is an event once its verdict is stored, when it counts."""


@dataclass(frozen=True, slots=True)
class _Part:
    """One eval of the run: what is planned, how far it is, and what judges it."""

    index: int
    plan: EvalPlan
    progress: EvalProgress
    verifier: str


class Runner:
    """One session of one run. `events` works in the caller's thread; `stop` may come from any other."""

    def __init__(
        self,
        store: Store,
        run: Run,
        plan: RunPlan,
        engine: EngineClient,
        pool: VerifierPool,
        engine_did: Metrics | None = None,
    ) -> None:
        """
        Args:
            engine_did: what the engine had counted before this session, where it has worked before.
        """
        self._store, self._run, self._plan, self._engine, self._pool = store, run, plan, engine, pool
        self._stopping = engine.stopping
        self._waiting: dict[str, tuple[Problem, SampleRequest]] = {}
        self._unjudged: list[tuple[Sample, Future[Verdict]]] = []
        self._rules = StoppingRules(store, run, plan)
        self._lengths = Lengths(store, run, plan)
        worked_before_s = sum(counters.get("wall_s", 0.0) for _, counters in store.sessions(run))
        self._session = store.begin_session(run, asdict(engine.info))
        self._meter = energy.Meter(energy.sensors()[0])
        self._steps_seen = Metrics()
        self._base = _negative(engine_did or Metrics())
        self._estimated = 0
        self._parts = {
            part.spec.name: _Part(i, part, self._counted(i, part), verifier_name(part))
            for i, part in enumerate(plan.evals)
        }
        self.progress = Progress(
            [part.progress for part in self._parts.values()], worked_before_s=worked_before_s
        )
        self.progress.done_before, self.progress.correct_before = self.progress.done, self.progress.correct
        for seconds in aggregates.rates(store, run)[0]:
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
                if not more and not self._waiting and not self._unjudged:
                    break
                yield from self._take(self._engine.events(timeout=0.05 if self._unjudged else 0.5))
                yield from self._collect()
        yield from self._collect(wait_s=10.0)
        return not more and not self._waiting and not self._unjudged

    # -- what to generate

    def _wanted(self) -> int:
        """Samples to have with the engine: what runs now, and enough behind it that it never waits for us."""
        return self.progress.metrics.parallel + max(8, self.progress.metrics.parallel // 2)

    def _submit_next(self, groups: Iterator[_Group]) -> bool:
        found = next(groups, None)
        if found is None:
            return False
        problem, samples = found
        for sample in samples:
            self._waiting[sample.id] = (problem, sample)
        self._engine.submit(
            GroupRequest(
                id=samples[0].id,
                prompt=problem.messages,
                samples=samples,
                sampling=self._parts[problem.eval].plan.sampling,
                thinking=self._plan.thinking,
                control=self._plan.control,
                budgets=tuple(self._parts[problem.eval].plan.budgets),
                budget_answer_tokens=self._plan.budget_answer_tokens,
                loop_guard=self._plan.loop_guard,
            )
        )
        return True

    def _groups(self) -> Iterator[_Group]:
        """Every problem with the samples that it lacks, the longest evals and problems first."""
        for part in sorted(self._parts.values(), key=lambda part: -self._lengths.of_eval(part.index)):
            problems = dataset.problems(part.plan.spec, Path(part.plan.path), part.plan.limit)
            asked = self._rules.order(part.index, problems)
            if self._rules.active:  # they decide the order, and how far it goes
                yield from self._lacking(part, asked, at_once=1)
                continue
            yield from longest_first(
                self._lacking(part, asked, at_once=AT_ONCE),
                lambda group, index=part.index: self._lengths.rank(index, group[0]),  # type: ignore[misc]
                lambda group: characters(group[0].target),
                most=max(1, WINDOW // part.plan.samples),
            )

    def _lacking(
        self, part: _Part, asked: Iterable[tuple[Problem, Sequence[int]]], at_once: int
    ) -> Iterator[_Group]:
        """Problems that lack samples, in their order; what was left unjudged is judged here."""
        asked = iter(asked)
        while some := list(islice(asked, at_once)):
            stored = self._store.add_problems(self._run, [problem for problem, _ in some])
            for problem, (_, wanted) in zip(stored, some, strict=True):
                done = self._store.done(self._run, problem)
                # Later rounds come back to problems whose samples this session is judging already.
                first = 0 in wanted
                pending = self._store.unjudged(self._run, problem) if done and first else []
                samples = tuple(self._request(problem, i) for i in wanted if i not in done)
                if done and first and (samples or pending):
                    self._reopen(part, problem)
                for sample in pending:
                    self._judge(replace(sample, problem=problem))  # whose target the store may have omitted
                if samples:
                    yield problem, samples

    def _reopen(self, part: _Part, problem: Problem) -> None:
        """Count what earlier sessions have of a problem that lacks something."""
        k = part.plan.samples
        part.progress.reopen(problem.key, self._store.judged(self._run, problem), k)
        for budget, counts in forks.judged(self._store, self._run, problem).items():
            part.progress.budgets[budget].reopen(problem.key, counts, k)

    def _request(self, problem: Problem, index: int) -> SampleRequest:
        seed = sample_seed(self._plan.seed, problem.eval, problem.id, index)
        return SampleRequest(f"{problem.key}/{index}", seed)

    # -- what came back

    def _take(self, events: list[Any]) -> Iterator[RunEvent]:
        """Store all samples that finished in this step in one commit, then have them judged."""
        finished: list[Sample] = []
        refused = ""
        for event in events:
            if isinstance(event, Finished):
                problem, request = self._waiting.pop(event.sample)
                if event.reason is FinishReason.REFUSED:
                    refused = refused or f"problem {problem.id}: {event.error}"
                else:
                    self._estimated += event.estimated
                    finished.append(self._to_sample(problem, request, event))
            elif isinstance(event, Text):
                problem, request = self._waiting[event.sample]
                yield Live(problem, _index(request), event.text, event.thinking, event.tokens)
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
            self._store.add_samples(self._run, finished, (self._session, self._counters()))
        for sample in (each for parent in finished for each in (parent, *parent.forks)):
            if sample.outcome is None:
                self._judge(sample)
            else:
                yield self._count(sample)
        if refused:
            raise UsageError(refused)

    def _to_sample(self, problem: Problem, request: SampleRequest, end: Finished) -> Sample:
        if end.ttft_s is not None:
            self.progress.first_token.add(end.ttft_s)
        spec = self._parts[problem.eval].plan.spec
        return ends.sample(end, problem, _index(request), request.seed, spec, self._plan.thinking)

    def _judge(self, sample: Sample) -> None:
        spec = self._parts[sample.problem.eval].plan.spec
        verdict = rewarding.submit(self._pool, spec, sample.response, sample.problem.target, sample.tokens)
        self._unjudged.append((sample, verdict))

    def _collect(self, wait_s: float = 0.0) -> Iterator[Sample]:
        """Store the verdicts that are there, then count them."""
        deadline = time.monotonic() + wait_s
        while self._unjudged and time.monotonic() < deadline and not all(v.done() for _, v in self._unjudged):
            time.sleep(0.01)
        ready = [(sample, verdict) for sample, verdict in self._unjudged if verdict.done()]
        if not ready:
            return
        self._unjudged = [(sample, verdict) for sample, verdict in self._unjudged if not verdict.done()]
        judged = [
            sample.judged(verdict.result(), self._parts[sample.problem.eval].verifier)
            for sample, verdict in ready
        ]
        self._store.set_verdicts(self._run, judged)
        for sample in judged:
            yield self._count(sample)

    def _count(self, sample: Sample) -> Sample:
        assert sample.outcome is not None
        part = self._parts[sample.problem.eval]
        for budget in sample.natural if sample.budget is None else (sample.budget,):
            part.progress.budgets[budget].judged(sample.problem.key, sample.outcome, part.plan.samples)
        if sample.budget is not None:
            return sample
        part.progress.judged(sample.problem.key, sample.outcome, part.plan.samples)
        self._rules.take(part.index, sample.problem.id, sample.index, sample.outcome)
        return sample

    # -- counters

    def _counted(self, index: int, part: EvalPlan) -> EvalProgress:
        """Where earlier sessions left this eval."""
        problems = dataset.count(part.spec, Path(part.path), part.limit) or 0
        progress = EvalProgress(
            part.spec.name, problems * part.samples, tokens_each=self._lengths.of_eval(index)
        )
        tally = aggregates.totals(self._store, self._run, index)
        progress.outcomes.update({name: count for name, count in tally.outcomes.items() if name})
        progress.outcomes.pop(Outcome.ENGINE_ERROR, None)  # tried again in this session
        progress.groups.update(aggregates.finished_groups(self._store, self._run, index, part.samples))
        progress.budgets = budgets.counted(
            self._store, self._run, index, part.budgets, progress.total, part.samples
        )
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


def _negative(metrics: Metrics) -> Metrics:
    """Counters that `_plus` takes away."""
    return Metrics(
        generated_tokens=-metrics.generated_tokens,
        decode_s=-metrics.decode_s,
        prefill_tokens=-metrics.prefill_tokens,
        prefill_s=-metrics.prefill_s,
        steps=-metrics.steps,
    )


def _index(request: SampleRequest) -> int:
    return int(request.id.rpartition("/")[2])


def verifier_name(part: EvalPlan) -> str:
    """Name and version, as stored with a verdict."""
    name = part.spec.verifier.name
    return f"{name}/{registry.VERIFIERS.get(name).VERSION}"
