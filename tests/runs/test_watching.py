"""A run at work in another process is seen as far as it has been committed, and to its end."""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING

import pytest

from localrl.report import report
from localrl.runs.progress import Median
from localrl.runs.watching import RunWatcher
from localrl.store.locks import is_locked
from localrl.store.runs import Store
from tests.other_process import at_work

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.process


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCALRL_HOME", str(tmp_path / "home"))


def test_a_run_watched_to_its_end_shows_what_its_report_says(tmp_path: Path) -> None:
    seen: dict[tuple[str, str, int], str | None] = {}
    with at_work(tmp_path, "one two it is 4", "it is 5", problems=60, samples=2), Store() as store:
        run = store.find("last")
        watch = RunWatcher(store, run)
        locked = True
        while locked:
            locked = is_locked(run)
            seen.update({(row.eval, row.problem, row.sample): row.outcome for row in watch.look()})
            time.sleep(0.02)
        first = statistics.median_low(sample.ttft_s or 0.0 for sample in store.samples(run))
        made = report.make(store, store.find(run.id))
    part = watch.progress.evals[0]
    assert made["status"] == "complete"
    assert (part.done, part.total) == (120, 120)
    assert {name: count for name, count in made["evals"][0]["outcomes"].items() if count} == part.outcomes
    assert sum(part.groups.values()) == 60
    assert len(seen) == 120
    assert {"correct", "wrong"} == set(seen.values())
    assert watch.progress.first_token.value == pytest.approx(first, rel=0.006)
    assert watch.progress.tokens_per_s > 0


def test_a_run_at_work_is_seen_growing_and_a_killed_one_is_seen_as_far_as_it_came(tmp_path: Path) -> None:
    with at_work(tmp_path, "it is 4", problems=100_000) as app, Store() as store:
        run = store.find("last")
        watch = RunWatcher(store, run)
        watch.look()
        first = watch.progress.done
        deadline = time.monotonic() + 60
        while watch.progress.done <= first or not watch.progress.metrics.generated_tokens:
            assert time.monotonic() < deadline, "nothing comes"
            watch.look()
            time.sleep(0.02)
        assert is_locked(run)
        assert watch.progress.eta_s is not None
        app.kill()
        app.wait()
        assert not is_locked(run)
        watch.look()
        stored = sum(sample.outcome is not None for sample in store.samples(run))
        assert watch.progress.done == stored


def test_what_is_judged_later_is_seen_and_what_does_not_change_is_not_read_again(tmp_path: Path) -> None:
    with at_work(tmp_path, "it is 4", problems=3) as app, Store() as store, Store() as other:
        app.wait(timeout=60)
        run = store.find("last")
        other.connection.execute("UPDATE samples SET outcome = NULL WHERE problem = 2")
        watch = RunWatcher(store, run)
        assert [row.outcome for row in watch.look()] == ["correct", None, "correct"]
        assert watch.look() == []
        other.connection.execute("UPDATE samples SET outcome = 'wrong' WHERE problem = 2")
        assert [(row.problem, row.outcome) for row in watch.look()] == [("p1", "wrong")]
        assert watch.progress.accuracy == pytest.approx(2 / 3)


def test_the_median_is_right_to_half_a_percent() -> None:
    median = Median()
    assert median.value is None
    for i in range(1, 1000):
        median.add(i / 100)
    assert median.value == pytest.approx(5.0, rel=0.006)
