"""Ask and be answered on the chat screen."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from localrl.tui.screens.chat import ChatScreen
from localrl.tui.widgets.chat.prompt import PromptInput
from tests.tui.waiting import wait_until

if TYPE_CHECKING:
    from textual.pilot import Pilot

    from localrl.tui.app import LocalrlApp
    from localrl.tui.widgets.chat.message import ReplyView


async def opened(app: LocalrlApp, pilot: Pilot[None]) -> ChatScreen:
    await pilot.press("f3")
    await wait_until(
        pilot, lambda: isinstance(app.screen, ChatScreen) and isinstance(app.focused, PromptInput)
    )
    return cast("ChatScreen", app.screen)


async def ask(pilot: Pilot[None], screen: ChatScreen, text: str) -> ReplyView:
    screen.query_one(PromptInput).text = text
    before = screen._view
    await pilot.press("enter")
    await wait_until(pilot, lambda: screen._view is not None and screen._view is not before)
    assert screen._view
    return screen._view


async def answered(pilot: Pilot[None], screen: ChatScreen, text: str) -> ReplyView:
    view = await ask(pilot, screen, text)
    await wait_until(pilot, lambda: view.message is not None and screen._reply is None, "an answer")
    return view
