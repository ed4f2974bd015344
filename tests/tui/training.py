"""A training put straight into the store, the same every time."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from localrl.chat import Message
from localrl.runs import session
from localrl.sample import Problem, Sample
from localrl.store.runs import Store
from localrl.store.trainings import StoredRollout
from localrl.train.record import StepRecord
from localrl.verdict import Outcome, Response
from tests.train.scripted import make_train_plan

if TYPE_CHECKING:
    from pathlib import Path

    from localrl.store.trainings import Purpose, Training
    from localrl.train.plan import TrainPlan

STEPS = 6


def stored_training(folder: Path, name: str = "nightly") -> Training:
    """Six of eight steps, measured before and after the fifth, with the samples of the step under way."""
    plan = make_train_plan(folder, steps=8)
    measured = plan.measured.model_copy(update={"model_name": "demo-14b", "quantisation": "Q4_K_M"})
    plan = plan.model_copy(update={"measured": measured})
    with Store() as store:
        manifest = {**session.manifest(plan.measured), "plan": plan.model_dump(mode="json")}
        training = store.trainings.create(manifest, name)
        _measured(store, training, plan, 0, correct=8)
        for step in range(STEPS):
            store.trainings.add_step(training, step, _record(step).as_dict())
        _measured(store, training, plan, 5, correct=26)
        store.trainings.add_rollouts(training, [_rollout(i) for i in range(7)])
        store.trainings.set_status(training, "partial")
        return training


def _record(step: int) -> StepRecord:
    part = step / (STEPS - 1)
    return StepRecord(
        step=step,
        drawn=5,
        groups=3,
        without_spread=2,
        samples=20,
        reward=-0.9 + 1.5 * part,
        correct=0.05 + 0.7 * part,
        truncated=0.4 - 0.3 * part,
        failed=0,
        tokens=2000 + 400 * step,
        lr=1e-4,
        kl_weight=0.01,
        loss=0.1,
        gradient_norm=0.5,
        entropy=1.8 - part,
        kl=0.02 * part,
        mismatch=0.05,
        tokens_per_s=100.0 + 20 * step,
        rollout_s=20.0,
        wall_s=30.0,
        memory_bytes=2 << 30,
    )


def _rollout(number: int) -> StoredRollout:
    right = number % 3 == 0
    judged = number < 6
    return StoredRollout(
        *(STEPS, number // 4, number % 4, f"p{number // 4}", number),
        *("it is 4" if right else "it is 5 or perhaps even more", "stop"),
        prompt=(1,),
        tokens=(2, 3),
        logprobs=(-0.5, -0.5),
        outcome=("correct" if right else "wrong") if judged else None,
        reward=float(right),
        spread=float(right),
    )


def _measured(store: Store, training: Training, plan: TrainPlan, step: int, correct: int) -> None:
    """40 held-out problems, of which so many are right."""
    purpose: Purpose = "check" if step else "before"
    manifest = session.manifest(plan.checked)
    run = store.find(store.trainings.begin_measurement(training, step, purpose, manifest))
    name = plan.checked.evals[0].spec.name
    asked = [
        Problem(f"h{i}", "", "4", eval=name, messages=(Message(role="user", content="?"),)) for i in range(40)
    ]
    for i, problem in enumerate(store.add_problems(run, asked)):
        sample = Sample(problem, 0, i, Response("it is 4"), "stop", answer_tokens=3)
        outcome = Outcome.CORRECT if i < correct else Outcome.WRONG
        store.add_samples(run, [replace(sample, outcome=outcome, score=float(i < correct))])
    store.set_status(run, "complete")
