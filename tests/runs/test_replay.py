"""Budgets for a run that is there already: from what its samples thought, marked as a replay."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from localrl.report import report
from localrl.runs import replay, session
from localrl.store import forks
from tests.commands import localrl
from tests.scripted import make_plan, thinker

if TYPE_CHECKING:
    from pathlib import Path

    from localrl.store.runs import Run, Store

pytestmark = pytest.mark.process

BUDGETS = (4, 10, 16, 30)


def one_thinker() -> dict[str, Any]:
    """A script with one text, so that what it knows does not depend on the seed: 4 from 9 tokens on."""
    script = thinker()
    return {"texts": script["texts"][1:2], "knows": script["knows"][1:2]}


@pytest.fixture
def run(store: Store, tmp_path: Path) -> Run:
    """A run without budgets."""
    with session.start(store, make_plan(tmp_path, problems=6, samples=2, **one_thinker())) as opened:
        list(opened.runner.events())
    return store.find(opened.run.id)


def curve(store: Store, run: Run) -> list[tuple[int, float, int, int, int]]:
    entry = report.make(store, run)["evals"][0]
    keys = ("forced", "natural", "replayed")
    return [(at["budget"], at["accuracy"]["value"], *(at[key] for key in keys)) for at in entry["budgets"]]


def test_a_replay_gives_the_curve_that_the_run_would_have_had(store: Store, run: Run, tmp_path: Path) -> None:
    done = localrl("runs", "budgets", "--budgets", "4,10,16,30", "--json")
    assert done.returncode == 0, done.stderr
    assert "36 answers were added" in done.stderr
    assert curve(store, run) == [
        (4, 0.0, 12, 0, 12),
        (10, 1.0, 12, 0, 12),
        (16, 1.0, 12, 0, 12),
        (30, 1.0, 0, 12, 0),
    ]
    forked = make_plan(tmp_path, problems=6, samples=2, budgets=BUDGETS, **one_thinker())
    with session.start(store, forked) as opened:
        list(opened.runner.events())
    assert [at[:2] for at in curve(store, opened.run)] == [at[:2] for at in curve(store, run)]
    for one, other in zip(store.samples(run), store.samples(opened.run), strict=True):
        assert [(f.seed, f.response.answer) for f in one.forks] == [
            (f.seed, f.response.answer) for f in other.forks
        ]
        assert all(fork.replayed for fork in one.forks)
        assert not any(fork.replayed for fork in other.forks)
    assert json.loads(done.stdout)["status"] == "complete"


def test_what_is_there_is_not_made_again_and_more_budgets_are_added(store: Store, run: Run) -> None:
    assert localrl("runs", "budgets", run.id, "--budgets", "10").returncode == 0
    before = list(store.samples(run))
    again = localrl("runs", "budgets", run.id, "--budgets", "10")
    assert "0 answers were added" in again.stderr
    assert list(store.samples(run)) == before
    more = localrl("runs", "budgets", run.id, "--budgets", "4,10")
    assert "12 answers were added" in more.stderr
    assert [at[0] for at in curve(store, run)] == [4, 10]


def test_a_replay_that_stopped_goes_on_where_it_stopped(store: Store, run: Run) -> None:
    plan = session.plan_of(run)
    with session.loaded(plan, None) as (engine, _, pool, _):
        work = replay.Replay(store, run, plan, engine, pool, BUDGETS, 50)
        for _ in zip(range(5), work.events(), strict=False):
            pass
        engine.stopping.set()
    store.connection.execute("UPDATE forks SET outcome = NULL, score = NULL WHERE budget = 4 AND forced")
    assert 0 < replay.lacking(store, run, plan, BUDGETS) < 36
    assert localrl("runs", "budgets", run.id, "--budgets", "4,10,16,30").returncode == 0
    assert replay.lacking(store, run, plan, BUDGETS) == 0
    assert Counter(place[3] for place in forks.places(store, run)) == dict.fromkeys(BUDGETS, 12)
    assert [at[:2] for at in curve(store, run)] == [(4, 0.0), (10, 1.0), (16, 1.0), (30, 1.0)]


def test_a_run_whose_model_does_not_think_has_nothing_to_replay(store: Store, tmp_path: Path) -> None:
    plan = make_plan(tmp_path, problems=2).model_copy(update={"thinking": None})
    with session.start(store, plan) as opened:
        list(opened.runner.events())
    done = localrl("runs", "budgets")
    assert done.returncode == 2
    assert "does not think" in done.stderr
