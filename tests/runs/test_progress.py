"""How far a run is, and how long it still takes, are told from the time in which it worked."""

from __future__ import annotations

import pytest

from localrl.engine.protocol import Metrics
from localrl.runs.progress import EvalProgress, Progress
from localrl.verdict import Outcome


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_pause_is_no_time_of_work() -> None:
    clock = Clock()
    progress = Progress([EvalProgress("sums", 100)], clock=clock)
    progress.take(Metrics())
    clock.now += 10
    progress.take(Metrics(generated_tokens=500))
    for i in range(20):
        progress.evals[0].judged(i, Outcome.CORRECT, 1)
    for paused in (True, True):  # a second time changes nothing
        progress.pause(paused)
        clock.now += 300
    assert progress.worked_s == pytest.approx(10)
    assert progress.eta_s == pytest.approx(40)
    progress.pause(False)
    clock.now += 5
    progress.take(Metrics(generated_tokens=750))
    assert progress.worked_s == pytest.approx(15)
    assert progress.eta_s == pytest.approx(60)
    assert progress.tokens_per_s == pytest.approx(50)


def test_what_earlier_sessions_did_does_not_speed_up_the_estimate() -> None:
    clock = Clock()
    progress = Progress([EvalProgress("sums", 100)], clock=clock)
    for i in range(40):
        progress.evals[0].judged(i, Outcome.WRONG, 1)
    progress.done_before = 30
    clock.now += 10
    assert progress.eta_s == pytest.approx(60)


def test_after_a_resumption_the_time_left_is_told_by_all_that_the_run_has_done() -> None:
    clock = Clock()
    progress = Progress([EvalProgress("sums", 100)], clock=clock, done_before=80, worked_before_s=800)
    for i in range(80):
        progress.evals[0].judged(i, Outcome.WRONG, 1)
    assert progress.eta_s == pytest.approx(200)
    clock.now += 20  # in which only one of those that run side by side has ended
    progress.evals[0].judged(80, Outcome.WRONG, 1)
    assert progress.eta_s == pytest.approx(820 / 81 * 19)


def test_the_time_left_weighs_evals_by_the_lengths_of_their_samples() -> None:
    clock = Clock()
    long, short = EvalProgress("long", 10, tokens_each=9000.0), EvalProgress("short", 90, tokens_each=100.0)
    progress = Progress([long, short], clock=clock)
    for i in range(10):
        long.judged(i, Outcome.CORRECT, 1)
    clock.now += 1000
    assert progress.eta_s == pytest.approx(100)
