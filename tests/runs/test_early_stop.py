"""`--until` and `--decide` on whole runs: they stop, say why, and resume to the same end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from localrl.errors import UsageError
from localrl.report import report
from localrl.runs import energy, session
from localrl.sample import Sample
from tests.scripted import make_plan

if TYPE_CHECKING:
    from pathlib import Path

    from localrl.runs.plan import RunPlan
    from localrl.store.runs import Run, Store

pytestmark = pytest.mark.process


def finish(store: Store, plan: RunPlan) -> tuple[Run, dict[str, Any]]:
    with session.start(store, plan) as opened:
        judged = [e for e in opened.runner.events() if isinstance(e, Sample)]
        run = opened.run
    assert len({(e.problem.id, e.index) for e in judged}) == len(judged)
    return run, report.make(store, store.find(run.id))


def with_rule(plan: RunPlan, **rule: Any) -> RunPlan:
    return plan.model_copy(update=rule)


def test_until_ends_the_run_early_as_a_complete_one_and_says_why(store: Store, tmp_path: Path) -> None:
    run, made = finish(store, with_rule(make_plan(tmp_path, problems=200), until=0.08))
    part = made["evals"][0]
    assert made["status"] == "complete"
    assert 30 < part["problems"] < 200
    assert part["stopped"]["rule"] == "until"
    assert part["stopped"]["interval"]["high"] - part["stopped"]["interval"]["low"] <= 0.16
    first = [row.problem for row in store.rows(run)][:20]
    assert first != [f"p{i}" for i in range(20)]


def test_until_with_groups_goes_round_by_round_and_judges_nothing_twice(store: Store, tmp_path: Path) -> None:
    plan = make_plan(tmp_path, "it is 4", "it is 5", problems=20, samples=30)
    run, made = finish(store, with_rule(plan, until=0.15))
    part = made["evals"][0]
    assert part["stopped"]["unit"] == "rounds"
    assert sum(part["outcomes"].values()) < 600
    counts: dict[str, int] = {}
    for row in store.rows(run):
        counts[row.problem] = counts.get(row.problem, 0) + 1
    assert len(counts) == 20
    assert max(counts.values()) - min(counts.values()) <= 2


def test_decide_stops_when_the_other_run_is_beaten(store: Store, tmp_path: Path) -> None:
    other, _ = finish(store, make_plan(tmp_path, "it is 5", problems=100))
    _, made = finish(store, with_rule(make_plan(tmp_path, problems=100), decide=other.id))
    stop = made["evals"][0]["stopped"]
    assert (stop["rule"], stop["verdict"]) == ("decide", "better")
    assert stop["e_value"] > 20
    assert made["evals"][0]["problems"] < 60


def test_a_rule_that_is_never_met_runs_everything(store: Store, tmp_path: Path) -> None:
    other, _ = finish(store, make_plan(tmp_path, problems=30))
    _, made = finish(store, with_rule(make_plan(tmp_path, problems=30, samples=2), decide=other.id))
    assert made["evals"][0]["stopped"] is None
    assert sum(made["evals"][0]["outcomes"].values()) == 60


def test_a_resumed_run_remembers_what_it_knew(store: Store, tmp_path: Path) -> None:
    plan = with_rule(make_plan(tmp_path, problems=200), until=0.08)
    with session.start(store, plan) as opened:
        for seen, _ in enumerate(e for e in opened.runner.events() if isinstance(e, Sample)):
            if seen == 20:
                opened.runner.stop()
        run = opened.run
    assert report.make(store, store.find(run.id))["evals"][0]["stopped"] is None
    with session.work_on(store, store.find(run.id)) as opened:
        list(opened.runner.events())
    resumed = report.make(store, store.find(run.id))["evals"][0]
    _, whole = finish(store, plan)
    assert resumed["stopped"]["problems"] == whole["evals"][0]["stopped"]["problems"]


def test_deciding_against_a_run_of_other_problems_is_refused(store: Store, tmp_path: Path) -> None:
    other, _ = finish(store, make_plan(tmp_path, problems=5))
    with pytest.raises(UsageError, match="5 of the problems"):
        finish(store, with_rule(make_plan(tmp_path, problems=30), decide=other.id))


def test_energy_is_in_the_report_when_there_is_a_counter(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks = iter(range(10**6))
    counter = energy.Sensor("gpu0", lambda: float(next(ticks)))
    monkeypatch.setattr(energy, "sensors", lambda: ([counter], ""))
    _, made = finish(store, make_plan(tmp_path))
    assert made["speed"]["energy"]["total_j"] > 0
    monkeypatch.setattr(energy, "sensors", lambda: ([], "none here"))
    _, made = finish(store, make_plan(tmp_path))
    assert made["speed"]["energy"] is None
