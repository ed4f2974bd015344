"""The samples of one step: drawn by the engine, stored, judged, and counted, in this order.

Verifiers work while the engine generates. A step that was interrupted finds its samples in the store, and
draws only what is missing, with the seeds that it would have had.
"""

from __future__ import annotations

import time
from array import array
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from localrl.engine.client import Restarted
from localrl.engine.protocol import Finished, FinishReason, GroupRequest, Metrics, SampleRequest, Started
from localrl.errors import UsageError
from localrl.runs import rewarding
from localrl.runs.ends import UNJUDGEABLE
from localrl.sampling import sample_seed
from localrl.stats import advantages
from localrl.store.trainings import StoredRollout
from localrl.thinking import split
from localrl.train.order import groups_wanted
from localrl.verdict import VERIFIER_FAILED, Outcome, Verdict

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Sequence
    from concurrent.futures import Future

    from localrl.engine.client import EngineClient
    from localrl.store.runs import Store
    from localrl.store.trainings import Training
    from localrl.train.order import ProblemOrder
    from localrl.train.plan import TrainPlan
    from localrl.verify.pool import VerifierPool

NOT_THE_MODELS = frozenset({str(Outcome.ENGINE_ERROR), *map(str, VERIFIER_FAILED)})
"""Outcomes that say nothing of the model: such samples are not trained on."""


@dataclass(frozen=True, slots=True)
class JudgedGroup:
    """A group of a step once its rewards are stored."""

    question: str
    samples: tuple[StoredRollout, ...]
    """All k, in order."""
    rollouts: tuple[StoredRollout, ...]
    """Those of them that can be trained on."""
    advantages: tuple[float, ...]
    """One for each of `rollouts`."""

    @property
    def mixed(self) -> bool:
        """It has spread, apart from what depends on lengths alone."""
        return advantages.has_spread([rollout.spread for rollout in self.rollouts])


RolloutEvent = JudgedGroup | Restarted | Metrics


class StepRollouts:
    """Draws and judges the groups of steps. For one thread."""

    def __init__(
        self,
        store: Store,
        training: Training,
        plan: TrainPlan,
        order: ProblemOrder,
        engine: EngineClient,
        pool: VerifierPool,
    ) -> None:
        self._store, self._training, self._plan = store, training, plan
        self._order, self._engine, self._pool = order, engine, pool
        self._drawn: dict[str, tuple[StoredRollout, tuple[int, ...]]] = {}
        """By the engine's name: a sample under way, and its prompt's tokens once they are known."""
        self._unjudged: list[tuple[StoredRollout, list[Future[Verdict]]]] = []
        self._first = 0
        """The number of the step's first group, counted over all steps."""
        self._kept: dict[tuple[int, int], StoredRollout] = {}
        """Judged samples of the step, by group and index."""
        self.tokens_drawn = 0
        """Of the last step, in this session."""
        self.verify_s = 0.0
        """Of the last step: waited for verifiers while the engine had nothing to do."""

    def of_step(self, step: int, first: int) -> Generator[RolloutEvent, None, list[JudgedGroup] | None]:
        """All groups of a step, in the order in which they were drawn; None when stopped before.

        Args:
            first: the number of the step's first group, counted over all steps.

        Raises:
            UsageError: a prompt does not fit.
        """
        self._begin(step, first)
        groups: list[JudgedGroup] = []
        asked = 0
        while True:
            wanted = groups_wanted(self._plan.recipe, [group.mixed for group in groups])
            if wanted == len(groups):
                return groups
            for place in range(asked, wanted):
                self._ask(step, place)
            asked = wanted
            yield from self._until_judged(groups, wanted)
            if len(groups) < wanted:
                return None

    def _until_judged(self, groups: list[JudgedGroup], wanted: int) -> Generator[RolloutEvent, None, None]:
        """Work until so many groups are judged, or until stopped."""
        k = self._plan.recipe.samples
        while not self._engine.stopping.is_set():
            while len(groups) < wanted and all((len(groups), i) in self._kept for i in range(k)):
                groups.append(self._group(len(groups)))
                yield groups[-1]
            if len(groups) == wanted:
                return
            began = time.monotonic()
            yield from self._take(self._engine.events(timeout=0.02 if self._unjudged else 0.5))
            if not self._drawn:
                self.verify_s += time.monotonic() - began
            self._collect()

    def _begin(self, step: int, first: int) -> None:
        """Find what an earlier session left of this step."""
        self._first = first
        self.verify_s, self.tokens_drawn, self._kept, self._unjudged = 0.0, 0, {}, []
        for rollout in self._store.trainings.rollouts(self._training, step):
            self._sort(rollout)

    def _sort(self, rollout: StoredRollout) -> None:
        """A stored sample is either judged or goes to the verifiers."""
        problem = self._order[self._first + rollout.place]
        if rollout.problem != problem.id:
            raise UsageError(
                f"the problems of {self._plan.trained.spec.name} are not what they were when it began",
                hint="start a new training",
            )
        if rollout.outcome is None:
            spec = self._plan.trained.spec
            response = split(rollout.text, self._plan.measured.thinking, rollout.starts_thinking)
            futures = [
                self._pool.submit(verifier, response, problem.target)
                for verifier in rewarding.verifiers(spec)
            ]
            self._unjudged.append((rollout, futures))
        else:
            self._kept[rollout.place, rollout.index] = rollout

    # -- the engine

    def _ask(self, step: int, place: int) -> None:
        """Have the engine draw what a group lacks."""
        problem = self._order[self._first + place]
        waiting = {(rollout.place, rollout.index) for rollout, _ in self._unjudged}
        samples = []
        for index in range(self._plan.recipe.samples):
            if (place, index) in self._kept or (place, index) in waiting:
                continue
            name = f"{step}/{place}/{index}"
            seed = sample_seed(self._plan.seed, f"step {step}, group {place}", problem.id, index)
            self._drawn[name] = (StoredRollout(step, place, index, problem.id, seed, "", ""), ())
            samples.append(SampleRequest(name, seed))
        if samples:
            self._engine.submit(
                GroupRequest(
                    id=f"{step}/{place}",
                    prompt=problem.messages,
                    samples=tuple(samples),
                    sampling=self._plan.trained.sampling,
                    thinking=self._plan.measured.thinking,
                    logprobs=0,
                    echo=True,
                )
            )

    def _take(self, events: Iterable[Any]) -> Generator[RolloutEvent, None, None]:
        """Store all samples that finished in this step of the engine in one commit, then have them judged."""
        finished = []
        for event in events:
            if isinstance(event, Started):
                rollout, _ = self._drawn[event.sample]
                self._drawn[event.sample] = (rollout, tuple(token.id for token in event.logprobs))
            elif isinstance(event, Finished):
                rollout, prompt = self._drawn.pop(event.sample)
                if event.reason is FinishReason.REFUSED:
                    raise UsageError(f"problem {rollout.problem}: {event.error}")
                if event.reason is not FinishReason.CANCELLED:
                    finished.append(self._finished(rollout, prompt, event))
            elif isinstance(event, Metrics | Restarted):
                yield event
        if finished:
            self._store.trainings.add_rollouts(self._training, finished)
        for rollout in finished:
            self._sort(rollout)

    def _finished(self, rollout: StoredRollout, prompt: tuple[int, ...], end: Finished) -> StoredRollout:
        """A sample as it is stored; one that did not end by itself is judged at once."""
        outcome = UNJUDGEABLE.get(end.reason)
        tokens = tuple(token.id for token in end.logprobs)
        self.tokens_drawn += len(tokens)
        found = replace(
            rollout,
            text=end.text,
            finish=str(end.reason),
            prompt=prompt,
            tokens=tokens,
            logprobs=_in_single(token.logprob or 0.0 for token in end.logprobs),
            starts_thinking=end.starts_thinking,
        )
        if outcome is None:
            return found
        unjudged = [Verdict(outcome)] * len(rewarding.verifiers(self._plan.trained.spec))
        return self._rewarded(found, unjudged)

    # -- the verifiers

    def _collect(self) -> None:
        """Store the rewards that are there."""
        ready = [each for each in self._unjudged if all(future.done() for future in each[1])]
        if not ready:
            return
        self._unjudged = [each for each in self._unjudged if each not in ready]
        judged = [
            self._rewarded(rollout, [future.result() for future in futures]) for rollout, futures in ready
        ]
        self._store.trainings.judge(self._training, judged)
        self._kept |= {(rollout.place, rollout.index): rollout for rollout in judged}

    def _rewarded(self, rollout: StoredRollout, verdicts: Sequence[Verdict]) -> StoredRollout:
        """With its reward, from the verdicts of `rewarding.verifiers` in their order."""
        spec, reward = self._plan.trained.spec, self._plan.reward
        named = rewarding.verifiers(spec)
        of_terms = [verdicts[named.index(term.verifier) if term.verifier else 0] for term in reward.terms]
        return replace(
            rollout,
            outcome=str(verdicts[0].outcome),
            reward=reward.value(of_terms, len(rollout.tokens)),
            spread=reward.value(of_terms, 0),
            detail=verdicts[0].detail,
        )

    def _group(self, place: int) -> JudgedGroup:
        problem, k = self._order[self._first + place], self._plan.recipe.samples
        every = [self._kept[place, index] for index in range(k)]
        trained = tuple(each for each in every if each.outcome not in NOT_THE_MODELS and each.tokens)
        rewards = [rollout.reward for rollout in trained]
        return JudgedGroup(
            problem.question, tuple(every), trained, tuple(self._plan.recipe.advantages(rewards))
        )


def _in_single(values: Iterable[float]) -> tuple[float, ...]:
    """As the store keeps them: a step computes with the same numbers, resumed or not."""
    return tuple(array("f", values))
