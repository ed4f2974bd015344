"""The store keeps what it was given, once; survives a full disk; and does not slow with its size."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from localrl.chat import Message
from localrl.errors import StoreError, UsageError
from localrl.sample import Problem, Sample
from localrl.store import aggregates, db
from localrl.store.locks import is_locked, lock
from localrl.store.runs import Run, Store
from localrl.verdict import Outcome, Response, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def sample(
    problem: Problem, index: int, outcome: Outcome | None = Outcome.CORRECT, text: str = "it is 4"
) -> Sample:
    return Sample(
        problem=problem,
        index=index,
        seed=7,
        response=Response(text, raw=text),
        finish="stop",
        prompt_tokens=10,
        thinking_tokens=2,
        answer_tokens=3,
        ttft_s=0.5,
        tokens_per_s=20.0,
        outcome=outcome,
        score=float(outcome is Outcome.CORRECT),
    )


def new_run(store: Store, problems: int = 2, name: str = "") -> tuple[Run, list[Problem]]:
    run = store.create_run({"plan": {"evals": [{"spec": {"name": "sums"}}]}}, name)
    asked = (Message(role="user", content="2+2"),)
    return run, store.add_problems(
        run, [Problem(f"p{i}", "", "4", {"a": 1}, eval="sums", messages=asked) for i in range(problems)]
    )


def test_a_sample_comes_back_as_it_went_in(store: Store) -> None:
    run, (first, _) = new_run(store)
    given = sample(first, 3, text="π ≈ 3.14\x00\ud7ff")
    store.add_samples(run, [given])
    (found,) = store.samples(run)
    assert found == given
    assert found.problem.key == first.key > 0


def test_a_sample_is_written_once_unless_the_engine_had_failed_on_it(store: Store) -> None:
    run, (first, _) = new_run(store)
    store.add_samples(run, [sample(first, 0), sample(first, 1, Outcome.ENGINE_ERROR, "")])
    assert store.done(run, first) == {0}
    with pytest.raises(StoreError, match="UNIQUE"):
        store.add_samples(run, [sample(first, 0)])
    store.add_samples(run, [sample(first, 1)])
    assert [s.outcome for s in store.samples(run)] == ["correct", "correct"]


def test_a_commit_that_fails_leaves_nothing_of_itself(store: Store) -> None:
    run, (first, second) = new_run(store)
    store.add_samples(run, [sample(first, 0)])
    with pytest.raises(StoreError):
        store.add_samples(run, [sample(second, 0), sample(first, 0)])
    assert [s.problem for s in store.samples(run)] == [first]


def test_verdicts_are_kept_with_the_verifiers_version(store: Store) -> None:
    run, (first, _) = new_run(store)
    store.add_samples(run, [sample(first, 0, outcome=None)])
    assert [s.index for s in store.unjudged(run, first)] == [0]
    verdict = Verdict(Outcome.WRONG, 0.0, "5", {"why": "no"})
    store.set_verdicts(run, [sample(first, 0).judged(verdict, "exact/1")])
    found = store.sample(run, "sums", "p0", 0)
    assert (found.outcome, found.verifier, found.extracted, found.detail) == (
        *("wrong", "exact/1", "5"),
        {"why": "no"},
    )


def test_runs_are_found_by_id_beginning_name_and_last(store: Store) -> None:
    first, _ = new_run(store, name="mine")
    last, _ = new_run(store)
    assert store.find(first.id[:5]).key == store.find("mine").key == first.key
    assert store.find("last").key == last.key
    with pytest.raises(UsageError, match="no run"):
        store.find("nothing")


def test_a_removed_run_takes_its_samples_with_it(store: Store) -> None:
    run, (first, _) = new_run(store)
    store.add_samples(run, [sample(first, 0)])
    store.remove(run)
    for table in ("runs", "problems", "samples", "texts"):
        assert store.connection.execute(f"SELECT COUNT(*) FROM {table}").fetchone() == (0,)


def test_a_run_is_locked_while_somebody_works_on_it(store: Store) -> None:
    run, _ = new_run(store)
    with lock(run):
        assert is_locked(run)
    assert not is_locked(run)


def test_a_file_that_is_no_store_and_one_of_a_newer_version_are_refused(tmp_path: Path) -> None:
    (tmp_path / "no.db").write_bytes(b"not a database, but long enough to be taken for one" * 50)
    with pytest.raises(StoreError, match=r"no\.db"):
        db.connect(tmp_path / "no.db")
    connection = db.connect(tmp_path / "new.db")
    connection.execute("PRAGMA user_version = 999")
    connection.close()
    with pytest.raises(StoreError, match="newer localrl"):
        db.connect(tmp_path / "new.db")


FILL = """
import sys
from localrl.chat import Message
from localrl.errors import StoreError
from localrl.store.runs import Store
from tests.store.test_runs import new_run, sample
with Store() as store:
    run, (first, _) = new_run(store)
    for index in range(100_000):
        try:
            store.add_samples(run, [sample(first, index, text="x" * 20_000)])
        except StoreError as error:
            print(index, error)
            break
"""


@pytest.mark.process
@pytest.mark.skipif(sys.platform != "linux", reason="needs a file system of a given size")
def test_a_full_disk_is_an_error_in_words_and_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCALRL_HOME", str(tmp_path / "home"))
    disk = tmp_path / "home" / "data"
    disk.mkdir(parents=True)
    # A mount namespace of its own: the small disk is gone with the process.
    script = (
        f"mount -t tmpfs -o size=3m none {disk} && {sys.executable} -c '{FILL}'; "
        f"cp {disk}/localrl.db* {tmp_path}"
    )
    shown = subprocess.run(
        ["unshare", "--mount", "--map-root-user", "--user", "sh", "-c", script],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    kept, _, message = shown.partition(" ")
    assert "free some space" in message
    with Store(tmp_path / "localrl.db") as store:
        run = store.find("last")
        assert sum(1 for _ in store.samples(run)) == int(kept) > 10
        assert store.connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


@pytest.mark.slow
def test_a_run_of_a_million_samples_is_summed_up_without_reading_texts(store: Store) -> None:
    run, _ = new_run(store, problems=1)
    with db.transaction(store.connection):
        store.connection.execute(
            "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 999999) "
            "INSERT INTO samples SELECT ?, 0, i / 4, i % 4, i, 'stop', "
            "CASE i % 3 WHEN 0 THEN 'correct' ELSE 'wrong' END, 0, 10, 0, 2, 3, i % 97, i % 89, i FROM n",
            (run.key,),
        )
    began = time.monotonic()
    tally, groups = aggregates.totals(store, run, 0), aggregates.groups(store, run, 0)
    ttft, _ = aggregates.rates(store, run)
    seconds = time.monotonic() - began
    assert tally.samples == 1_000_000
    assert tally.outcomes["correct"] == 333_334
    assert sum(groups.values()) == 250_000
    assert 18_000 <= len(ttft) <= 22_000
    assert seconds < 30, (
        "a sum over narrow rows takes a second; only a scan of something else takes this long"
    )


def test_the_sums_of_an_eval_are_those_of_its_samples(store: Store) -> None:
    run, keys = new_run(store, problems=9)
    outcomes = [*Outcome, None]
    store.add_samples(run, [sample(key, 0, outcome) for key, outcome in zip(keys, outcomes, strict=True)])
    store.add_samples(run, [sample(keys[0], 1, Outcome.WRONG)])
    tally = aggregates.totals(store, run, 0)
    assert tally.outcomes == {"": 1, **dict.fromkeys(map(str, Outcome), 1), "wrong": 2}
    assert tally.answer_tokens == 10 * sample(keys[0], 0).answer_tokens
    assert aggregates.groups(store, run, 0) == {
        aggregates.GroupCounts(2, 1, 0, 0): 1,
        aggregates.GroupCounts(1, 0, 0, 0): 2,
        aggregates.GroupCounts(1, 0, 1, 0): 3,
        aggregates.GroupCounts(1, 0, 0, 1): 2,
    }


def test_groups_of_one_sample_follow_from_the_outcomes(store: Store) -> None:
    run, keys = new_run(store, problems=5)
    correct, wrong, looped = Outcome.CORRECT, Outcome.WRONG, Outcome.LOOPED
    made = zip(keys, [correct, wrong, correct, looped, None], strict=True)
    store.add_samples(run, [sample(key, 0, outcome) for key, outcome in made])
    assert (
        aggregates.totals(store, run, 0).groups_of_one
        == aggregates.groups(store, run, 0)
        == {
            aggregates.GroupCounts(1, 1, 0, 0): 2,
            aggregates.GroupCounts(1, 0, 0, 0): 1,
            aggregates.GroupCounts(1, 0, 1, 0): 1,
        }
    )


def test_of_a_large_run_the_first_and_last_problem_and_some_others_say_who_judged(store: Store) -> None:
    run, keys = new_run(store, problems=500)
    names = {keys[0].id: "math/1", keys[-1].id: "math/3"}
    made = [replace(sample(key, 0), verifier=names.get(key.id, "math/2")) for key in keys]
    store.add_samples(run, made)
    assert aggregates.verifiers(store, run, 0, most=20) == ["math/1", "math/2", "math/3"]
    assert 10 <= len(list(aggregates.answers(store, run, 0, most=20))) <= 30


def test_readers_see_what_was_committed_and_pass_on_what_goes_wrong(store: Store) -> None:
    run, (first, _) = new_run(store)
    store.add_samples(run, [sample(first, 0)])
    with store.readers() as ask:
        assert ask(aggregates.totals, run, 0).result().samples == 1
        with pytest.raises(UsageError, match="no run 'nowhere'"):
            ask(Store.find, "nowhere").result()


def test_a_damaged_file_is_named_whichever_read_meets_the_damage(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with Store(path) as store:
        run, keys = new_run(store, problems=500)
        store.add_samples(run, [sample(key, 0) for key in keys])
    content = bytearray(path.read_bytes())
    for page in range(len(content) // 2, len(content) - 4096, 4096):
        content[page : page + 4096] = b"\x5a" * 4096
    path.write_bytes(content)
    with Store(path) as store, pytest.raises(StoreError, match=rf"{path}.*malformed.*recover"):
        list(store.samples(store.find("last")))


def test_a_report_is_not_kept_when_the_run_went_on_while_it_was_made(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with Store(path) as reader, Store(path) as writer:
        run, (first, second) = new_run(writer)
        before = reader.version
        writer.add_samples(run, [sample(first, 0)])
        reader.cache_report(run, {"samples": 0}, before)
        assert reader.cached_report(run) is None
        reader.cache_report(run, {"samples": 1}, reader.version)
        assert writer.cached_report(run) == {"samples": 1}
        writer.add_samples(run, [sample(second, 0)])
        assert reader.cached_report(run) is None


@pytest.mark.parametrize(
    "change",
    [
        lambda store, run, problem: store.set_status(run, "failed"),
        lambda store, run, problem: store.update_manifest(run, model_sha256="ab"),
        lambda store, run, problem: store.begin_session(run, {}),
        lambda store, run, problem: store.end_session(run, 1, {"wall_s": 2.0}, "partial"),
        lambda store, run, problem: store.add_samples(run, [sample(problem, 1)]),
        lambda store, run, problem: store.set_verdicts(run, [sample(problem, 0, Outcome.WRONG)]),
    ],
)
def test_whatever_changes_a_run_makes_its_cached_report_forgotten_and_no_other(
    store: Store, change: Callable[[Store, Run, Problem], object]
) -> None:
    run, (problem, _) = new_run(store)
    other, _ = new_run(store)
    store.begin_session(run, {})
    store.add_samples(run, [sample(problem, 0)])
    for each in (run, other):
        store.cache_report(each, {"revision": 1}, store.version)
    change(store, run, problem)
    assert store.cached_report(run) is None
    assert store.cached_report(other) == {"revision": 1}
