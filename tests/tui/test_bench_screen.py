from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING

import pytest
from textual.widgets import Input, OptionList, Static
from textual.widgets._footer import FooterKey

from localrl.store.runs import Store
from localrl.tui.screens.bench import BenchScreen
from localrl.tui.symbols import RUNNING_CODE
from localrl.tui.widgets.bench.grid import SampleGrid
from localrl.tui.widgets.bench.stream import StreamView
from localrl.tui.widgets.table import VirtualTable
from tests.other_process import at_work
from tests.tui.pressing import press
from tests.tui.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from textual.pilot import Pilot

    from localrl.tui.app import LocalrlApp
    from localrl.tui.work.bench import BenchWork

pytestmark = pytest.mark.slow


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
            await press(pilot, "bench.start")
            await wait_until(pilot, lambda: app.bench_work and app.bench_work.ended, "the run ends")
            assert app.bench_work
            assert app.bench_work.state == "complete"
            assert app.bench_work.run_state.snapshot.done == 12
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
            await press(pilot, "bench.start")
            await wait_until(pilot, lambda: app.bench_work and app.bench_work.run_state.snapshot.done >= 8)
            work = app.bench_work
            assert work
            await press(pilot, "bench.pause")
            assert _state(work) == "paused"
            await wait_until(pilot, lambda: "Resume" in _footer(app), "the key says what it does now")
            assert "Pause" not in _footer(app)
            status = app.screen.query_one("#status", Static)
            await wait_until(pilot, lambda: str(status.render()).startswith("paused"))
            assert "tok/s" not in str(status.render()), "a run that stands still has no speed"
            stream = app.screen.query_one(StreamView)
            assert stream.stream is not None
            await press(pilot, "bench.pause")
            assert _state(work) == "running"
            await wait_until(pilot, lambda: "Pause" in _footer(app))
            await press(pilot, "bench.stop")
            await wait_until(pilot, lambda: work.ended, "it stops")
            assert _state(work) == "partial"
            assert not any(RUNNING_CODE in row.cells for row in work.run_state.rows)
            cut = [one for one in work.run_state.streams.values() if one.cut]
            assert cut, "streams were running when it stopped"
            stream.show(cut[0])  # the one on the screen may have ended before
            assert "to be done again" in str(_stream_state(app).render())
            done = work.run_state.snapshot.done
            assert 8 <= done < 300
            assert work.stored
            await app.resume_run(work.stored.id)
            again = app.bench_work
            assert again is not None
            assert again is not work
            await wait_until(pilot, lambda: again.run_state.snapshot.done > done, "it goes on")
            again.stop()
            await wait_until(pilot, lambda: again.ended)
            assert done < again.run_state.snapshot.done < 300

    asyncio.run(scenario())


def _footer(app: LocalrlApp) -> list[str]:
    return [key.description for key in app.screen.query(FooterKey)]


@pytest.mark.parametrize(
    ("field", "text", "said"),
    [
        ("samples", "-", "samples each: '-' is not a number"),
        ("temperature", "1e", "temperature: '1e' is not a number"),
        ("limit", "0", "first problems: 0 is not from 1 to 100,000,000"),
        ("temperature", "11", "temperature: 11 is not from 0 to 10"),
    ],
)
def test_a_number_that_cannot_be_is_said_in_words_and_begins_nothing(
    scripted: Callable[..., LocalrlApp], field: str, text: str, said: str
) -> None:
    async def scenario() -> None:
        app = scripted()
        told: list[str] = []
        app.tell_error = lambda error, what: told.append(str(error))  # type: ignore[method-assign]
        async with app.run_test(size=(80, 24)) as pilot:
            await opened(app, pilot)
            app.screen.query_one(f"#{field}", Input).value = text
            estimate = app.screen.query_one("#estimate", Static)
            await wait_until(pilot, lambda: str(estimate.render()) == said)
            app.screen.set_focus(None)
            await press(pilot, "bench.start")
            await wait_until(pilot, lambda: told)
            assert told == [said]
            assert app.bench_work is None

    asyncio.run(scenario())


def test_escape_goes_back_from_the_form_to_the_run_behind_it(scripted: Callable[..., LocalrlApp]) -> None:
    async def scenario() -> None:
        app = scripted("so " * 25 + "7", real_s=0.02)
        async with app.run_test(size=(80, 24)) as pilot:
            await opened(app, pilot)
            screen = app.screen
            screen.set_focus(None)
            await press(pilot, "bench.start")
            await wait_until(pilot, lambda: screen.query_one("#at-work").display)
            await press(pilot, "bench.start")
            await wait_until(pilot, lambda: screen.query_one("#setup").display)
            screen.query_one("#limit").focus()
            await wait_until(pilot, lambda: screen.focused is screen.query_one("#limit"))
            await pilot.press("escape")
            await wait_until(pilot, lambda: screen.focused is None)
            assert screen.query_one("#setup").display
            await pilot.press("escape")
            await wait_until(pilot, lambda: screen.query_one("#at-work").display)
            work = app.bench_work
            assert work
            work.stop()
            await wait_until(pilot, lambda: work.ended)

    asyncio.run(scenario())


def test_stopping_while_the_model_loads_takes_effect_at_once(scripted: Callable[..., LocalrlApp]) -> None:
    async def scenario() -> None:
        app = scripted("7", load_s=3600.0)
        async with app.run_test(size=(80, 24)) as pilot:
            await opened(app, pilot)
            app.screen.set_focus(None)
            await press(pilot, "bench.start")
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


def test_a_run_of_another_process_is_watched_and_gone_on_with_when_that_has_died(
    scripted: Callable[..., LocalrlApp], tmp_path: Path
) -> None:
    async def scenario() -> None:
        app = scripted("7")
        async with app.run_test(size=(80, 24)) as pilot:
            await opened(app, pilot)
            listed = app.screen.query_one("#unfinished", OptionList)
            await wait_until(pilot, lambda: listed.option_count, "the run is offered")
            assert "at work" in str(listed.get_option_at_index(0).prompt)
            listed.focus()
            await pilot.press("home", "enter")
            await wait_until(pilot, lambda: app.bench_work and app.bench_work.run_state.snapshot.done)
            work = app.bench_work
            assert work
            assert _state(work) == "watching"
            seen = work.run_state.snapshot.done
            await wait_until(pilot, lambda: work.run_state.snapshot.done > seen, "it is looked at again")
            await wait_until(pilot, lambda: "another process" in str(_stream_state(app).render()))
            assert app.screen.query_one(SampleGrid)._rows
            await pilot.press("s", "p", "ctrl+c", "g")  # those are for the process that works on it
            assert app.bench_work is work
            assert process.poll() is None
            process.kill()
            await wait_until(pilot, lambda: work.ended, "its end is seen")
            assert _state(work) == "died"
            done = work.run_state.snapshot.done
            await pilot.press("g")
            await wait_until(pilot, lambda: app.bench_work is not work)
            again = app.bench_work
            assert again
            await wait_until(pilot, lambda: again.run_state.snapshot.done > done, "it goes on")
            assert not again.watching
            await pilot.press("s")
            await wait_until(pilot, lambda: again.ended)

    with at_work(tmp_path, "it is 4", problems=100_000) as process:
        asyncio.run(scenario())


def test_a_run_of_another_process_is_watched_from_the_results_to_its_end(
    scripted: Callable[..., LocalrlApp], tmp_path: Path
) -> None:
    async def scenario() -> None:
        app = scripted("7")
        async with app.run_test(size=(80, 24)) as pilot:
            await pilot.press("f5")
            await wait_until(pilot, lambda: app.current_mode == "results")
            table = app.screen.query_one("#run-table", VirtualTable)
            await wait_until(pilot, lambda: table.rows)
            await pilot.press("g")
            await wait_until(pilot, lambda: app.bench_work and app.current_mode == "bench")
            work = app.bench_work
            assert work
            assert work.watching
            await wait_until(pilot, lambda: _state(work) == "watching")
            process.send_signal(signal.SIGINT)
            await wait_until(pilot, lambda: work.ended, "its end is seen")
            assert _state(work) == "partial"
            assert work.lacks_samples

    with at_work(tmp_path, "it is 4", problems=100_000) as process:
        asyncio.run(scenario())


def _stream_state(app: LocalrlApp) -> Static:
    return app.screen.query_one("#stream-state", Static)


def _state(work: BenchWork) -> str:
    return work.state
