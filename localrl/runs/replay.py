"""Thinking budgets for a run that is there: what its samples thought is cut at each, closed, and answered.

An answer from stored thinking has the same distribution as one that was forked in the run, but for texts that
do not encode to the tokens they were. It is stored as a fork, marked as replayed.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from localrl.engine.backends import BACKENDS, Ability
from localrl.engine.protocol import Finished, FinishReason, Fork, GroupRequest, SampleRequest, Thought
from localrl.errors import Stopped, UsageError
from localrl.runs import budgets, ends
from localrl.runs.rescore import Targets, judge
from localrl.sampling import fork_seed
from localrl.verdict import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from localrl.engine.client import EngineClient
    from localrl.runs.budgets import Budgets
    from localrl.runs.plan import EvalPlan, RunPlan
    from localrl.sample import Sample
    from localrl.store.runs import Run, Store
    from localrl.verify.pool import VerifierPool

IN_FLIGHT = 64
"""Answers that are with the engine at once; it runs as many of them as it can."""


@dataclass(frozen=True, slots=True)
class _Asked:
    sample: Sample
    budget: int
    seed: int


def check(plan: RunPlan) -> None:
    """
    Raises:
        UsageError: the run's model does not think, or its backend cannot go on from what was thought.
    """
    if plan.thinking is None:
        raise UsageError(f"{plan.model_name} does not think, so that there is nothing to budget")
    if Ability.THOUGHT in BACKENDS.get(plan.engine.backend).CANNOT:
        raise UsageError(f"{plan.engine.backend} cannot {Ability.THOUGHT.value}")


def lacking(store: Store, run: Run, plan: RunPlan, wanted: Budgets) -> int:
    """How many answers are to be made.

    Raises:
        UsageError: no budget is below the limit of an eval.
    """
    replay = {part.spec.name: budgets.below(wanted, part.sampling.max_tokens) for part in plan.evals}
    have = store.forked(run)
    return sum(
        row.thinking_tokens > budget and (row.eval, row.problem, row.sample, budget) not in have
        for row in store.rows(run)
        for budget in replay[row.eval]
        if row.outcome != Outcome.ENGINE_ERROR
    )


class Replay:
    """Answers what a run lacks at budgets. `events` works in the caller's thread."""

    def __init__(
        self,
        store: Store,
        run: Run,
        plan: RunPlan,
        engine: EngineClient,
        pool: VerifierPool,
        wanted: Budgets,
        answer_tokens: int,
    ) -> None:
        self._store, self._run, self._plan, self._engine, self._pool = store, run, plan, engine, pool
        self._wanted, self._answer_tokens = wanted, answer_tokens
        self._parts = {part.spec.name: part for part in plan.evals}
        self._targets = Targets(self._parts)
        self._asked: dict[str, _Asked] = {}
        self.done = 0
        """Answers that were added."""

    def events(self) -> Iterator[Sample]:
        """Every answer once it is stored and judged, until all are there or the engine is to stop.

        Raises:
            UsageError: a prompt cannot run with these settings.
            StoreError: results cannot be written; what was given out is safe.
            LocalrlError: the engine cannot be kept alive.
        """
        asked, more = self._requests(), True
        with contextlib.suppress(Stopped):
            while not self._engine.stopping.is_set():
                while more and len(self._asked) < IN_FLIGHT:
                    more = next(asked, None) is not None
                if not self._asked and not more:
                    return
                ended = [e for e in self._engine.events(timeout=0.5) if isinstance(e, Finished)]
                yield from self._keep(ended)

    def _requests(self) -> Iterator[int]:
        """Submit what every sample lacks, one after another; what was left unjudged is judged here."""
        for sample in self._store.samples(self._run):
            if sample.outcome is Outcome.ENGINE_ERROR:
                continue
            part = self._parts[sample.problem.eval]
            have = {*sample.natural, *(fork.budget for fork in sample.forks)}
            lacks = [b for b in budgets.below(self._wanted, part.sampling.max_tokens) if b not in have]
            natural = tuple(budget for budget in lacks if sample.thinking_tokens <= budget)
            if natural:
                self._store.add_forks(self._run, [replace(sample, forks=(), natural=natural)])
            self._judge([fork for fork in sample.forks if fork.outcome is None])
            for budget in lacks:
                if budget not in natural:
                    self._submit(sample, budget, part)
                    yield budget

    def _submit(self, sample: Sample, budget: int, part: EvalPlan) -> None:
        name = f"{sample.problem.key}/{sample.index}@{budget}"
        asked = self._asked[name] = _Asked(sample, budget, fork_seed(sample.seed, budget))
        self._engine.submit(
            GroupRequest(
                id=name,
                prompt=sample.problem.messages,
                samples=(SampleRequest(name, asked.seed),),
                sampling=part.sampling.model_copy(update={"max_tokens": self._answer_tokens}),
                thinking=self._plan.thinking,
                loop_guard=False,
                thought=Thought(sample.response.raw, budget),
            )
        )

    def _keep(self, ended: Sequence[Finished]) -> Iterator[Sample]:
        """Store what came in one commit, then judge it."""
        made = []
        for end in ended:
            asked = self._asked.pop(end.sample)
            if end.reason is FinishReason.REFUSED:
                raise UsageError(f"problem {asked.sample.problem.id}: {end.error}")
            if end.reason is not FinishReason.CANCELLED:
                made.append(self._fork(asked, end))
        if made:
            self._store.add_forks(self._run, [replace(s, forks=(fork,), natural=()) for s, fork in made])
            self.done += len(made)
            yield from self._judge([fork for _, fork in made])

    def _fork(self, asked: _Asked, end: Finished) -> tuple[Sample, Sample]:
        sample = asked.sample
        fork = Fork(
            budget=asked.budget,
            forced=True,
            seed=asked.seed,
            reason=end.reason,
            text=end.text,
            thinking_tokens=asked.budget,
            answer_tokens=end.thinking_tokens + end.answer_tokens,
            reopened=end.reopened or end.thinking_tokens > 0,
        )
        spec = self._parts[sample.problem.eval].spec
        return sample, ends.fork(fork, sample.problem, sample.index, spec, self._plan.thinking, replayed=True)

    def _judge(self, forks: Sequence[Sample]) -> list[Sample]:
        """Have these judged and the verdicts stored."""
        judged = judge(
            [fork for fork in forks if fork.outcome is None], self._parts, self._targets, self._pool
        )
        self._store.set_verdicts(self._run, judged)
        return [*(fork for fork in forks if fork.outcome is not None), *judged]
