"""Each key of a run at work and of the form, and the mouse in their place."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from textual.widgets import Button, Input, OptionList, Static

from localrl.store.runs import Store
from localrl.tui.widgets.bench.evals import EvalList
from localrl.tui.widgets.bench.grid import LABEL, SampleGrid
from localrl.tui.widgets.bench.stream import StreamView
from localrl.tui.widgets.bench.summary import Summary
from tests.tui.made import stored_run
from tests.tui.pressing import press
from tests.tui.test_bench_screen import opened
from tests.tui.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from textual.pilot import Pilot

    from localrl.tui.app import LocalrlApp
    from localrl.tui.work.bench import BenchWork

pytestmark = pytest.mark.slow

LONG = " ".join(f"word{i}" for i in range(20_000))
"""No sample that says this ends before the test does."""


@asynccontextmanager
async def at_work(app: LocalrlApp, pilot: Pilot[None]) -> AsyncIterator[BenchWork]:
    """A run in which four streams stay at work, one of them shown."""
    await opened(app, pilot)
    for name, value in (("limit", "2"), ("samples", "2"), ("max_tokens", "15000")):
        app.screen.query_one(f"#{name}", Input).value = value
    app.screen.set_focus(None)
    await press(pilot, "bench.start")
    await wait_until(pilot, lambda: app.bench_work, "it begins")
    work = app.bench_work
    assert work
    try:
        await wait_until(pilot, lambda: len(work.run_state.running()) == 4)
        view = app.screen.query_one(StreamView)
        await wait_until(pilot, lambda: view.stream and view.stream.fragments, "a stream is shown")
        # From here on nothing moves under the mouse.
        await wait_until(pilot, lambda: app.screen.query_one(Summary).size.height > 1, "figures are drawn")
        yield work
    finally:
        work.stop()
        await wait_until(pilot, lambda: work.ended)


def test_streams_are_stepped_through_forwards_and_backwards_and_around(
    scripted: Callable[..., LocalrlApp],
) -> None:
    async def scenario() -> None:
        app = scripted(LONG, real_s=0.01)
        async with app.run_test(size=(80, 24)) as pilot, at_work(app, pilot) as work:
            view, running = app.screen.query_one(StreamView), work.run_state.running()
            await wait_until(pilot, lambda: view.stream is running[0])
            await press(pilot, "bench.next_stream")
            await wait_until(pilot, lambda: view.stream is running[1])
            await press(pilot, "bench.previous_stream")
            await press(pilot, "bench.previous_stream")
            await wait_until(pilot, lambda: view.stream is running[3])
            await press(pilot, "bench.next_stream")
            await wait_until(pilot, lambda: view.stream is running[0])

    asyncio.run(scenario())


def test_a_stream_that_was_chosen_stays_in_view_when_it_ends_until_the_person_follows_again(
    scripted: Callable[..., LocalrlApp],
) -> None:
    async def scenario() -> None:
        app = scripted(LONG, real_s=0.01)
        async with app.run_test(size=(80, 24)) as pilot, at_work(app, pilot) as work:
            view, running = app.screen.query_one(StreamView), work.run_state.running()
            await press(pilot, "bench.next_stream")
            running[1].outcome = "correct"
            said = view.query_one("#stream-state", Static)
            await wait_until(pilot, lambda: "correct" in str(said.render()), "its end is shown")
            await wait_until(pilot, lambda: view.stream is running[1])
            await press(pilot, "bench.follow")
            await wait_until(pilot, lambda: view.stream is running[0])

    asyncio.run(scenario())


def test_the_sample_under_the_cursor_or_under_a_click_is_watched(scripted: Callable[..., LocalrlApp]) -> None:
    async def scenario() -> None:
        app = scripted(LONG, real_s=0.01)
        async with app.run_test(size=(80, 24)) as pilot, at_work(app, pilot):
            view, grid = app.screen.query_one(StreamView), app.screen.query_one(SampleGrid)
            await wait_until(pilot, lambda: app.focused is grid)
            await pilot.press("end")
            last = grid.key_at_cursor()
            await press(pilot, "bench.watch")
            await wait_until(pilot, lambda: view.stream and view.stream.key == last)
            for _ in range(20):  # on a slow machine the layout may move once more under the mouse
                await pilot.click(grid, offset=(LABEL, 0))  # the first cell, right of its label
                if grid.key_at_cursor() != last:
                    break
            first = grid.key_at_cursor()
            assert first != last
            await wait_until(pilot, lambda: view.stream and view.stream.key == first)

    asyncio.run(scenario())


def test_a_wide_stream_takes_the_place_of_the_cells_and_gives_it_back(
    scripted: Callable[..., LocalrlApp],
) -> None:
    async def scenario() -> None:
        app = scripted(LONG, real_s=0.01)
        async with app.run_test(size=(120, 40)) as pilot, at_work(app, pilot):
            view, cells = app.screen.query_one(StreamView), app.screen.query_one("#cells")
            await wait_until(pilot, lambda: 0 < view.size.width < 70)
            await press(pilot, "bench.wide")
            await wait_until(pilot, lambda: view.size.width > 100 and not cells.region)
            await press(pilot, "bench.wide")
            await wait_until(pilot, lambda: view.size.width < 70 and cells.region)

    asyncio.run(scenario())


def test_the_newest_unfinished_run_goes_on_by_a_key_and_leads_to_its_results(
    scripted: Callable[..., LocalrlApp], tmp_path: Path
) -> None:
    stored_run(tmp_path, "older", problems=2, k=1, status="partial")
    newer = stored_run(tmp_path, "newer", problems=2, k=1, status="partial")

    async def scenario() -> None:
        app = scripted("7")
        async with app.run_test(size=(80, 24)) as pilot:
            await opened(app, pilot)
            listed = app.screen.query_one("#unfinished", OptionList)
            await wait_until(pilot, lambda: listed.option_count == 2)
            app.screen.set_focus(None)
            await press(pilot, "bench.go_on")
            await wait_until(pilot, lambda: app.bench_work and app.bench_work.ended)
            assert app.bench_work
            assert app.bench_work.state == "complete"
            assert app.bench_work.label == "newer"
            await press(pilot, "bench.results")
            await wait_until(pilot, lambda: app.current_mode == "results")

    asyncio.run(scenario())
    with Store() as store:
        assert {run.name: run.status for run in store.runs()} == {"older": "partial", "newer": "complete"}
        assert store.find(newer.id).status == "complete"


def test_evals_an_unfinished_run_and_the_start_are_reached_by_the_mouse(
    scripted: Callable[..., LocalrlApp], tmp_path: Path
) -> None:
    stored_run(tmp_path, "left", problems=2, k=1, status="partial")

    async def scenario() -> None:
        app = scripted("7")
        async with app.run_test(size=(80, 24)) as pilot:
            await opened(app, pilot)
            evals = app.screen.query_one(EvalList)
            before = list(evals.selected)
            await pilot.click(evals, offset=(4, 1))
            await wait_until(pilot, lambda: evals.selected != before)
            await pilot.click(evals, offset=(4, 1))
            await wait_until(pilot, lambda: sorted(evals.selected) == sorted(before))
            app.screen.query_one("#limit", Input).value = "2"
            await pilot.click(app.screen.query_one("#begin", Button))
            await wait_until(pilot, lambda: app.bench_work and app.bench_work.ended)
            first = app.bench_work
            app.screen.set_focus(None)
            await press(pilot, "bench.start")
            listed = app.screen.query_one("#unfinished", OptionList)
            await wait_until(pilot, lambda: listed.region and listed.option_count == 1)
            listed.scroll_visible(animate=False)
            await pilot.pause()
            await pilot.click(listed, offset=(4, 1))
            await wait_until(pilot, lambda: app.bench_work is not first)
            second = app.bench_work
            assert second
            await wait_until(pilot, lambda: second.ended)
            assert second.label == "left"

    asyncio.run(scenario())
