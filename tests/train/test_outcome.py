"""The document of a training and its sentence, against a training on the scripted backend."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from localrl.train import outcome
from tests.train.scripted import make_train_plan, train

if TYPE_CHECKING:
    from pathlib import Path

    from localrl.store.runs import Store


@pytest.mark.process
def test_the_document_says_what_is_in_the_store(store: Store, tmp_path: Path) -> None:
    training, _ = train(store, make_train_plan(tmp_path))
    made = outcome.document(store, training)
    assert made == json.loads(json.dumps(made))
    assert made["status"] == "complete"
    (held_out,) = made["evals"]
    gain = held_out["after"]["value"] - held_out["before"]["value"]
    assert held_out["difference"]["value"] == pytest.approx(gain)
    assert held_out["won"] - held_out["lost"] == pytest.approx(gain * held_out["problems"])
    assert made["cost"]["steps"] == len(made["steps"]) == 6
    assert made["cost"]["tokens"] == sum(step["tokens"] for step in made["steps"])
    assert [check["step"] for check in made["checks"]] == [2, 4, 6]
    assert made["adapter"]["path"].endswith("adapter-00006.gguf")
    assert len(made["adapter"]["sha256"]) == 64


def test_the_sentence_has_both_accuracies_the_paired_interval_and_the_cost() -> None:
    interval = {"value": 0.5, "low": 0.3, "high": 0.7}
    entry = {
        "eval": "sums:held-out",
        "before": {"value": 0.25},
        "after": {"value": 0.75},
        "problems": 40,
        "difference": interval,
        "won": 21,
        "lost": 1,
        "mcnemar": 1.1e-5,
    }
    cost = {"steps": 14, "training_s": 291.0, "energy": {"total_j": 7200.0}}
    assert outcome.sentence({"evals": [entry], "checks": [], "cost": cost}) == (
        "held-out accuracy 25.0 % → 75.0 %, +50.0 points (+30.0 to +70.0), McNemar p = 1.1e-05, "
        "21 won and 1 lost of 40 problems; 14 steps in 4 min 51 s, 2.0 Wh"
    )


def test_a_training_that_was_not_measured_at_its_end_says_so_far() -> None:
    entry = {"eval": "e", "before": {"value": 0.25}, "after": None, "problems": 40, "difference": None}
    cost = {"steps": 3, "training_s": 30.0, "energy": None}
    checks = [{"step": 2, "accuracy": 0.5}]
    said = outcome.sentence({"evals": [entry], "checks": checks, "cost": cost})
    assert said.startswith("held-out accuracy 25.0 % → 50.0 % after 2 steps, so far; 3 steps in 30 s")
    assert outcome.sentence({"evals": [], "checks": [], "cost": cost}) == "nothing was measured yet"
