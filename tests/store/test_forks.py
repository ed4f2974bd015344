"""Forks are stored with their samples, judged apart, and counted at every budget."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from localrl.chat import Message
from localrl.runs import session
from localrl.sample import Problem, Sample
from localrl.store import damage, forks
from localrl.verdict import Outcome, Response
from tests.scripted import make_plan

if TYPE_CHECKING:
    from pathlib import Path

    from localrl.store.runs import Run, Store


@pytest.fixture
def run(store: Store, tmp_path: Path) -> Run:
    return session.create(store, make_plan(tmp_path, samples=2))


def problem(store: Store, run: Run, name: str = "p0") -> Problem:
    asked = Problem(name, "", "4", eval="sums", messages=(Message(role="user", content="2 + 2?"),))
    (stored,) = store.add_problems(run, [asked])
    return stored


def sample(asked: Problem, index: int, outcome: Outcome | None = Outcome.CORRECT, **more: object) -> Sample:
    made = Sample(
        problem=asked,
        index=index,
        seed=index,
        response=Response("it is 4", "two and two", "<think>two and two</think>it is 4"),
        finish="stop",
        thinking_tokens=700,
        answer_tokens=10,
        outcome=outcome,
        extracted="4",
        ended=1.0,
    )
    return replace(made, **more)  # type: ignore[arg-type]


def fork(of: Sample, budget: int, outcome: Outcome | None, answer: str = "it is 5") -> Sample:
    return Sample(
        problem=of.problem,
        index=of.index,
        seed=budget,
        response=Response(answer, "", answer),
        finish="stop",
        thinking_tokens=budget,
        answer_tokens=5,
        outcome=outcome,
        extracted=answer[-1],
        ended=2.0,
        budget=budget,
        at=11,
    )


def with_forks(asked: Problem, index: int, *outcomes: Outcome | None) -> Sample:
    """A sample that ended before 1024, with forks at 256 and 512."""
    made = sample(asked, index)
    return replace(
        made,
        natural=(1024,),
        forks=tuple(fork(made, b, o) for b, o in zip((256, 512), outcomes, strict=True)),
    )


def test_a_sample_comes_back_with_its_forks_and_the_budgets_that_it_did_not_reach(
    store: Store, run: Run
) -> None:
    asked = problem(store, run)
    made = [with_forks(asked, 0, Outcome.WRONG, Outcome.CORRECT), sample(asked, 1)]
    store.add_samples(run, made)
    assert list(store.samples(run)) == made


def test_forks_are_written_with_their_sample_or_not_at_all(store: Store, run: Run) -> None:
    asked = problem(store, run)
    made = with_forks(asked, 0, Outcome.WRONG, Outcome.CORRECT)
    twice = replace(made, forks=(made.forks[0], made.forks[0]))
    with pytest.raises(Exception, match="UNIQUE"):
        store.add_samples(run, [sample(asked, 1), twice])
    assert list(store.samples(run)) == []
    assert not forks.any_of(store, run)


def test_forks_without_a_verdict_are_found_and_judged_apart(store: Store, run: Run) -> None:
    asked = problem(store, run)
    store.add_samples(run, [with_forks(asked, 0, None, Outcome.CORRECT)])
    (left,) = store.unjudged(run, asked)
    assert (left.budget, left.at, left.response.answer) == (256, 11, "it is 5")
    store.set_verdicts(run, [replace(left, outcome=Outcome.WRONG, verifier="exact/1", detail={"a": 1})])
    assert store.unjudged(run, asked) == []
    (kept,) = store.samples(run)
    assert (kept.outcome, kept.forks[0].outcome, kept.forks[0].detail) == (
        Outcome.CORRECT,
        Outcome.WRONG,
        {"a": 1},
    )


def test_where_a_sample_had_ended_its_own_answer_counts_and_a_new_verdict_with_it(
    store: Store, run: Run
) -> None:
    asked = problem(store, run)
    store.add_samples(
        run,
        [
            with_forks(asked, 0, Outcome.WRONG, Outcome.CORRECT),
            with_forks(asked, 1, Outcome.WRONG, Outcome.TRUNCATED),
        ],
    )
    at = forks.totals(store, run, 0)
    assert list(at) == [256, 512, 1024]
    assert at[256].outcomes == {"wrong": 2}
    assert at[512].outcomes == {"correct": 1, "truncated": 1}
    assert at[1024].outcomes == {"correct": 2}
    assert [(t.forced, t.natural) for t in at.values()] == [(2, 0), (2, 0), (0, 2)]
    assert [(t.thinking_tokens, t.answer_tokens) for t in at.values()] == [(512, 10), (1024, 10), (1400, 20)]
    assert [list(found.values()) for found in forks.counts(store, run, 0).values()] == [
        [(2, 0, 0)],
        [(2, 1, 0)],
        [(2, 2, 2)],
    ]
    store.set_verdicts(run, [replace(sample(asked, 1), outcome=Outcome.WRONG)])
    assert forks.totals(store, run, 0)[1024].outcomes == {"correct": 1, "wrong": 1}
    assert forks.judged(store, run, asked) == {256: (2, 0), 512: (2, 1), 1024: (2, 1)}


def test_answers_come_sample_by_sample_with_what_was_extracted_there(store: Store, run: Run) -> None:
    asked = problem(store, run)
    store.add_samples(run, [with_forks(asked, 0, Outcome.WRONG, Outcome.CORRECT)])
    assert [(a.budget, a.forced, a.correct, a.extracted) for a in forks.answers(store, run, 0, 100)] == [
        (256, 1, 0, "5"),
        (512, 1, 1, "5"),
        (1024, 0, 1, "4"),
    ]


def test_a_sample_that_is_made_again_loses_its_forks(store: Store, run: Run) -> None:
    asked = problem(store, run)
    broken = replace(with_forks(asked, 0, Outcome.WRONG, Outcome.CORRECT), outcome=Outcome.ENGINE_ERROR)
    store.add_samples(run, [broken])
    again = replace(with_forks(asked, 0, Outcome.CORRECT, Outcome.CORRECT), seed=7)
    store.add_samples(run, [again])
    assert list(store.samples(run)) == [again]


def test_a_kept_report_is_forgotten_when_a_fork_is_added_or_judged(store: Store, run: Run) -> None:
    asked = problem(store, run)
    store.add_samples(run, [made := with_forks(asked, 0, None, Outcome.CORRECT)])
    store.cache_report(run, {"a": 1}, store.version)
    assert store.cached_report(run) is not None
    store.set_verdicts(run, [replace(made.forks[0], outcome=Outcome.WRONG)])
    assert store.cached_report(run) is None


def test_a_removed_run_leaves_no_fork(store: Store, run: Run) -> None:
    store.add_samples(run, [with_forks(problem(store, run), 0, Outcome.WRONG, Outcome.CORRECT)])
    store.remove(run)
    for table in ("forks", "fork_texts"):
        assert store.connection.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0] == 0
    assert damage.find() == ""


def test_damaged_forks_are_told(store: Store, run: Run, tmp_path: Path) -> None:
    store.add_samples(run, [with_forks(problem(store, run), 0, Outcome.WRONG, Outcome.CORRECT)])
    assert damage.find() == ""
    with sqlite3.connect(tmp_path / "home" / "data" / "localrl.db") as connection:
        connection.execute("UPDATE fork_texts SET detail = ?", (json.dumps({})[:1],))
    assert "fork_texts.detail" in damage.find()
