"""The loop: measure, train step by step, measure again. What happens is told as events.

The order makes a training safe to kill at any instant. Samples and rewards are stored before they are trained
on. A step's adapter and the trainer's state are files under the step's number; only then is the step entered
into the store, and only then does the engine get the adapter. What is stored is never computed again.
"""

from __future__ import annotations

import contextlib
import shutil
from dataclasses import dataclass, replace
from statistics import fmean
from typing import TYPE_CHECKING

from localrl import paths, stats
from localrl.engine.protocol import Metrics
from localrl.errors import StoreError
from localrl.runs import energy
from localrl.runs.runner import RunEvent, Runner
from localrl.train import measuring, rails
from localrl.train.batch import Rollout, RolloutGroup, TrainingBatch
from localrl.train.cost import Cost
from localrl.train.losses import Objective
from localrl.train.rails import Check, Concern
from localrl.train.record import StepRecord
from localrl.train.rollouts import JudgedGroup, RolloutEvent, StepRollouts
from localrl.verdict import INCOMPLETE, VERIFIER_FAILED, Outcome

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence
    from pathlib import Path

    from localrl.engine.client import EngineClient
    from localrl.store.runs import Store
    from localrl.store.trainings import Purpose, Training
    from localrl.train.order import ProblemOrder
    from localrl.train.plan import TrainPlan
    from localrl.train.trainer import StepStats, Trainer
    from localrl.verify.pool import VerifierPool


@dataclass(frozen=True, slots=True)
class Measuring:
    """A measurement begins; the runner's progress says how far it is."""

    purpose: Purpose
    step: int
    runner: Runner


@dataclass(frozen=True, slots=True)
class Stepping:
    """A step begins, or goes from one of its parts to the next."""

    step: int
    part: str
    """`sampling` or `updating`."""


TrainEvent = Measuring | Stepping | StepRecord | Check | Concern | RolloutEvent | RunEvent


class TrainLoop:
    """One session of one training. `events` works in the caller's thread; `stop` may come from any other."""

    def __init__(
        self,
        store: Store,
        training: Training,
        plan: TrainPlan,
        order: ProblemOrder,
        engine: EngineClient,
        trainer: Trainer,
        pool: VerifierPool,
    ) -> None:
        self._store, self._training, self._plan = store, training, plan
        self._engine, self._trainer, self._pool = engine, trainer, pool
        self._rollouts = StepRollouts(store, training, plan, order, engine, pool)
        self.steps = [StepRecord(**record) for record in store.trainings.steps(training)]
        self.checks: list[Check] = []
        self._told: set[str] = set()
        """Kinds of concerns that were told and still hold."""
        self._engine_did = Metrics()
        self._sensors = energy.sensors()[0]

    def stop(self) -> None:
        """Store what is done, and end `events`."""
        self._engine.stopping.set()

    @property
    def stopped(self) -> bool:
        return self._engine.stopping.is_set()

    @property
    def finished(self) -> bool:
        """No further step is due: all are done, or the time is up."""
        plan = self._plan
        worked = sum(step.wall_s for step in self.steps)
        return len(self.steps) >= plan.recipe.steps or (
            plan.minutes is not None and worked >= 60 * plan.minutes
        )

    def events(self) -> Iterator[TrainEvent]:
        """Work until the training is measured at its end, or until stopped.

        Raises:
            UsageError: a prompt cannot run with these settings, or the data changed since it began.
            StoreError: results cannot be written; what was counted is safe.
            LocalrlError: the engine cannot be kept alive, or an update is not finite.
        """
        complete = False
        try:
            if self.steps:
                self._trainer.load(self._state(len(self.steps)))
                self._engine.set_adapter(self._adapter(len(self.steps)))
            complete = yield from self._work()
        finally:
            with contextlib.suppress(StoreError):
                self._store.trainings.set_status(self._training, "complete" if complete else "partial")

    def _work(self) -> Generator[TrainEvent, None, bool]:
        self._store.trainings.set_status(self._training, "running")
        self.checks = measuring.checks(self._store, self._training)
        while not self.stopped:
            yield from self._measure()
            if self.finished or self.stopped:
                break
            record = yield from self._step(len(self.steps))
            if record is None:
                break
            self.steps.append(record)
            yield record
            yield from self._concerns()
        return not self.stopped

    # -- measuring

    @property
    def _due(self) -> Purpose | None:
        """The measurement that these steps ask for."""
        steps = len(self.steps)
        if not steps:
            return "before"
        if self.finished:
            return "after"
        return "check" if steps % self._plan.recipe.check_every == 0 else None

    def _measure(self) -> Generator[TrainEvent, None, None]:
        """Make the measurement that is due, unless it is complete."""
        purpose, step = self._due, len(self.steps)
        if purpose is None or measuring.is_complete(self._store, self._training, step, purpose):
            return
        with measuring.measurement(
            self._store, self._training, self._plan, purpose, step, self._engine, self._pool, self._engine_did
        ) as runner:
            yield Measuring(purpose, step, runner)
            for event in runner.events():
                self._note(event)
                yield event
        if not self.stopped and step:
            self.checks = measuring.checks(self._store, self._training)
            yield self.checks[-1]
            yield from self._concerns()

    def _concerns(self) -> Iterator[Concern]:
        """What goes wrong now and did not before."""
        found = rails.concerns(self.steps, self.checks)
        yield from (concern for concern in found if concern.kind not in self._told)
        self._told = {concern.kind for concern in found}

    def _note(self, event: object) -> None:
        if isinstance(event, Metrics):
            self._engine_did = event

    # -- a step

    def _step(self, step: int) -> Generator[TrainEvent, None, StepRecord | None]:
        """Sample, update, store, and give the adapter to the engine; None when stopped before."""
        cost = Cost(self._engine.worker_pid, self._sensors)
        yield Stepping(step, "sampling")
        first = sum(record.drawn for record in self.steps)
        groups = yield from self._sampled(step, first)
        if groups is None:
            return None
        sampled_s = cost.wall_s
        rollout_s = sampled_s - self._rollouts.verify_s
        trained = [group for group in groups if group.mixed or not self._plan.recipe.only_mixed]
        trained = trained[: self._plan.recipe.prompts]
        yield Stepping(step, "updating")
        batch = self._batch(step, trained)
        done = self._trainer.step(batch) if batch.tokens else None
        updated = cost.wall_s
        paths.ensure(self._training.folder)
        self._trainer.save(self._state(step + 1))
        self._trainer.export(self._adapter(step + 1))
        record = self._record(step, groups, trained, batch, done)
        record = replace(
            record,
            tokens_per_s=stats.per(self._rollouts.tokens_drawn, rollout_s) or 0.0,
            rollout_s=rollout_s,
            verify_s=self._rollouts.verify_s,
            update_s=updated - sampled_s,
            swap_s=cost.wall_s - updated,
            **cost.as_record(self._engine_did),
        )
        self._store.trainings.add_step(self._training, step, record.as_dict())
        self._engine.set_adapter(self._adapter(step + 1))
        self._tidy(step + 1)
        return record

    def _sampled(self, step: int, first: int) -> Generator[TrainEvent, None, list[JudgedGroup] | None]:
        rollouts = self._rollouts.of_step(step, first)
        while True:
            try:
                event = next(rollouts)
            except StopIteration as end:
                groups: list[JudgedGroup] | None = end.value
                return groups
            self._note(event)
            yield event

    def _batch(self, step: int, groups: Sequence[JudgedGroup]) -> TrainingBatch:
        recipe = self._plan.recipe
        loss, optimiser = recipe.loss, recipe.optimiser
        made = tuple(
            RolloutGroup(
                group.rollouts[0].prompt,
                tuple(
                    Rollout(rollout.tokens, rollout.logprobs, rollout.reward, advantage)
                    for rollout, advantage in zip(group.rollouts, group.advantages, strict=True)
                ),
            )
            for group in groups
            if group.rollouts
        )
        weight = recipe.kl.weight(step, recipe.steps) if recipe.kl else 0.0
        return TrainingBatch(
            groups=made,
            objective=Objective(
                mean=loss.mean,
                divisor=self._divisor(made),
                clip_low=loss.clip_low,
                clip_high=loss.clip_high,
                kl=weight,
                importance_cap=loss.importance_cap,
            ),
            learning_rate=optimiser.lr * min(1.0, (step + 1) / max(1, optimiser.warmup)),
            clip_norm=optimiser.clip_norm,
        )

    def _divisor(self, groups: Sequence[RolloutGroup]) -> float:
        """What a full step's loss is divided by: few groups make a smaller step, not a noisier one."""
        recipe = self._plan.recipe
        full = float(recipe.prompts * recipe.samples)
        if recipe.loss.mean == "sample" or not groups:
            return full
        return full * fmean(len(rollout.tokens) for group in groups for rollout in group.rollouts)

    def _record(
        self,
        step: int,
        groups: Sequence[JudgedGroup],
        trained: Sequence[JudgedGroup],
        batch: TrainingBatch,
        done: StepStats | None,
    ) -> StepRecord:
        samples = [sample for group in groups for sample in group.samples]
        outcomes = [Outcome(sample.outcome or "") for sample in samples]
        record = StepRecord(
            step=step,
            drawn=len(groups),
            groups=len(trained) if done else 0,
            without_spread=sum(not group.mixed for group in groups),
            samples=len(samples),
            reward=fmean(sample.reward for sample in samples),
            correct=fmean(outcome is Outcome.CORRECT for outcome in outcomes),
            truncated=fmean(outcome in INCOMPLETE for outcome in outcomes),
            failed=sum(outcome in VERIFIER_FAILED for outcome in outcomes),
            tokens=sum(len(sample.tokens) for sample in samples),
            lr=batch.learning_rate,
            kl_weight=batch.objective.kl,
        )
        if done is None:
            return record
        return replace(
            record,
            loss=done.loss,
            gradient_norm=done.gradient_norm,
            entropy=done.entropy,
            kl=done.kl,
            mismatch=done.mismatch,
            outside=done.outside,
            effective=done.effective,
            capped=done.capped,
        )

    # -- files

    def _adapter(self, steps: int) -> Path:
        return self._training.adapter(steps)

    def _state(self, steps: int) -> Path:
        return self._training.folder / f"state-{steps:05}"

    def _tidy(self, steps: int) -> None:
        """Remove what no later session needs: old states, and adapters that no measurement saw."""
        seen = {each.step for each in self._store.trainings.measurements(self._training)}
        for number in range(max(1, steps - 2), steps):
            self._state(number).unlink(missing_ok=True)
            adapter = self._adapter(number)
            if adapter.is_dir() and number not in seen:
                shutil.rmtree(adapter)
            elif number not in seen:
                adapter.unlink(missing_ok=True)
