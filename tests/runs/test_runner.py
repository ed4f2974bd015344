"""A run stores before it counts, goes on where it stopped, and adds up."""

from __future__ import annotations

import json
import threading
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from localrl.engine.client import Restarted
from localrl.errors import Stopped, UsageError
from localrl.evals import dataset
from localrl.report import report
from localrl.runs import session
from localrl.runs.rescore import rescore
from localrl.sample import Sample
from localrl.store import samples as stored_samples
from localrl.verdict import Outcome
from localrl.verify.pool import VerifierPool
from tests.scripted import make_plan

if TYPE_CHECKING:
    from pathlib import Path

    from localrl.runs.plan import RunPlan
    from localrl.store.runs import Run, Store

pytestmark = pytest.mark.process

LOOP = "so " * 300


def run_all(store: Store, plan: RunPlan) -> tuple[Run, list[Sample]]:
    with session.start(store, plan) as opened:
        events = list(opened.runner.events())
        return opened.run, [event for event in events if isinstance(event, Sample)]


def stored(store: Store, run: Run) -> Counter[tuple[str, int]]:
    return Counter((sample.problem.id, sample.index) for sample in store.samples(run))


def test_every_sample_is_stored_judged_and_counted_once(store: Store, tmp_path: Path) -> None:
    run, judged = run_all(store, make_plan(tmp_path, "it is 4", "it is 5", "no idea", samples=3))
    assert len(judged) == 30
    assert set(stored(store, run).values()) == {1}
    made = report.make(store, store.find(run.id))
    assert made["status"] == "complete"
    outcomes = made["evals"][0]["outcomes"]
    assert sum(outcomes.values()) == 30
    assert Counter(str(event.outcome) for event in judged) == Counter(
        {k: v for k, v in outcomes.items() if v}
    )


def test_tokens_in_the_store_sum_to_the_reports(store: Store, tmp_path: Path) -> None:
    run, _ = run_all(store, make_plan(tmp_path, "<think>two and two</think>it is 4", samples=2))
    tokens = report.make(store, run)["evals"][0]["tokens"]
    samples = list(store.samples(run))
    assert tokens["prompt"] == sum(sample.prompt_tokens for sample in samples) > 0
    assert tokens["thinking"] == sum(sample.thinking_tokens for sample in samples) > 0
    assert tokens["answer"] == sum(sample.answer_tokens for sample in samples) > 0


def test_truncated_and_looped_samples_are_outcomes_of_their_own(store: Store, tmp_path: Path) -> None:
    long = " ".join(f"4 {i}" for i in range(100))
    plan = make_plan(tmp_path, f"<think>it is 4 {long}", f"it is 4 {long}")
    _, judged = run_all(store, plan)
    assert {event.outcome for event in judged} == {Outcome.TRUNCATED}
    part = plan.evals[0]
    looping = part.model_copy(update={"sampling": part.sampling.model_copy(update={"max_tokens": 900})})
    (tmp_path / "script.json").write_text(json.dumps({"texts": [LOOP]}))
    _, judged = run_all(store, plan.model_copy(update={"evals": [looping]}))
    assert {event.outcome for event in judged} == {Outcome.LOOPED}


def test_a_stopped_run_goes_on_where_it_stopped(store: Store, tmp_path: Path) -> None:
    plan = make_plan(tmp_path, "one two three it is 4", problems=20, samples=2, real_s=0.001)
    with session.start(store, plan) as opened:
        run, seen = opened.run, 0
        for event in opened.runner.events():
            seen += isinstance(event, Sample)
            if seen == 7:
                opened.runner.stop()
    before = stored(store, run)
    assert report.make(store, store.find(run.id))["status"] == "partial"
    assert 7 <= before.total() < 40
    with session.work_on(store, store.find(run.id)) as opened:
        assert opened.runner.progress.done == before.total()
        again = [event for event in opened.runner.events() if isinstance(event, Sample)]
    assert len(again) == 40 - before.total()
    assert set(stored(store, run).values()) == {1}
    assert stored(store, run).total() == 40
    made = report.make(store, store.find(run.id))
    assert (made["status"], made["evals"][0]["accuracy"]["value"]) == ("complete", 1.0)


def test_the_progress_of_a_resumed_run_counts_groups_right(store: Store, tmp_path: Path) -> None:
    plan = make_plan(tmp_path, "it is 4", problems=6, samples=3, parallel=1)
    with session.start(store, plan) as opened:
        run = opened.run
        for seen, _ in enumerate(e for e in opened.runner.events() if isinstance(e, Sample)):
            if seen == 3:
                opened.runner.stop()
    with session.work_on(store, run) as opened:
        progress = opened.runner.progress
        assert progress.first_token.value is not None  # of the earlier session
        assert progress.correct_before == progress.done_before == progress.correct
        list(opened.runner.events())
        assert progress.evals[0].counts() == Counter({(3, 3): 6})
        assert progress.correct == 18


def test_a_killed_worker_loses_nothing(store: Store, tmp_path: Path) -> None:
    plan = make_plan(tmp_path, "one two three it is 4", problems=20, samples=2, real_s=0.002)
    with session.start(store, plan) as opened:
        restarts, seen = 0, 0
        for event in opened.runner.events():
            seen += isinstance(event, Sample)
            restarts += isinstance(event, Restarted)
            if seen == 5 and not restarts:
                opened.engine._process.kill()
        run = opened.run
    assert restarts == 1
    assert stored(store, run) == Counter(dict.fromkeys(stored(store, run), 1))
    made = report.make(store, store.find(run.id))
    assert made["evals"][0]["outcomes"]["correct"] == 40


def test_samples_that_were_stored_but_not_judged_are_judged_and_not_made_again(
    store: Store, tmp_path: Path
) -> None:
    run, _ = run_all(store, make_plan(tmp_path, "it is 4", problems=3))
    store.connection.execute("UPDATE samples SET outcome = NULL, score = NULL")
    (tmp_path / "script.json").write_text(json.dumps({"texts": ["it is 5"]}))
    with session.work_on(store, run) as opened:
        judged = [event for event in opened.runner.events() if isinstance(event, Sample)]
    assert [event.outcome for event in judged] == [Outcome.CORRECT] * 3


def test_samples_that_the_engine_failed_on_are_tried_again_when_resumed(store: Store, tmp_path: Path) -> None:
    run, _ = run_all(store, make_plan(tmp_path, "it is 4", problems=3))
    store.connection.execute("UPDATE samples SET outcome = 'engine_error' WHERE problem = 2")
    with session.work_on(store, run) as opened:
        judged = [event for event in opened.runner.events() if isinstance(event, Sample)]
    assert [event.outcome for event in judged] == [Outcome.CORRECT]
    assert stored(store, run).total() == 3


def test_a_prompt_that_does_not_fit_stops_the_run_in_words(store: Store, tmp_path: Path) -> None:
    plan = make_plan(tmp_path, "it is 4", cells=3)
    with session.start(store, plan) as opened, pytest.raises(UsageError, match=r"p0.*does not fit"):
        list(opened.runner.events())
    assert report.make(store, store.find(opened.run.id))["status"] == "partial"


def test_changed_data_stops_a_resumed_run(store: Store, tmp_path: Path) -> None:
    run, _ = run_all(store, make_plan(tmp_path, problems=3))
    store.connection.execute("DELETE FROM samples WHERE problem = 2")
    data = tmp_path / "sums.jsonl"
    data.write_text(data.read_text().replace("2 + 2, number 1", "2 + 3, number 1"))
    with session.work_on(store, run) as opened, pytest.raises(UsageError, match="start a new run"):
        list(opened.runner.events())


def test_rescoring_applies_todays_verifier_to_stored_texts(store: Store, tmp_path: Path) -> None:
    run, _ = run_all(store, make_plan(tmp_path, "it is 4", problems=4, samples=2))
    store.connection.execute("UPDATE samples SET outcome = 'wrong' WHERE problem = 2 AND idx = 1")
    store.connection.execute("UPDATE samples SET outcome = 'truncated', finish = 'length' WHERE problem = 3")
    with VerifierPool() as pool:
        changes = list(rescore(store, run, pool))
    assert [(c.problem, c.index, c.before, c.after) for c in changes] == [("p1", 1, "wrong", "correct")]
    outcomes = report.make(store, store.find(run.id))["evals"][0]["outcomes"]
    assert (outcomes["correct"], outcomes["truncated"]) == (6, 2)


def test_a_target_too_long_for_the_store_is_taken_from_the_data(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored_samples, "LARGEST_TARGET", 2)
    run, judged = run_all(store, make_plan(tmp_path, "it is 4", problems=2))
    assert {event.outcome for event in judged} == {Outcome.CORRECT}
    assert all("omitted_characters" in sample.problem.target for sample in store.samples(run))
    with VerifierPool() as pool:
        assert list(rescore(store, run, pool)) == []


def test_two_processes_cannot_work_on_one_run(store: Store, tmp_path: Path) -> None:
    with session.start(store, make_plan(tmp_path)) as opened:
        with pytest.raises(UsageError, match="another localrl"), session.work_on(store, opened.run):
            pass
        list(opened.runner.events())


def test_a_model_that_cannot_be_loaded_leaves_no_run(store: Store, tmp_path: Path) -> None:
    plan = make_plan(tmp_path)
    (tmp_path / "script.json").write_text("not a script")
    with pytest.raises(UsageError), session.start(store, plan):
        pass
    assert store.runs() == []


def test_data_that_is_not_to_be_had_leaves_no_run_and_loads_no_model(store: Store, tmp_path: Path) -> None:
    plan = make_plan(tmp_path)
    (tmp_path / "sums.jsonl").unlink()
    (tmp_path / "script.json").unlink()
    with pytest.raises(UsageError, match=r"sums\.jsonl"), session.start(store, plan):
        pass
    assert store.runs() == []


def test_data_that_takes_long_is_waited_for_no_longer_than_it_is_wanted(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopping, never = threading.Event(), threading.Event()

    def endless(*_: object) -> None:
        stopping.set()
        never.wait(60)

    monkeypatch.setattr(dataset, "fetch", endless)
    with pytest.raises(Stopped), session.start(store, make_plan(tmp_path), stopping=stopping):
        pass
    assert store.runs() == []
    never.set()


def test_a_report_that_another_version_kept_is_made_again(store: Store, tmp_path: Path) -> None:
    run, _ = run_all(store, make_plan(tmp_path))
    made = report.make(store, run)
    store.cache_report(run, {"revision": report.REVISION - 1, "report": {}}, store.version)
    assert report.make(store, run) == made


def test_the_report_has_the_contracts_keys(store: Store, tmp_path: Path) -> None:
    run, _ = run_all(store, make_plan(tmp_path, "it is 4", "it is 5", samples=4))
    made = report.make(store, store.find(run.id))
    assert made["schema"] == 1
    assert set(made) == {
        *("schema", "run", "name", "created", "status", "model", "backend", "hardware", "sampling", "evals"),
        "speed",
    }
    assert {"name", "file", "sha256", "quantisation", "parameters", "template_sha256"} <= set(made["model"])
    assert {"name", "version", "parallel", "context", "settings"} == set(made["backend"])
    assert {"device", "memory_bytes", "cpu", "os"} == set(made["hardware"])
    penalties = {"presence_penalty", "frequency_penalty", "repetition_penalty"}
    assert {"temperature", "top_p", "top_k", "min_p", "max_tokens", "seed"} | penalties == set(
        made["sampling"]
    )
    part = made["evals"][0]
    assert {"value", "low", "high", "level", "method"} == set(part["accuracy"])
    assert set(part["pass_at"]) == {"1", "2", "4"}
    assert set(part["majority_at"]) == {"2", "4"}
    assert set(part["outcomes"]) == {str(outcome) for outcome in Outcome}
    assert {
        *("wall_s", "prefill_tokens_per_s", "decode_tokens_per_s", "stream_tokens_per_s", "ttft_s"),
        *("energy", "peak_memory_bytes", "correct_per_hour"),
    } == set(made["speed"])
    assert made == json.loads(json.dumps(made))
