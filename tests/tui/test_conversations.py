from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from textual.widgets import Input, OptionList, Static

from localrl.sampling import Sampling
from localrl.store.chats import ChatMessage, Chats
from localrl.store.runs import Store
from localrl.tui.widgets.chat.conversation import FEW, MOST, ConversationView, Earlier
from localrl.tui.widgets.chat.message import ReplyView, UserMessage
from localrl.tui.widgets.chat.panel import Panel
from localrl.tui.widgets.chat.prompt import PromptInput
from tests.tui.chatting import answered, ask, opened
from tests.tui.pressing import press
from tests.tui.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from localrl.tui.app import LocalrlApp

pytestmark = pytest.mark.slow


def test_a_conversation_that_is_left_while_it_is_put_up_leaves_nothing_behind(
    scripted: Callable[..., LocalrlApp], monkeypatch: pytest.MonkeyPatch
) -> None:
    composed = ReplyView._compose

    async def late(self: ReplyView) -> None:
        await asyncio.sleep(0.2)
        await composed(self)

    monkeypatch.setattr(ReplyView, "_compose", late)
    said = [ChatMessage(i, "assistant" if i % 2 else "user", f"message {i}") for i in range(40)]

    async def scenario() -> None:
        app = scripted()
        async with app.run_test(size=(80, 24)) as pilot:
            screen = await opened(app, pilot)
            shown = screen.query_one(ConversationView)
            opening = asyncio.create_task(screen._open(None, said))
            await wait_until(pilot, lambda: len(shown.query(UserMessage)) > 1)
            await screen.action_new()
            await opening
            assert [type(child) for child in shown.children] == [Static]
            await screen._open(None, said)
            shown.show_earlier()
            await wait_until(pilot, lambda: len(shown.query(ReplyView)) > FEW // 2)
            await screen.action_new()
            await app.workers.wait_for_complete()
            assert [type(child) for child in shown.children] == [Static]

    asyncio.run(scenario())


def test_scrolling_up_twice_leaves_no_message_out(scripted: Callable[..., LocalrlApp]) -> None:
    said = [ChatMessage(i, "user", f"message {i}") for i in range(40)]

    async def scenario() -> None:
        app = scripted()
        async with app.run_test(size=(80, 24)) as pilot:
            screen = await opened(app, pilot)
            shown = screen.query_one(ConversationView)
            await screen._open(None, said)
            shown.show_earlier()
            await wait_until(pilot, lambda: len(shown.query(UserMessage)) > FEW + 1)
            shown.show_earlier()
            await app.workers.wait_for_complete()
            texts = [view.text for view in shown.query(UserMessage)]
            assert texts == [one.text for one in said[-len(texts) :]]

    asyncio.run(scenario())


def test_far_up_in_a_long_conversation_few_messages_are_laid_out_and_the_end_is_reached_again(
    scripted: Callable[..., LocalrlApp],
) -> None:
    said = [ChatMessage(i, "assistant" if i % 2 else "user", f"message {i}") for i in range(60)]

    async def scenario() -> None:
        app = scripted("It is 7.")
        async with app.run_test(size=(80, 24)) as pilot:
            screen = await opened(app, pilot)
            shown = screen.query_one(ConversationView)

            async def go_up() -> None:
                while shown._earlier:
                    shown.show_earlier()
                    await app.workers.wait_for_complete()

            def laid_out() -> list[str]:
                views = [view for view in shown.children if isinstance(view, (UserMessage, ReplyView))]
                return [view.text for view in views if view.display]

            await screen._open(None, said)
            await go_up()
            assert laid_out() == [f"message {i}" for i in range(MOST)]
            shown.focus()
            for _ in range(200):
                await pilot.press("pagedown")
                assert len(laid_out()) <= MOST + FEW
                if shown.is_vertical_scroll_end and laid_out()[-1] == "message 59":
                    break
            await wait_until(pilot, lambda: laid_out()[-1] == "message 59")
            assert laid_out() == [f"message {i}" for i in range(60 - len(laid_out()), 60)]
            await go_up()
            await pilot.press("end")
            await wait_until(pilot, lambda: laid_out()[-1] == "message 59" and shown.is_vertical_scroll_end)
            assert len(laid_out()) == FEW
            await go_up()
            screen.query_one(PromptInput).focus()
            view = await answered(pilot, screen, "How much?")
            assert laid_out()[-1] == view.text == "It is 7."
            assert len(laid_out()) <= MOST

    asyncio.run(scenario())


def test_conversations_are_listed_opened_exported_and_deleted(
    scripted: Callable[..., LocalrlApp], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    async def scenario() -> None:
        app = scripted("fine")
        async with app.run_test(size=(120, 40)) as pilot:
            screen = await opened(app, pilot)
            await answered(pilot, screen, "First talk")
            await press(pilot, "app.leave")
            await press(pilot, "chat.new")
            await wait_until(pilot, lambda: screen._chat is None and isinstance(app.focused, PromptInput))
            await answered(pilot, screen, "Second talk")
            listed = screen.query_one("#chats", OptionList)
            await wait_until(pilot, lambda: listed.option_count == 2)
            await press(pilot, "app.leave")
            await press(pilot, "chat.list")
            await pilot.press("end", "enter")
            await wait_until(pilot, lambda: screen._chat is not None and screen._chat.title == "First talk")
            await press(pilot, "app.leave")
            await press(pilot, "chat.list")
            await wait_until(pilot, lambda: not listed.region, "the list is closed again")
            await press(pilot, "chat.export")
            await press(pilot, "chat.remove")
            await wait_until(pilot, lambda: screen._sure is not None)
            assert listed.option_count == 2, "one press only asks"
            await press(pilot, "chat.remove")
            await wait_until(pilot, lambda: listed.option_count == 1)

    asyncio.run(scenario())
    assert "First talk" in next(Path.cwd().glob("localrl-chat-*.md")).read_text()


def test_a_long_conversation_is_shown_from_its_end_and_as_far_back_as_the_person_scrolls(
    scripted: Callable[..., LocalrlApp],
) -> None:
    with Store() as store:
        chats = Chats(store.connection)
        chat = chats.create("m", "", Sampling(), "long")
        for i in range(40):
            chats.add(chat, "user", f"Question {i}")
            chats.write(ChatMessage(chats.add(chat, "assistant"), "assistant", f"Answer {i}", finish="stop"))

    async def scenario() -> None:
        app = scripted("fine")
        async with app.run_test(size=(120, 40)) as pilot:
            screen = await opened(app, pilot)

            def asked() -> list[str]:
                return [view.text for view in screen.query(UserMessage)]

            await press(pilot, "app.leave")
            await press(pilot, "chat.list")
            await wait_until(pilot, lambda: screen.query_one("#chats", OptionList).option_count)
            await pilot.press("down", "enter")
            await wait_until(pilot, lambda: len(asked()) == FEW // 2 and isinstance(app.focused, PromptInput))
            assert asked()[-1] == "Question 39"
            assert screen.query_one(ReplyView).parent
            assert str(screen.query_one(Earlier).render()).startswith(f"▴ {80 - FEW} earlier")
            screen.query_one("#messages").focus()
            seen = [len(asked())]
            while seen[-1] < 40:
                await pilot.press("home", "pageup")
                await app.workers.wait_for_complete()
                seen += [len(asked())] if len(asked()) > seen[-1] else []
            assert seen == [*range(FEW // 2, 40, FEW // 2), 40]
            assert asked() == [f"Question {i}" for i in range(40)]
            assert not screen.query(Earlier)
            screen.query_one("#messages").scroll_end(animate=False)
            screen.query_one(PromptInput).focus()
            await answered(pilot, screen, "Last")
            await wait_until(pilot, lambda: len(asked()) <= MOST // 2)
            assert asked()[-1] == "Last"

    asyncio.run(scenario())


def test_a_growing_reply_is_followed_unless_the_person_has_scrolled_up(
    scripted: Callable[..., LocalrlApp],
) -> None:
    text = "\n\n".join(f"Paragraph {i} of a long reply." for i in range(2000))

    async def scenario() -> None:
        app = scripted(text, real_s=0.01)
        async with app.run_test(size=(80, 24)) as pilot:
            screen = await opened(app, pilot)
            screen.query_one(Panel).query_one("#max_tokens", Input).value = "100000"
            await ask(pilot, screen, "Go on.")
            shown = screen.query_one(ConversationView)
            assert shown.scroll_y == 0, "what is short begins at the top"
            await wait_until(pilot, lambda: shown.is_anchored and shown.is_vertical_scroll_end)
            shown.focus()
            await pilot.press("pageup", "pageup")
            at, height = shown.scroll_y, shown.max_scroll_y
            await wait_until(pilot, lambda: shown.max_scroll_y > height + 20)
            assert shown.scroll_y == at
            await pilot.press("end")
            await wait_until(pilot, lambda: shown.is_anchored and shown.is_vertical_scroll_end)
            await press(pilot, "chat.stop")
            await wait_until(pilot, lambda: screen._reply is None)
            assert not shown.is_anchored
            await wait_until(pilot, lambda: shown.is_vertical_scroll_end)

    asyncio.run(scenario())
