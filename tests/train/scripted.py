"""Trainings on the scripted backend: an eval of sums, a script that learns them, and its trainer."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from localrl.settings import Settings
from localrl.train import session
from localrl.train.plan import TrainRequest, planned
from tests.scripted import EVAL, write_script

if TYPE_CHECKING:
    from pathlib import Path

    from localrl.store.runs import Store
    from localrl.store.trainings import Training
    from localrl.train.plan import TrainPlan

RECIPE = """\
name = "small"
title = "For tests"
steps = 6
prompts = 3
samples = 4
check_every = 2
only_mixed = true
[loss]
mean = "token"
[optimiser]
lr = 1e-2
"""
TEXTS = ("it is 4", "it is 5", "no idea", "it is 5 or so")
"""The first is right, and said more often after every step."""


def write_sums(folder: Path, problems: int = 100) -> str:
    """An eval whose problems all have the answer 4, each with a question of its own; returns its name."""
    rows = [{"id": f"p{i}", "question": f"{i} - {i - 4}?", "target": "4"} for i in range(problems)]
    (folder / "sums.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "sums.toml").write_text(EVAL)
    return str(folder / "sums.toml")


def make_train_plan(folder: Path, *texts: str, recipe: str = RECIPE, **asked: Any) -> TrainPlan:
    """
    Args:
        texts: of the script; its other fields are set with `script`.
    """
    (folder / "recipe.toml").write_text(recipe)
    path = write_script(folder, *(texts or TEXTS), **asked.pop("script", {}))
    request = TrainRequest(
        str(path), write_sums(folder), str(folder / "recipe.toml"), backend="scripted", **asked
    )
    return planned(request, Settings())[0]


def train(store: Store, plan: TrainPlan) -> tuple[Training, list[Any]]:
    """Do all of it; returns the training and what happened."""
    with session.start(store, plan) as opened:
        events = list(opened.loop.events())
    return store.trainings.find(opened.training.id), events


def resume(store: Store, training: Training) -> list[Any]:
    with session.work_on(store, store.trainings.find(training.id)) as opened:
        return list(opened.loop.events())


def what_it_did(store: Store, training: Training) -> dict[str, Any]:
    """Everything that must not depend on interruptions: samples, steps without their costs, the adapter."""
    costs = (
        "tokens_per_s",
        "rollout_s",
        "verify_s",
        "update_s",
        "swap_s",
        "wall_s",
        "processor_s",
        "memory_bytes",
        "energy_j",
    )
    steps = [
        {key: value for key, value in record.items() if key not in costs}
        for record in store.trainings.steps(training)
    ]
    rollouts = [store.trainings.rollouts(training, step) for step in range(len(steps))]
    measured = [(each.step, each.purpose) for each in store.trainings.measurements(training)]
    adapter = training.adapter(len(steps)).read_bytes() if steps else b""
    return {"steps": steps, "rollouts": rollouts, "measured": measured, "adapter": adapter}
