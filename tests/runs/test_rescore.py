"""Scoring again keeps what the first scoring gave beside the verdict, and needs the verifier first."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from localrl.errors import Unavailable
from localrl.evals.rewards import Reward
from localrl.runs import session
from localrl.runs.rescore import rescore
from localrl.store.runs import Store
from localrl.verify import registry
from localrl.verify.pool import VerifierPool
from tests.scripted import make_plan

if TYPE_CHECKING:
    from pathlib import Path

    from localrl.runs.plan import RunPlan
    from localrl.store.runs import Run

pytestmark = pytest.mark.process


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCALRL_HOME", str(tmp_path / "home"))


@pytest.fixture
def plan(tmp_path: Path) -> RunPlan:
    """Answers right, wrong and cut, with a reward beside accuracy."""
    made = make_plan(tmp_path, "it is 4", "it is 5", " ".join(f"word{n}" for n in range(80)), problems=12)
    part = made.evals[0]
    spec = part.spec.model_copy(update={"rewards": [Reward(name="r")]})
    return made.model_copy(update={"evals": [part.model_copy(update={"spec": spec})]})


def rewards(store: Store, run: Run) -> list[tuple[str, float]]:
    return sorted((str(sample.outcome), sample.detail["rewards"]["r"]) for sample in store.samples(run))


def test_rewards_survive_a_second_scoring(plan: RunPlan) -> None:
    with Store() as store, VerifierPool(1) as pool:
        with session.start(store, plan) as opened:
            list(opened.runner.events())
            run = opened.run
        before = rewards(store, run)
        assert {outcome for outcome, _ in before} == {"correct", "wrong", "truncated"}
        assert all(reward == float(outcome == "correct") for outcome, reward in before)
        assert list(rescore(store, run, pool)) == []
        assert rewards(store, run) == before


def test_a_verifier_that_cannot_run_here_leaves_the_stored_verdicts(
    plan: RunPlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_sandbox(_: object) -> None:
        raise Unavailable("there is no sandbox")

    with Store() as store, VerifierPool(1) as pool:
        with session.start(store, plan) as opened:
            list(opened.runner.events())
            run = opened.run
        before = rewards(store, run)
        monkeypatch.setattr(registry, "ready", no_sandbox)
        with pytest.raises(Unavailable):
            list(rescore(store, run, pool))
        assert rewards(store, run) == before
