"""What takes longest is asked first, and neither seeds nor results nor the store's order know of it."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from localrl.runs import ordering, session
from localrl.runs.ordering import Lengths, longest_first
from localrl.sample import Problem, Sample
from tests.scripted import make_plan

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from localrl.runs.plan import RunPlan
    from localrl.store.runs import Run, Store

SHORT, LONG = "it is 4", "let me count " * 14 + "it is 4"


def ordered(numbers: Iterable[int], most: int) -> list[int]:
    return list(longest_first(numbers, lambda number: (number // 10,), lambda number: number, most))


def run_all(store: Store, plan: RunPlan) -> tuple[Run, list[Sample], int]:
    """A run, its samples as they were judged, and the steps that it took."""
    with session.start(store, plan) as opened:
        judged = [event for event in opened.runner.events() if isinstance(event, Sample)]
        return opened.run, judged, opened.runner.progress.metrics.steps


def test_all_of_a_stream_comes_the_longest_first_and_the_alike_in_their_order() -> None:
    numbers = random.Random(0).choices(range(100), k=200)
    assert ordered(numbers, 1000) == sorted(numbers, key=lambda number: -(number // 10))
    assert sorted(ordered(numbers, 20)) == sorted(numbers)
    assert ordered(numbers, 1) == numbers


def test_no_more_of_a_stream_is_held_than_asked_for() -> None:
    for most in (1, 7, 50):
        taken: list[int] = []
        stream = (taken.append(number) or number for number in range(200))  # type: ignore[func-returns-value]
        for given, _ in enumerate(longest_first(stream, lambda n: (n,), lambda _: 1, most)):
            assert len(taken) - given <= most


def test_large_targets_do_not_pile_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ordering, "MOST_CHARACTERS", 100)
    held: list[int] = []
    targets = (held.append(40) or "x" * 40 for _ in range(50))  # type: ignore[func-returns-value]
    for _ in longest_first(targets, lambda _: (0,), ordering.characters, 1000):
        assert sum(held) <= 120
        held.pop()


@pytest.mark.process
def test_a_long_sample_does_not_end_alone_once_its_length_is_known(store: Store, tmp_path: Path) -> None:
    plan = make_plan(tmp_path, *[SHORT] * 12, LONG, problems=60, parallel=4)
    first, judged, steps = run_all(store, plan)
    second, _, fewer = run_all(store, plan)
    assert len({sample.tokens for sample in judged}) == 2
    assert fewer < steps
    texts = [[(s.problem.id, s.seed, s.response.raw) for s in store.samples(run)] for run in (first, second)]
    assert texts[0] == texts[1]
    assert [problem for problem, _, _ in texts[0]] == [f"p{i}" for i in range(60)]
    _, in_turn, _ = run_all(store, plan.model_copy(update={"engine": replace(plan.engine, parallel=1)}))
    lengths = [sample.tokens for sample in in_turn]
    assert lengths == sorted(lengths, reverse=True)


@pytest.mark.process
def test_a_run_that_goes_on_orders_what_is_left(store: Store, tmp_path: Path) -> None:
    plan = make_plan(tmp_path, *[SHORT] * 5, LONG, problems=40, samples=2, parallel=2)
    run_all(store, plan)
    with session.start(store, plan) as opened:
        run = opened.run
        for seen, _ in enumerate(e for e in opened.runner.events() if isinstance(e, Sample)):
            if seen == 20:
                opened.runner.stop()
    with session.work_on(store, run) as opened:
        list(opened.runner.events())
    stored = [(sample.problem.id, sample.index) for sample in store.samples(run)]
    assert stored == [(f"p{i}", index) for i in range(40) for index in range(2)]


@pytest.mark.process
def test_lengths_are_this_runs_own_then_those_of_a_run_like_it(store: Store, tmp_path: Path) -> None:
    plan = make_plan(tmp_path, LONG, problems=3)
    run_all(store, plan)
    other = plan.model_copy(update={"model_name": "another", "model_path": str(tmp_path / "script.json")})
    make_plan(tmp_path, SHORT, problems=3)  # what the other model says
    run_all(store, other)
    with session.start(store, plan) as opened:
        fresh = Lengths(store, opened.run, plan)
        list(opened.runner.events())  # which are short ones now
        assert fresh.of_eval(0) == pytest.approx(46, abs=2)
        assert Lengths(store, opened.run, plan).of_eval(0) == pytest.approx(3)


def test_without_an_earlier_run_longer_prompts_come_first(store: Store, tmp_path: Path) -> None:
    plan = make_plan(tmp_path)
    lengths = Lengths(store, session.create(store, plan), plan)
    short, alike, long = (
        Problem(str(n), "", None, messages=plan.evals[0].spec.prompt.messages("x" * n)) for n in (40, 60, 900)
    )
    assert lengths.rank(0, short) == lengths.rank(0, alike) < lengths.rank(0, long)
    assert lengths.of_eval(0) == pytest.approx(20)  # a share of the limit
