"""Text that grows is on the screen as it is: nothing of what it was before, and its end in sight."""

from __future__ import annotations

import asyncio

from textual.app import App, ComposeResult

from localrl.tui.widgets.livetext import LiveText
from tests.tui.waiting import wait_until


class Page(App[None]):
    def compose(self) -> ComposeResult:
        yield LiveText()


def shown(app: Page) -> list[str]:
    """The lines on the screen that are not empty, without the scrollbar's column."""
    lines = [strip.text[: app.size.width - 2].rstrip() for strip in app.screen._compositor.render_strips()]
    return [line for line in lines if line]


def test_the_end_of_the_text_is_in_sight_and_after_clearing_only_what_is_new() -> None:
    async def scenario() -> None:
        app = Page()
        async with app.run_test(size=(40, 10)) as pilot:
            text = app.query_one(LiveText)
            for i in range(6):
                text.append([(False, f"line {i}\n")])
            await wait_until(pilot, lambda: shown(app) == [f"line {i}" for i in range(6)])
            for i in range(6, 40):
                text.append([(False, f"line {i}\n")])
            await wait_until(pilot, lambda: shown(app) == [f"line {i}" for i in range(31, 40)])
            text.append([(False, "and"), (False, " more")])
            await wait_until(pilot, lambda: shown(app)[-1] == "and more")
            text.clear()
            text.append([(False, "anew")])
            await wait_until(pilot, lambda: shown(app) == ["anew"])

    asyncio.run(scenario())


def test_it_follows_until_the_person_scrolls_up_and_again_at_the_end() -> None:
    async def scenario() -> None:
        app = Page()
        async with app.run_test(size=(40, 10)) as pilot:
            text = app.query_one(LiveText)
            text.append([(False, f"line {i}\n") for i in range(40)])
            await wait_until(pilot, lambda: "line 39" in shown(app))
            text.scroll_home(animate=False)
            await wait_until(pilot, lambda: shown(app)[0] == "line 0")
            text.append([(False, "unseen\n")])
            await pilot.pause()
            assert shown(app)[0] == "line 0"
            text.scroll_end(animate=False)
            await wait_until(pilot, lambda: "unseen" in shown(app))
            text.append([(False, "seen\n")])
            await wait_until(pilot, lambda: "seen" in shown(app))

    asyncio.run(scenario())


def test_the_end_is_scrolled_to_before_the_scrollbar_is_laid_out() -> None:
    async def scenario() -> None:
        app = Page()
        async with app.run_test(size=(40, 10)):
            text = app.query_one(LiveText)
            text.append([(False, f"line {i}\n") for i in range(40)])
            assert not text.show_vertical_scrollbar
            text._to_end()  # as it is called where the next refresh comes before the layout
            assert text.scroll_y == text.max_scroll_y > 0

    asyncio.run(scenario())
