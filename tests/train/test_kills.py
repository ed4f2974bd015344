"""A training killed at any instant goes on as if it had not been: each step once, the same adapter."""

from __future__ import annotations

import random
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from tests.commands import command
from tests.train.scripted import make_train_plan, resume, train, what_it_did

if TYPE_CHECKING:
    from pathlib import Path

    from localrl.store.runs import Store
    from localrl.store.trainings import Training

KILLS = 10


def progress(store: Store, training: Training) -> int:
    """Grows with every sample and every step that is stored."""
    steps = len(store.trainings.steps(training))
    rollouts = sum(len(store.trainings.rollouts(training, step)) for step in range(steps + 1))
    runs = [store.find(each.run) for each in store.trainings.measurements(training)]
    return steps + rollouts + sum(len(list(store.rows(run))) for run in runs)


@pytest.mark.slow
def test_ten_kills_change_nothing(store: Store, tmp_path: Path) -> None:
    plan = make_train_plan(tmp_path, steps=5, script={"real_s": 0.01})
    whole, _ = train(store, plan)
    goal = progress(store, whole)
    words = ["train", plan.measured.model, str(tmp_path / "sums.toml"), "--backend", "scripted"]
    words += ["--recipe", str(tmp_path / "recipe.toml"), "--steps", "5", "--name", "killed"]
    chance = random.Random(7)
    for kill in range(KILLS):
        process = subprocess.Popen(
            command(*words, "--display", "none"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        while process.poll() is None and len(store.trainings.all()) < 2:
            time.sleep(0.01)
        killed = store.trainings.find("killed")
        while process.poll() is None and progress(store, killed) < (kill + 0.5) * goal / KILLS:
            time.sleep(0.01)
        time.sleep(0.1 * chance.random())
        process.kill()
        process.wait()
        words = ["train", "--resume", killed.id]
    if store.trainings.find(killed.id).status != "complete":
        resume(store, killed)
    assert what_it_did(store, killed) == what_it_did(store, whole)
    for one, other in zip(
        store.trainings.measurements(killed), store.trainings.measurements(whole), strict=True
    ):
        assert [row[:4] for row in store.rows(store.find(one.run))] == [
            row[:4] for row in store.rows(store.find(other.run))
        ]
