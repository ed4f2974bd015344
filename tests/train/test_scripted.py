"""The scripted trainer keeps the contract of a trainer, so that a loop that is right with it is right."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from localrl.errors import LocalrlError
from localrl.train.losses import Objective
from localrl.train.scripted import ScriptedTrainer
from localrl.train.trainer import TrainerSettings
from tests.train.rollouts import make_batch

if TYPE_CHECKING:
    from pathlib import Path

    from localrl.train.trainer import Trainer

SETTINGS = TrainerSettings(model="")


def test_a_trainer_that_was_stopped_goes_on_with_the_same_steps(tmp_path: Path) -> None:
    whole: Trainer = ScriptedTrainer(SETTINGS)
    first: Trainer = ScriptedTrainer(SETTINGS)
    second: Trainer = ScriptedTrainer(SETTINGS)
    batches = [make_batch(groups) for groups in (1, 2, 3)]
    expected = [whole.step(batch).loss for batch in batches]
    found = [first.step(batches[0]).loss]
    first.save(tmp_path / "state")
    second.load(tmp_path / "state")
    assert found + [second.step(batch).loss for batch in batches[1:]] == expected
    for trainer in (whole, second):
        trainer.export(tmp_path / "adapter")
        assert (tmp_path / "adapter").read_text() == '{"steps": 3}'


def test_the_policy_learns_what_has_an_advantage() -> None:
    trainer = ScriptedTrainer(SETTINGS)
    batch = make_batch(learning_rate=5.0)
    before = trainer.logprobs(batch.groups)
    trainer.step(batch)
    after = trainer.logprobs(batch.groups)
    rollouts = [rollout for group in batch.groups for rollout in group.rollouts]
    gain = sum(
        rollout.advantage * float((new - old).sum())
        for rollout, old, new in zip(rollouts, before, after, strict=True)
    )
    assert gain > 0


def test_kl_is_told_where_the_objective_asks_for_it() -> None:
    trainer = ScriptedTrainer(SETTINGS)
    assert trainer.step(make_batch()).kl is None
    assert trainer.step(make_batch(objective=Objective(kl=0.1))).kl is not None


def test_a_step_that_is_not_finite_changes_nothing() -> None:
    trainer = ScriptedTrainer(SETTINGS)
    trainer.logits[0] = np.nan
    with pytest.raises(LocalrlError, match="lower learning rate"):
        trainer.step(make_batch())
    assert trainer.steps == 0
    assert not trainer.logits[1:].any()
