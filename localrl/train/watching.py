"""A training as it is in the store at one moment: what `runs watch` and the train screen show.

Whoever trains is another process; what is shown is what was committed.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING

from localrl.store import locks
from localrl.train import measuring, outcome, rails
from localrl.train.plan import TrainPlan
from localrl.train.record import StepRecord

if TYPE_CHECKING:
    from localrl.store.runs import Store
    from localrl.store.trainings import StoredRollout, Training
    from localrl.train.rails import Check, Concern

RECENT = 3
"""Steps by which the time of those to come is told."""


@dataclass(frozen=True, slots=True)
class WatchedSample:
    rollout: StoredRollout
    advantage: float | None
    """None until its whole group is judged."""


@dataclass(frozen=True, slots=True)
class TrainView:
    training: Training
    plan: TrainPlan
    status: str
    """`running`, `partial`, `complete` or `failed`."""
    steps: list[StepRecord]
    checks: list[Check]
    before: float | None
    """Held-out accuracy before the first step."""
    concerns: list[Concern]
    samples: list[WatchedSample]
    """Of the step under way, or else of the last; the newest groups first."""

    @property
    def eta_s(self) -> float | None:
        """Seconds until the last step, without the measurement after it; None before the first."""
        if not self.steps:
            return None
        left = self.plan.recipe.steps - len(self.steps)
        seconds = left * fmean(step.wall_s for step in self.steps[-RECENT:])
        if self.plan.minutes is not None:
            seconds = min(seconds, 60 * self.plan.minutes - sum(step.wall_s for step in self.steps))
        return max(0.0, seconds)


def look(store: Store, training: Training) -> TrainView:
    """Everything that was committed."""
    plan = TrainPlan.model_validate(training.manifest["plan"])
    steps = [StepRecord(**step) for step in store.trainings.steps(training)]
    checks = measuring.checks(store, training)
    return TrainView(
        training=training,
        plan=plan,
        status="running" if locks.is_locked(training) else outcome.status(training),
        steps=steps,
        checks=checks,
        before=measuring.before(store, training),
        concerns=rails.concerns(steps, checks),
        samples=_samples(store, training, plan, len(steps)),
    )


def _samples(store: Store, training: Training, plan: TrainPlan, step: int) -> list[WatchedSample]:
    rollouts = store.trainings.rollouts(training, step) or store.trainings.rollouts(training, step - 1)
    groups: dict[int, list[StoredRollout]] = {}
    for rollout in rollouts:
        groups.setdefault(rollout.place, []).append(rollout)
    found: list[WatchedSample] = []
    for _, group in sorted(groups.items(), reverse=True):
        whole = len(group) == plan.recipe.samples and all(each.outcome for each in group)
        advantages = plan.recipe.advantages([each.reward for each in group]) if whole else [None] * len(group)
        found += [WatchedSample(each, value) for each, value in zip(group, advantages, strict=True)]
    return found
