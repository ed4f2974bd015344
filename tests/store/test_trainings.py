"""Trainings in the store: what is written is read back, and what goes takes its own along."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from localrl.errors import UsageError
from localrl.store.trainings import StoredRollout

if TYPE_CHECKING:
    from localrl.store.runs import Store

ONE = StoredRollout(
    *(3, 0, 1, "p1", 7, "it is 4", "stop"), prompt=(1, 2, 3), tokens=(9, 2), logprobs=(-0.5, -0.25)
)


def test_a_rollout_is_read_back_as_it_was_written_and_judged(store: Store) -> None:
    training = store.trainings.create({"plan": {}}, "mine")
    store.trainings.add_rollouts(training, [ONE, replace(ONE, index=0), replace(ONE, step=4)])
    judged = replace(ONE, outcome="correct", reward=0.75, spread=1.0, detail={"a": 1})
    store.trainings.judge(training, [judged])
    assert store.trainings.rollouts(training, 3) == [replace(ONE, index=0), judged]


def test_steps_come_back_in_order(store: Store) -> None:
    training = store.trainings.create({})
    for step in (0, 1, 2):
        store.trainings.add_step(training, step, {"step": step})
    assert [record["step"] for record in store.trainings.steps(training)] == [0, 1, 2]


def test_a_training_is_found_by_id_name_and_last(store: Store) -> None:
    first, second = store.trainings.create({}, "first"), store.trainings.create({}, "second")
    assert store.trainings.find("last") == store.trainings.find("second") == second
    assert store.trainings.find(first.id[:5]) == first
    with pytest.raises(UsageError, match="no training 'secnd'; did you mean 'second'"):
        store.trainings.find("secnd")


def test_checks_are_no_runs_of_the_list_and_are_found_by_id(store: Store) -> None:
    training = store.trainings.create({}, "mine")
    begin = store.trainings.begin_measurement
    made = {
        "before": begin(training, 0, "before", {}),
        "check": begin(training, 5, "check", {}),
        "after": begin(training, 9, "after", {}),
    }
    assert [run.name for run in store.runs()] == ["mine after", "mine before"]
    assert store.find(made["check"]).name == "mine check 5"
    assert store.find("last").id == made["after"]
    found = store.trainings.measurements(training)
    assert [(each.step, each.purpose, each.run) for each in found] == [
        (0, "before", made["before"]),
        (5, "check", made["check"]),
        (9, "after", made["after"]),
    ]


def test_a_training_that_is_removed_takes_its_runs_and_files_along(store: Store) -> None:
    training = store.trainings.create({})
    training.folder.mkdir(parents=True)
    store.trainings.add_rollouts(training, [ONE])
    store.trainings.begin_measurement(training, 0, "before", {})
    store.trainings.remove(training)
    assert store.trainings.all() == []
    assert store.runs(checks=True) == []
    assert not training.folder.exists()
