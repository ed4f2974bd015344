from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from textual.widgets import Input

from localrl.store.runs import Store
from localrl.tui.screens.bench import BenchScreen
from localrl.tui.widgets.bench.grid import SampleGrid
from localrl.tui.widgets.bench.stream import StreamView
from tests.tui.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from textual.pilot import Pilot

    from localrl.tui.app import LocalrlApp
    from localrl.tui.work.bench import BenchWork


async def opened(app: LocalrlApp, pilot: Pilot[None]) -> None:
    await pilot.press("f4")
    await wait_until(pilot, lambda: isinstance(app.screen, BenchScreen))


def test_a_run_begun_from_the_form_is_worked_on_to_its_end_and_stored(
    scripted: Callable[..., LocalrlApp],
) -> None:
    async def scenario() -> None:
        app = scripted("7", "12")
        async with app.run_test(size=(80, 24)) as pilot:
            await opened(app, pilot)
            screen = app.screen
            screen.query_one("#limit", Input).value = "6"
            screen.query_one("#samples", Input).value = "2"
            screen.set_focus(None)
            await pilot.press("n")
            await wait_until(pilot, lambda: app.bench_work and app.bench_work.ended, "the run ends")
            assert app.bench_work
            assert app.bench_work.state == "complete"
            assert app.bench_work.board.view.done == 12
            assert len(screen.query_one(SampleGrid)._rows) == 6

    asyncio.run(scenario())
    with Store() as store:
        assert [run.status for run in store.runs()] == ["complete"]


def test_a_paused_run_stands_still_and_a_stopped_one_keeps_everything_and_goes_on(
    scripted: Callable[..., LocalrlApp],
) -> None:
    async def scenario() -> None:
        app = scripted("so " * 25 + "7", real_s=0.02)
        async with app.run_test(size=(120, 40)) as pilot:
            await opened(app, pilot)
            await pilot.press("n")
            await wait_until(pilot, lambda: app.bench_work and app.bench_work.board.view.done >= 8)
            work = app.bench_work
            assert work
            await pilot.press("p")
            assert _state(work) == "paused"
            stream = app.screen.query_one(StreamView)
            assert stream.stream is not None
            await pilot.press("p")
            assert _state(work) == "running"
            await pilot.press("right_square_bracket", "w", "f", "s")
            await wait_until(pilot, lambda: work.ended, "it stops")
            assert _state(work) == "partial"
            done = work.board.view.done
            assert 8 <= done < 300
            assert work.stored
            app.resume_run(work.stored.id)
            again = app.bench_work
            assert again is not None
            assert again is not work
            await wait_until(pilot, lambda: again.board.view.done > done, "it goes on")
            again.stop()
            await wait_until(pilot, lambda: again.ended)
            assert done < again.board.view.done < 300

    asyncio.run(scenario())


def test_stopping_while_the_model_loads_takes_effect_at_once(scripted: Callable[..., LocalrlApp]) -> None:
    async def scenario() -> None:
        app = scripted("7", load_s=3600.0)
        async with app.run_test(size=(80, 24)) as pilot:
            await opened(app, pilot)
            app.screen.set_focus(None)
            await pilot.press("n")
            await wait_until(pilot, lambda: app.bench_work and app.screen.query_one("#at-work").display)
            work = app.bench_work
            assert work
            assert _state(work) == "loading"
            await pilot.press("s")
            await wait_until(pilot, lambda: work.ended, "the loading ends")
            assert _state(work) == "dropped"

    asyncio.run(scenario())
    with Store() as store:
        assert store.runs() == []


def _state(work: BenchWork) -> str:
    return work.state
