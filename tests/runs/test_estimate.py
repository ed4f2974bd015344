"""The time that a run will take is told from complete runs of the same model under the same limit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from localrl.runs import session
from localrl.runs.estimate import estimate, prospects, streams
from tests.scripted import make_plan

if TYPE_CHECKING:
    from pathlib import Path

    from localrl.runs.plan import RunPlan
    from localrl.store.runs import Store


def run(store: Store, plan: RunPlan, until: int | None = None) -> str:
    """Do a run, or stop it after so many events."""
    with session.start(store, plan) as opened:
        for i, _ in enumerate(opened.runner.events()):
            if i == until:
                opened.runner.stop()
        return opened.run.id


def test_without_an_earlier_run_it_is_a_share_of_the_limit(store: Store, tmp_path: Path) -> None:
    found = estimate(store, make_plan(tmp_path, problems=20, samples=2))
    assert found.samples == 40
    assert found.seconds is None
    assert "of the token limit" in found.basis


def earlier(store: Store, plan: RunPlan, parallel: int, rate: float, device: str = "") -> None:
    """A run that generated 5,000 tokens at `rate` with so many streams."""
    manifest = session.manifest(plan)
    if device:
        manifest["hardware"]["device"] = device
    made = store.create_run(manifest)
    counters = {"generated_tokens": 5000, "decode_s": 5000 / rate, "parallel": parallel}
    store.end_session(made, store.begin_session(made, {}), counters, "complete")


def test_the_first_number_of_streams_is_the_one_that_was_fastest_on_this_machine(
    store: Store, tmp_path: Path
) -> None:
    plan = make_plan(tmp_path)
    assert streams(store, plan) is None
    earlier(store, plan, 64, 1000, device="another machine")
    earlier(store, plan.model_copy(update={"quantisation": "Q2_K"}), 128, 1000)
    assert streams(store, plan) is None
    for parallel, rate in ((8, 100), (32, 300), (128, 290)):
        earlier(store, plan, parallel, rate)
    assert streams(store, plan) == 32


@pytest.mark.process
def test_an_earlier_run_tells_length_and_speed(store: Store, tmp_path: Path) -> None:
    plan = make_plan(tmp_path, "it is 4", problems=20, samples=2)
    name = run(store, plan)
    found = estimate(store, plan)
    assert found.tokens == pytest.approx(40 * 3)
    assert found.seconds
    assert name in found.basis


@pytest.mark.process
def test_what_an_unfinished_run_did_first_is_not_taken_for_the_length_of_all(
    store: Store, tmp_path: Path
) -> None:
    texts = ("it is 4", "one two three four five six seven eight nine ten it is 4")
    plan = make_plan(tmp_path, *texts, problems=20, samples=2)
    complete = run(store, plan)
    before = estimate(store, plan)
    unfinished = run(store, plan, until=0)
    assert store.find(unfinished).status == "partial"
    found = estimate(store, plan)
    assert complete in found.basis
    assert found.tokens == before.tokens


@pytest.mark.process
def test_a_run_of_mostly_engine_errors_tells_nothing(store: Store, tmp_path: Path) -> None:
    plan = make_plan(tmp_path, "it is 4", problems=20)
    good, bad = run(store, plan), run(store, plan)
    failed = "SELECT problem FROM samples WHERE run = ? LIMIT ?"
    for name, count in ((bad, 11), (good, 10)):
        store.connection.execute(
            f"UPDATE samples SET outcome = 'engine_error' WHERE run = ? AND problem IN ({failed})",
            (store.find(name).key, store.find(name).key, count),
        )
    store.connection.execute("UPDATE runs SET report = NULL")  # the stored one counts them as they ended
    assert good in estimate(store, plan).basis


@pytest.mark.process
def test_a_run_under_another_limit_tells_nothing_of_the_length(store: Store, tmp_path: Path) -> None:
    plan = make_plan(tmp_path, "it is 4", problems=20)
    name = run(store, plan)
    part = plan.evals[0]
    longer = part.model_copy(update={"sampling": part.sampling.model_copy(update={"max_tokens": 99})})
    found = estimate(store, plan.model_copy(update={"evals": [longer]}))
    assert name not in found.basis
    assert found.seconds  # its speed is known nevertheless


@pytest.mark.parametrize(
    ("samples", "temperature", "told"), [(4, 0.0, True), (1, 0.0, False), (4, 0.6, False)]
)
def test_greedy_samples_of_one_problem_are_said_to_be_alike(
    tmp_path: Path, samples: int, temperature: float, told: bool
) -> None:
    part = make_plan(tmp_path, problems=20, samples=samples).evals[0]
    part = part.model_copy(update={"sampling": part.sampling.model_copy(update={"temperature": temperature})})
    assert any("alike" in words for words in prospects(part, 20)) is told


def test_alike_samples_promise_no_finer_difference(tmp_path: Path) -> None:
    one, four = (make_plan(tmp_path, problems=20, samples=k).evals[0] for k in (1, 4))
    greedy = four.model_copy(update={"sampling": four.sampling.model_copy(update={"temperature": 0.0})})
    assert prospects(greedy, 20)[0].split()[-2:] == prospects(one, 20)[0].split()[-2:]
