"""Names, prompts and replies that come from elsewhere are shown as they are, and obeyed by nothing."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from rich.cells import cell_len
from textual.widgets import OptionList

from localrl.sampling import Sampling
from localrl.store.chats import Chats
from localrl.store.runs import Store
from localrl.tui.widgets.bench.setup import Setup
from localrl.tui.widgets.results.sample import SampleView
from localrl.tui.widgets.table import Column, VirtualTable
from tests.tui.chatting import answered, opened
from tests.tui.made import stored_run
from tests.tui.picture import picture
from tests.tui.pressing import press
from tests.tui.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from localrl.tui.app import LocalrlApp

pytestmark = pytest.mark.slow

HOSTILE = "[/b][@click=app.quit()]\x1b[2J\x9b2J\x07\u202e"
SHOWN = "[/b][@click=app.quit()][2J2J"


def harmless(shown: str) -> bool:
    return not any(sign in shown for sign in "\x1b\x9b\x07\u202e")


def test_the_name_of_a_run_is_text_wherever_it_is_shown(
    scripted: Callable[..., LocalrlApp], tmp_path: Path
) -> None:
    stored_run(tmp_path, name=HOSTILE, status="partial")

    async def scenario() -> None:
        app = scripted()
        async with app.run_test(size=(120, 40), notifications=True) as pilot:
            await press(pilot, "app.results")
            await wait_until(pilot, lambda: app.screen.query("#run-table"))
            screen: Any = app.screen
            await wait_until(pilot, lambda: screen.query_one("#run-table", VirtualTable).rows)
            await press(pilot, "results.remove")
            await wait_until(pilot, lambda: "Press delete" in picture(pilot))
            assert harmless(picture(pilot))
            await pilot.press("enter")
            await wait_until(pilot, lambda: screen.query_one(SampleView).detail)
            await wait_until(pilot, lambda: SHOWN in picture(pilot), "the name above the samples")
            await press(pilot, "app.bench")
            await wait_until(pilot, lambda: app.screen.query(Setup) and app.screen.query_one(Setup).left)
            await wait_until(pilot, lambda: SHOWN in picture(pilot), "the unfinished run")
            assert harmless(picture(pilot))

    asyncio.run(scenario())


def test_what_is_said_and_what_a_conversation_is_called_is_text(
    scripted: Callable[..., LocalrlApp],
) -> None:
    with Store() as store:
        chats = Chats(store.connection)
        chats.add(chats.create("m", HOSTILE, Sampling(), HOSTILE), "user", HOSTILE)

    async def scenario() -> None:
        app = scripted(f"It is {HOSTILE}.")
        async with app.run_test(size=(120, 40)) as pilot:
            screen = await opened(app, pilot)
            await press(pilot, "app.leave")
            await press(pilot, "chat.list")
            listed = screen.query_one("#chats", OptionList)
            await wait_until(pilot, lambda: listed.option_count)
            await pilot.press("down", "enter")
            await answered(pilot, screen, HOSTILE)
            await wait_until(pilot, lambda: f"It is {SHOWN}" in picture(pilot), "the answer")
            assert harmless(picture(pilot))

    asyncio.run(scenario())


def test_cells_with_wide_characters_keep_the_columns_of_a_table(
    scripted: Callable[..., LocalrlApp],
) -> None:
    async def scenario() -> None:
        app = scripted()
        async with app.run_test(size=(40, 10)) as pilot:
            columns = (Column("a", 5), Column("b", 6, right=True), Column("c", 0))
            table = VirtualTable(columns, lambda row: [(row, ""), (row, ""), ("|", "")])
            await app.screen.mount(table)
            table.show(["漢字", "漢字漢字漢字", "x"])
            await pilot.pause()
            lines = [table.render_line(y).text for y in (1, 2, 3)]
            assert [cell_len(line[: line.index("|")]) for line in lines] == [15, 15, 15]
            assert lines[1].startswith("漢字…")

    asyncio.run(scenario())
