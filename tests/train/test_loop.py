"""The loop measures, trains and measures again; what is stored is used, and nothing is done twice."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from localrl.engine.client import Restarted
from localrl.errors import UsageError
from localrl.report import report
from localrl.settings import Settings
from localrl.train import session
from localrl.train.loop import Measuring, Stepping
from localrl.train.plan import TrainRequest, planned
from localrl.train.rails import Check, Concern
from localrl.train.record import StepRecord
from localrl.train.rollouts import JudgedGroup
from tests.train.scripted import RECIPE, make_train_plan, resume, train, what_it_did

if TYPE_CHECKING:
    from pathlib import Path

    from localrl.store.runs import Store

pytestmark = pytest.mark.process


def accuracy(store: Store, run: str) -> float:
    value: float = report.make(store, store.find(run))["evals"][0]["accuracy"]["value"]
    return value


def test_a_training_measures_learns_and_measures_again(store: Store, tmp_path: Path) -> None:
    training, events = train(store, make_train_plan(tmp_path))
    assert training.status == "complete"
    records = [event for event in events if isinstance(event, StepRecord)]
    assert [record.step for record in records] == list(range(6))
    assert records[-1].reward > records[0].reward
    measured = store.trainings.measurements(training)
    assert [(each.step, each.purpose) for each in measured] == [
        *((0, "before"), (2, "check"), (4, "check"), (6, "after"))
    ]
    assert accuracy(store, measured[-1].run) > accuracy(store, measured[0].run)
    assert [event.step for event in events if isinstance(event, Check)] == [2, 4, 6]
    assert training.adapter(6).is_file()


def test_the_run_of_a_measurement_counts_only_its_own_tokens(store: Store, tmp_path: Path) -> None:
    training, _ = train(store, make_train_plan(tmp_path))
    for each in store.trainings.measurements(training):
        run = store.find(each.run)
        tokens = sum(sample.tokens for sample in store.samples(run))
        assert store.sessions(run)[0][1]["generated_tokens"] == tokens


def test_only_mixed_groups_are_trained_on_and_their_advantages_sum_to_nothing(
    store: Store, tmp_path: Path
) -> None:
    training, events = train(store, make_train_plan(tmp_path))
    groups = [event for event in events if isinstance(event, JudgedGroup)]
    assert any(group.mixed for group in groups)
    for group in groups:
        assert len(group.samples) == 4
        assert sum(group.advantages) == pytest.approx(0, abs=1e-6)
        assert group.mixed == (len({sample.outcome == "correct" for sample in group.samples}) == 2)
        for sample in group.samples:
            assert (sample.reward == 1.0) == (sample.outcome == "correct")
            assert len(sample.tokens) == len(sample.logprobs) > 1
            assert sample.prompt
    for record in store.trainings.steps(training):
        assert record["groups"] <= 3
        assert record["drawn"] <= 6
        assert record["drawn"] == 3 or record["without_spread"] > 0


def test_steps_without_a_mixed_group_are_bounded_update_nothing_and_say_so(
    store: Store, tmp_path: Path
) -> None:
    training, events = train(store, make_train_plan(tmp_path, "it is 5"))
    records = [event for event in events if isinstance(event, StepRecord)]
    assert {(record.drawn, record.groups, record.loss) for record in records} == {(6, 0, None)}
    assert [event.kind for event in events if isinstance(event, Concern)] == ["barren"]
    assert training.status == "complete"


def test_truncated_samples_count_with_their_length(store: Store, tmp_path: Path) -> None:
    long = " ".join(f"4 {i}" for i in range(100))
    plan = make_train_plan(tmp_path, "it is 4", long, steps=1)
    training, _ = train(store, plan)
    samples = store.trainings.rollouts(training, 0)
    cut = [sample for sample in samples if sample.outcome == "truncated"]
    assert cut
    assert {(sample.reward, len(sample.tokens)) for sample in cut} == {(0.0, 50)}


@pytest.mark.parametrize("stops", [(3,), (1, 40), (60, 5, 20)])
def test_a_stopped_training_goes_on_as_if_it_had_not_been_stopped(
    store: Store, tmp_path: Path, stops: tuple[int, ...]
) -> None:
    plan = make_train_plan(tmp_path)
    whole, _ = train(store, plan)
    with session.start(store, plan) as opened:
        training = opened.training
        for seen, _ in enumerate(opened.loop.events()):
            if seen == stops[0]:
                opened.loop.stop()
    assert store.trainings.find(training.id).status == "partial"
    for stop in stops[1:]:
        with session.work_on(store, store.trainings.find(training.id)) as opened:
            for seen, _ in enumerate(opened.loop.events()):
                if seen == stop:
                    opened.loop.stop()
    resume(store, training)
    assert store.trainings.find(training.id).status == "complete"
    assert what_it_did(store, training) == what_it_did(store, whole)


def test_what_was_measured_before_a_stop_is_not_measured_again(store: Store, tmp_path: Path) -> None:
    plan = make_train_plan(tmp_path)
    with session.start(store, plan) as opened:
        for event in opened.loop.events():
            if isinstance(event, Stepping) and event.step == 4:
                opened.loop.stop()
    again = [event for event in resume(store, opened.training) if isinstance(event, Measuring | StepRecord)]
    assert [event.purpose for event in again if isinstance(event, Measuring)] == ["after"]
    assert [event.step for event in again if isinstance(event, StepRecord)] == [4, 5]


def test_a_worker_that_dies_in_a_step_costs_only_its_unfinished_samples(store: Store, tmp_path: Path) -> None:
    plan = make_train_plan(tmp_path, script={"real_s": 0.002})
    whole, _ = train(store, plan)
    restarts = 0
    with session.start(store, plan) as opened:
        for event in opened.loop.events():
            restarts += isinstance(event, Restarted)
            if isinstance(event, Stepping) and event.part == "sampling" and event.step in (1, 3):
                opened.loop._engine._process.kill()
    assert restarts == 2
    assert what_it_did(store, opened.training) == what_it_did(store, whole)


def test_two_processes_cannot_work_on_one_training(store: Store, tmp_path: Path) -> None:
    with session.start(store, make_train_plan(tmp_path)) as opened:
        with pytest.raises(UsageError, match="another localrl"), session.work_on(store, opened.training):
            pass
        opened.loop.stop()
        list(opened.loop.events())


def test_time_that_is_up_ends_the_steps_and_not_the_measurement(store: Store, tmp_path: Path) -> None:
    training, _ = train(store, make_train_plan(tmp_path, minutes=1e-9))
    assert [(each.step, each.purpose) for each in store.trainings.measurements(training)] == [
        *((0, "before"), (1, "after"))
    ]
    assert training.status == "complete"


def test_old_states_go_and_adapters_that_were_measured_stay(store: Store, tmp_path: Path) -> None:
    training, _ = train(store, make_train_plan(tmp_path))
    names = sorted(path.name for path in training.folder.iterdir())
    assert names == [*(f"adapter-{step:05}.gguf" for step in (2, 4, 6)), "state-00006"]


def test_data_that_changed_is_refused_when_a_training_goes_on(store: Store, tmp_path: Path) -> None:
    plan = make_train_plan(tmp_path)
    with session.start(store, plan) as opened:
        for event in opened.loop.events():
            if isinstance(event, JudgedGroup):
                opened.loop.stop()
    data = tmp_path / "sums.jsonl"
    data.write_text("".join(data.read_text().splitlines(keepends=True)[:20]))
    with pytest.raises(UsageError, match="start a new"):
        resume(store, opened.training)


def test_a_reward_of_the_eval_is_what_is_trained(store: Store, tmp_path: Path) -> None:
    plan = make_train_plan(tmp_path, steps=1)
    assert plan.reward.name == "accuracy"
    text = (tmp_path / "sums.toml").read_text()
    (tmp_path / "sums.toml").write_text(
        text + '\n[[rewards]]\nname = "signed"\nterms = [{ weight = 2.0, offset = -1.0 }]\n'
    )
    request = TrainRequest(
        str(tmp_path / "script.json"),
        str(tmp_path / "sums.toml"),
        str(tmp_path / "recipe.toml"),
        backend="scripted",
        steps=1,
    )
    signed, _ = planned(request, Settings())
    training, _ = train(store, signed)
    assert {sample.reward for sample in store.trainings.rollouts(training, 0)} == {1.0, -1.0}


def test_every_group_is_trained_on_where_the_recipe_asks_for_all(store: Store, tmp_path: Path) -> None:
    _, events = train(store, make_train_plan(tmp_path, recipe=RECIPE.replace("only_mixed = true\n", "")))
    records = [event for event in events if isinstance(event, StepRecord)]
    assert {(record.drawn, record.groups) for record in records} == {(3, 3)}
