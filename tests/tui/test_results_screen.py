from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

import pytest
from textual.widgets import ContentSwitcher, Input

from localrl.store.runs import Store
from localrl.tui.screens.results import ResultsScreen
from localrl.tui.widgets.livetext import LiveText
from localrl.tui.widgets.results.comparison import ComparisonView
from localrl.tui.widgets.results.sample import SampleView
from localrl.tui.widgets.table import VirtualTable
from tests.tui.made import stored_run
from tests.tui.pressing import press
from tests.tui.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from textual.pilot import Pilot

    from localrl.tui.app import LocalrlApp

pytestmark = pytest.mark.slow


async def opened(app: LocalrlApp, pilot: Pilot[None], runs: int) -> ResultsScreen:
    await pilot.press("f5")
    await wait_until(pilot, lambda: isinstance(app.screen, ResultsScreen))
    screen = cast("ResultsScreen", app.screen)
    await wait_until(pilot, lambda: len(screen.query_one("#run-table", VirtualTable).rows) == runs)
    return screen


def test_a_run_opens_into_its_samples_and_a_sample_into_its_verdict(
    scripted: Callable[..., LocalrlApp], tmp_path: Path
) -> None:
    stored_run(tmp_path)

    async def scenario() -> None:
        app = scripted()
        async with app.run_test(size=(80, 24)) as pilot:
            screen = await opened(app, pilot, 1)
            await pilot.press("enter")
            table = screen.query_one("#sample-table", VirtualTable)
            await wait_until(pilot, lambda: len(table.rows) == 48)
            view = screen.query_one(SampleView)
            await wait_until(pilot, lambda: view.detail is not None)
            shown = view.query_one(LiveText)
            assert "0 + 1?" in shown.text
            assert "The answer is 1." in shown.text
            assert "compared" in shown.text
            await press(pilot, "results.next")
            await pilot.press("down")
            await wait_until(pilot, lambda: view.detail is not None and view.detail.index == 2)
            await press(pilot, "results.previous")
            await wait_until(pilot, lambda: view.detail is not None and view.detail.index == 1)
            await press(pilot, "results.copy")
            assert "0 + 1?" in app.clipboard
            await press(pilot, "results.outcome")
            await wait_until(pilot, lambda: 0 < len(table.rows) < 48)
            assert {row.outcome for row in table.rows} == {"correct"}
            await press(pilot, "results.filter")
            await pilot.press(*"00011")
            await wait_until(pilot, lambda: {row.problem for row in table.rows} == {"sum-00011"})
            await pilot.press("9")
            await wait_until(pilot, lambda: not table.rows)
            assert not view.visible, "no sample is shown where none is found"
            await pilot.press("backspace")
            await wait_until(pilot, lambda: table.rows and view.visible)
            await press(pilot, "app.leave")
            assert screen.query_one("#filter", Input).value == ""
            await press(pilot, "app.leave")
            assert screen.query_one(ContentSwitcher).current == "runs"

    asyncio.run(scenario())


def test_marked_runs_are_compared_on_shared_problems(
    scripted: Callable[..., LocalrlApp], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    stored_run(tmp_path, "first")
    stored_run(tmp_path, "second", shift=1)

    async def scenario() -> None:
        app = scripted()
        async with app.run_test(size=(120, 40)) as pilot:
            screen = await opened(app, pilot, 2)
            await press(pilot, "results.compare")
            assert screen.query_one(ContentSwitcher).current == "runs", "nothing is marked yet"
            for _ in range(3):  # marked, and not, and marked again
                await press(pilot, "results.mark")
            await pilot.press("down")
            await press(pilot, "results.mark")
            await press(pilot, "results.compare")
            await wait_until(pilot, lambda: screen.query_one(ContentSwitcher).current == "compare")
            words = str(screen.query_one(ComparisonView).render())
            assert "12 shared problems" in words
            assert "decode tok/s" in words
            await press(pilot, "results.report")
            await wait_until(pilot, lambda: list(tmp_path.glob("localrl-*.html")))

    asyncio.run(scenario())


def test_an_unfinished_run_goes_on_from_here_and_a_run_is_deleted_by_two_presses(
    scripted: Callable[..., LocalrlApp], tmp_path: Path
) -> None:
    stored_run(tmp_path, "left", problems=3, k=1, status="partial")

    async def scenario() -> None:
        app = scripted("7")
        async with app.run_test(size=(80, 24)) as pilot:
            screen = await opened(app, pilot, 1)
            await press(pilot, "results.go_on")
            await wait_until(pilot, lambda: app.bench_work and app.bench_work.ended)
            assert app.bench_work
            assert (app.current_mode, app.bench_work.state) == ("bench", "complete")
            await press(pilot, "app.results")
            await wait_until(pilot, lambda: [line.status for line in screen._lines] == ["complete"])
            screen.query_one("#run-table").focus()
            await press(pilot, "results.remove")
            assert len(screen._lines) == 1
            await press(pilot, "results.remove")
            await wait_until(pilot, lambda: not screen._lines)

    asyncio.run(scenario())
    with Store() as store:
        assert store.runs() == []


def test_long_thinking_is_folded_until_it_is_asked_for(
    scripted: Callable[..., LocalrlApp], tmp_path: Path
) -> None:
    stored_run(tmp_path, problems=1, k=1, thinking="At first " + "and then " * 200)

    async def scenario() -> None:
        app = scripted()
        async with app.run_test(size=(80, 24)) as pilot:
            screen = await opened(app, pilot, 1)
            await pilot.press("enter")
            shown = screen.query_one(SampleView).query_one(LiveText)
            await wait_until(pilot, lambda: "and then" in shown.text)
            assert "At first" not in shown.text
            await press(pilot, "results.thinking")
            await wait_until(pilot, lambda: "At first" in shown.text)
            await press(pilot, "results.thinking")
            await wait_until(pilot, lambda: "At first" not in shown.text)

    asyncio.run(scenario())


def test_on_a_narrow_screen_plots_take_turns_with_the_report(
    scripted: Callable[..., LocalrlApp], tmp_path: Path
) -> None:
    stored_run(tmp_path)

    async def scenario() -> None:
        app = scripted()
        async with app.run_test(size=(80, 24)) as pilot:
            screen = await opened(app, pilot, 1)
            plots, report = screen.query_one("#plots"), screen.query_one("#report-pane")
            await wait_until(pilot, lambda: report.region and not plots.region)
            await press(pilot, "results.plots")
            await wait_until(pilot, lambda: plots.region and not report.region)
            await press(pilot, "results.plots")
            await wait_until(pilot, lambda: report.region and not plots.region)

    asyncio.run(scenario())


def test_a_click_chooses_a_run_and_a_second_one_opens_it(
    scripted: Callable[..., LocalrlApp], tmp_path: Path
) -> None:
    stored_run(tmp_path, "first")
    stored_run(tmp_path, "second")

    async def scenario() -> None:
        app = scripted()
        async with app.run_test(size=(80, 24)) as pilot:
            screen = await opened(app, pilot, 2)
            table = screen.query_one("#run-table", VirtualTable)
            await pilot.click(table, offset=(10, 2))
            await wait_until(pilot, lambda: table.cursor == 1)
            chosen = table.current.label
            await pilot.click(table, offset=(10, 2))
            await wait_until(pilot, lambda: screen.query_one(ContentSwitcher).current == "samples")
            assert chosen in str(screen.query_one("#list").border_title)

    asyncio.run(scenario())


def test_a_press_from_before_the_cursor_moved_deletes_no_run(
    scripted: Callable[..., LocalrlApp], tmp_path: Path
) -> None:
    for name in ("one", "two"):
        stored_run(tmp_path, name=name)

    async def scenario() -> None:
        app = scripted()
        async with app.run_test(size=(80, 24)) as pilot:
            screen = await opened(app, pilot, 2)
            await press(pilot, "results.remove")
            await wait_until(pilot, lambda: screen._sure)
            await pilot.press("down", "up")
            await wait_until(pilot, lambda: not screen._sure)
            await press(pilot, "results.remove")
            await wait_until(pilot, lambda: screen._sure)

    asyncio.run(scenario())
    with Store() as store:
        assert len(store.runs()) == 2
