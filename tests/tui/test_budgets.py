"""Thinking budgets on the screens: asked for in the form, shown while they grow, and below their sample."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from textual.widgets import Input

from localrl.store.runs import Store
from localrl.tui.screens.bench import BenchScreen
from localrl.tui.screens.results import ResultsScreen
from localrl.tui.widgets.bench import curve
from localrl.tui.widgets.bench.grid import SampleGrid
from localrl.tui.widgets.bench.summary import Summary
from localrl.tui.widgets.livetext import LiveText
from localrl.tui.widgets.results.sample import SampleView
from tests.scripted import thinker
from tests.tui.pressing import press
from tests.tui.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from localrl.tui.app import LocalrlApp


@pytest.mark.slow
def test_a_run_with_budgets_shows_its_curve_and_each_sample_its_forks(
    scripted: Callable[..., LocalrlApp],
) -> None:
    async def scenario() -> None:
        script = thinker()
        app = scripted(*script["texts"], knows=script["knows"], real_s=0.002)
        async with app.run_test(size=(80, 24)) as pilot:
            await press(pilot, "app.bench")
            await wait_until(pilot, lambda: isinstance(app.screen, BenchScreen))
            screen = app.screen
            for name, value in {"limit": "30", "samples": "2", "budgets": "4,10"}.items():
                screen.query_one(f"#{name}", Input).value = value
            screen.set_focus(None)
            await press(pilot, "bench.start")
            summary = screen.query_one(Summary)

            def shown() -> str:
                return str(summary.render())

            await wait_until(pilot, lambda: "thinking 4 " in shown() and "no limit" in shown(), "a curve")
            work = app.bench_work
            assert work is not None
            await wait_until(pilot, lambda: work.ended, "the run ends")
            assert len(screen.query_one(SampleGrid)._rows) == 30
            assert work.run_state.snapshot.done == 60
            assert sum(work.run_state.snapshot.evals[0].budgets[10].values()) == 30
            await press(pilot, "app.results")
            await wait_until(pilot, lambda: isinstance(app.screen, ResultsScreen))
            await wait_until(pilot, lambda: app.screen.query_one("#run-table").rows)  # type: ignore[attr-defined]
            await pilot.press("enter")
            text = app.screen.query_one(SampleView).query_one(LiveText)
            await wait_until(pilot, lambda: "└ at 10 thinking tokens" in text.text)
            assert "└ at 4 thinking tokens" in text.text

    asyncio.run(scenario())
    with Store() as store:
        (run,) = store.runs()
        assert run.manifest["plan"]["evals"][0]["budgets"] == [4, 10]


@pytest.mark.slow
def test_what_is_no_list_of_budgets_is_said_and_begins_nothing(scripted: Callable[..., LocalrlApp]) -> None:
    async def scenario() -> None:
        app = scripted("7")
        async with app.run_test(size=(80, 24)) as pilot:
            await press(pilot, "app.bench")
            await wait_until(pilot, lambda: isinstance(app.screen, BenchScreen))
            app.screen.query_one("#budgets", Input).value = "many"
            app.screen.set_focus(None)
            await press(pilot, "bench.start")
            await wait_until(
                pilot, lambda: any("no thinking budgets" in n.message for n in app._notifications)
            )

    asyncio.run(scenario())
    with Store() as store:
        assert store.runs() == []


def test_the_curve_takes_as_many_lines_as_it_needs_and_none_is_too_wide() -> None:
    points: list[tuple[int | None, float | None]] = [(2**i, i / 14) for i in range(7, 15)]
    points += [(None, 1.0)]
    for width in (40, 76, 126):
        lines = curve.lines(points, width)
        assert all(line.cell_length <= width + curve.GAP for line in lines)
    assert len(curve.lines(points, 126)) == 1
    text = "\n".join(str(line) for line in curve.lines(points, 76))
    for words in ("128 ▅ 50.0", "1k ▆ 71.4", "16k █ 100.0", "no limit █ 100.0"):
        assert words in text
    assert "512   –" in str(curve.lines([(512, None)], 76)[0])
