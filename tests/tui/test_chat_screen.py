from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from textual.widgets import Input, Markdown, Static

from localrl.errors import StoreError
from localrl.store.chats import Chats
from localrl.store.runs import Store
from localrl.tui.widgets.chat.conversation import ConversationView
from localrl.tui.widgets.chat.message import ReplyView, UserMessage, settled
from localrl.tui.widgets.chat.panel import Panel
from localrl.tui.widgets.chat.prompt import PromptInput
from localrl.tui.widgets.chat.thinking import Thinking
from tests.tui.chatting import answered, ask, opened
from tests.tui.pressing import press
from tests.tui.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from localrl.tui.app import LocalrlApp

pytestmark = pytest.mark.slow

ANSWER = "<think>let me see\nagain</think>It is **7**.\n\n```python\nprint(7)\n```\n\nDone."


def test_a_reply_streams_as_markdown_with_its_thinking_folded(scripted: Callable[..., LocalrlApp]) -> None:
    async def scenario() -> None:
        app = scripted(ANSWER)
        async with app.run_test(size=(80, 24)) as pilot:
            screen = await opened(app, pilot)
            view = await answered(pilot, screen, "How much?")
            assert view.query_one(Markdown).source.strip() == ANSWER.partition("</think>")[2]
            thinking = view.query_one(Thinking)
            assert not thinking.open
            await press(pilot, "app.leave")
            await press(pilot, "chat.thinking")
            await wait_until(pilot, lambda: thinking.open)
            await pilot.click(thinking.query_one(Static))
            await wait_until(pilot, lambda: not thinking.open)
            assert "tok/s" in str(view.query_one(".metrics").render())
            await press(pilot, "chat.copy")
            assert app.clipboard.startswith("It is **7**")
            await press(pilot, "chat.copy_code")
            assert app.clipboard == "print(7)\n"

    asyncio.run(scenario())
    with Store() as store:
        chats = Chats(store.connection)
        kept = chats.messages(chats.all()[0])
    assert [said.role for said in kept] == ["user", "assistant"]
    assert kept[1].thinking.startswith("let me see")


def test_stopping_while_the_model_loads_takes_effect_at_once_and_so_does_leaving(
    scripted: Callable[..., LocalrlApp],
) -> None:
    async def scenario() -> None:
        app = scripted("7", load_s=3600.0)
        async with app.run_test(size=(80, 24)) as pilot:
            screen = await opened(app, pilot)
            view = await ask(pilot, screen, "How much?")
            await pilot.press("ctrl+c")
            await wait_until(pilot, lambda: screen._reply is None, "the loading ends")
            assert view.text == ""
            await ask(pilot, screen, "And now?")
            await pilot.press("ctrl+q")

    asyncio.run(scenario())  # which waits for every thread
    with Store() as store:
        chats = Chats(store.connection)
        assert [said.text for said in chats.messages(chats.all()[0])] == ["How much?", "And now?"]


def test_each_key_that_stops_a_reply_does_so_at_once_and_keeps_the_partial(
    scripted: Callable[..., LocalrlApp],
) -> None:
    async def scenario() -> None:
        app = scripted(" ".join(f"word{i}" for i in range(9000)), real_s=0.01)
        async with app.run_test(size=(80, 24)) as pilot:
            screen = await opened(app, pilot)
            screen.query_one("#max_tokens", Input).value = "9000"

            async def stopped(question: str, stop: Callable[[], Awaitable[None]]) -> None:
                view = await ask(pilot, screen, question)
                await wait_until(pilot, lambda: "word" in view.text)
                await stop()
                await wait_until(pilot, lambda: view.message is not None and screen._reply is None)
                assert view.message
                assert view.message.finish == "cancelled"
                assert view.message.text.startswith("word")

            async def by_its_own_key() -> None:
                screen.query_one("#messages").focus()
                await wait_until(pilot, lambda: not isinstance(app.focused, PromptInput))
                await press(pilot, "chat.stop")

            await stopped("Go on", lambda: press(pilot, "app.stop"))
            await stopped("And on", lambda: press(pilot, "app.leave"))
            await stopped("And further", by_its_own_key)
            assert app.is_running

    asyncio.run(scenario())


def test_editing_resends_and_regenerating_takes_the_place_of_the_reply(
    scripted: Callable[..., LocalrlApp],
) -> None:
    async def scenario() -> None:
        app = scripted("one", "two", "three")
        async with app.run_test(size=(80, 24)) as pilot:
            screen = await opened(app, pilot)
            await answered(pilot, screen, "First")
            await pilot.press("up")
            assert screen.query_one(PromptInput).text == "First"
            await wait_until(pilot, lambda: not screen.query(UserMessage))
            await answered(pilot, screen, "Better")
            await press(pilot, "app.leave")
            await press(pilot, "chat.edit")
            await wait_until(pilot, lambda: screen.query_one(PromptInput).text == "Better")
            await wait_until(pilot, lambda: not screen.query(UserMessage) and app.focused)
            await answered(pilot, screen, "Best")
            await press(pilot, "app.leave")
            await press(pilot, "chat.again")
            await wait_until(
                pilot, lambda: screen._reply is None and len(screen._messages) == 2 and not screen.work.busy
            )
            assert [view.text for view in screen.query(UserMessage)] == ["Best"]

    asyncio.run(scenario())
    with Store() as store:
        chats = Chats(store.connection)
        assert next(said.text for said in chats.messages(chats.all()[0])) == "Best"
        assert store.connection.execute("SELECT COUNT(*) FROM messages").fetchone() == (7,)


def test_escape_twice_leaves_the_message_that_was_to_be_edited_as_it_was(
    scripted: Callable[..., LocalrlApp],
) -> None:
    async def scenario() -> None:
        app = scripted("one")
        async with app.run_test(size=(80, 24)) as pilot:
            screen = await opened(app, pilot)
            await answered(pilot, screen, "First")
            await pilot.press("up")
            await wait_until(pilot, lambda: not screen.query(UserMessage))
            await press(pilot, "app.leave")
            await press(pilot, "app.leave")
            await wait_until(pilot, lambda: [view.text for view in screen.query(UserMessage)] == ["First"])
            assert [view.text for view in screen.query(ReplyView)] == ["one"]
            await wait_until(pilot, lambda: isinstance(app.focused, PromptInput))
            await answered(pilot, screen, "Second")

    asyncio.run(scenario())
    with Store() as store:
        chats = Chats(store.connection)
        said = [one.text for one in chats.messages(chats.all()[0])]
    assert said == ["First", "one", "Second", "one"]


def test_another_reply_is_not_begun_with_sampling_that_cannot_be(scripted: Callable[..., LocalrlApp]) -> None:
    async def scenario() -> None:
        app = scripted("one")
        told: list[str] = []
        app.tell_error = lambda error, what: told.append(str(error))  # type: ignore[method-assign]
        async with app.run_test(size=(120, 40)) as pilot:
            screen = await opened(app, pilot)
            first = await answered(pilot, screen, "First")
            await press(pilot, "app.leave")
            screen.query_one("#temperature", Input).value = "-"
            await press(pilot, "chat.again")
            await wait_until(pilot, lambda: told)
            assert told == ["temperature: '-' is not a number"]
            assert list(screen.query(ReplyView)) == [first]
            screen.query_one("#temperature", Input).value = ""
            await press(pilot, "chat.again")
            await wait_until(pilot, lambda: first not in screen.query(ReplyView) and not screen.work.busy)

    asyncio.run(scenario())


def test_a_message_that_got_no_reply_can_be_answered_again_or_edited(
    scripted: Callable[..., LocalrlApp],
) -> None:
    async def scenario() -> None:
        app = scripted("one", load_s=60.0)
        async with app.run_test(size=(80, 24)) as pilot:
            screen = await opened(app, pilot)
            await ask(pilot, screen, "First")
            await press(pilot, "app.leave")
            await wait_until(pilot, lambda: screen._reply is None and screen._messages)
            await press(pilot, "app.leave")
            Path(app.selection.model).write_text('{"texts": ["one"]}')
            await press(pilot, "chat.again")
            await wait_until(pilot, lambda: screen._reply is None and len(screen._messages) == 2)
            assert [view.text for view in screen.query(UserMessage)] == ["First"]
            assert [view.text for view in screen.query(ReplyView)] == ["one"]

    asyncio.run(scenario())


def test_a_reply_that_comes_before_its_place_on_the_screen_is_made_waits_for_it(
    scripted: Callable[..., LocalrlApp], monkeypatch: pytest.MonkeyPatch
) -> None:
    composed = ReplyView._compose

    async def late(self: ReplyView) -> None:
        await asyncio.sleep(0.5)
        await composed(self)

    monkeypatch.setattr(ReplyView, "_compose", late)

    async def scenario() -> None:
        app = scripted("It is 7.")
        async with app.run_test(size=(80, 24)) as pilot:
            screen = await opened(app, pilot)
            view = await answered(pilot, screen, "How much?")
            assert view.query_one(Markdown).source == "It is 7."

    asyncio.run(scenario())


def test_another_conversation_is_not_begun_over_a_reply_that_is_not_yet_shown_whole(
    scripted: Callable[..., LocalrlApp], monkeypatch: pytest.MonkeyPatch
) -> None:
    settle = ReplyView._settle

    async def late(self: ReplyView, ready: str) -> None:
        await asyncio.sleep(1.0)
        await settle(self, ready)

    monkeypatch.setattr(ReplyView, "_settle", late)

    async def scenario() -> None:
        app = scripted("It is 7.")
        async with app.run_test(size=(80, 24)) as pilot:
            screen = await opened(app, pilot)
            view = await ask(pilot, screen, "How much?")
            screen.query_one(ConversationView).focus()
            await wait_until(pilot, lambda: screen._updating and not screen.work.busy)
            await press(pilot, "chat.new")
            await wait_until(pilot, lambda: view.message is not None and screen._reply is None, "an answer")
            assert view.is_attached
            await press(pilot, "chat.new")
            await wait_until(pilot, lambda: not view.is_attached)
            assert screen._chat is None

    asyncio.run(scenario())


def test_a_message_that_cannot_be_kept_is_given_back(
    scripted: Callable[..., LocalrlApp], monkeypatch: pytest.MonkeyPatch
) -> None:
    failed: list[bool] = []

    def full(*_: object, **__: object) -> None:
        failed.append(True)
        raise StoreError("database or disk is full")

    monkeypatch.setattr(Chats, "add", full)

    async def scenario() -> None:
        app = scripted("one")
        async with app.run_test(size=(80, 24)) as pilot:
            screen = await opened(app, pilot)
            screen.query_one(PromptInput).text = "A long question"
            await pilot.press("enter")
            await wait_until(pilot, lambda: failed)
            await wait_until(pilot, lambda: screen.query_one(PromptInput).text == "A long question")
            await wait_until(pilot, lambda: not screen.query(UserMessage) and not screen.query(ReplyView))

    asyncio.run(scenario())


def test_a_pasted_book_is_sent_whole_and_shown_in_part(scripted: Callable[..., LocalrlApp]) -> None:
    book = "word " * 20_000

    async def scenario() -> None:
        app = scripted("fine")
        async with app.run_test(size=(80, 24)) as pilot:
            screen = await opened(app, pilot)
            await answered(pilot, screen, book)
            shown = str(screen.query_one(UserMessage).render())
            assert len(shown) < 10_000
            assert "more characters" in shown

    asyncio.run(scenario())
    with Store() as store:
        chats = Chats(store.connection)
        assert chats.messages(chats.all()[0])[0].text == book.strip()


def test_an_export_that_cannot_be_written_is_said_in_words(
    scripted: Callable[..., LocalrlApp], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    told: list[str] = []

    async def scenario() -> None:
        app = scripted("fine")
        monkeypatch.setattr(app, "tell_error", lambda error, what: told.append(f"{what}: {error}"))
        async with app.run_test(size=(80, 24)) as pilot:
            screen = await opened(app, pilot)
            await answered(pilot, screen, "First talk")
            assert screen._chat
            Path(f"localrl-chat-{screen._chat.key}.md").mkdir()
            await pilot.press("escape", "x")
            await wait_until(pilot, lambda: bool(told))

    asyncio.run(scenario())
    assert told[0].startswith("export: cannot write")


def test_sampling_of_the_panel_reaches_the_conversation(scripted: Callable[..., LocalrlApp]) -> None:
    async def scenario() -> None:
        app = scripted("a b c d e f g")
        async with app.run_test(size=(120, 40)) as pilot:
            screen = await opened(app, pilot)
            await press(pilot, "app.leave")
            await press(pilot, "chat.panel")
            await wait_until(pilot, lambda: screen.query_one(Panel).region)
            screen.query_one("#max_tokens", Input).value = "3"
            screen.query_one("#messages").focus()
            await wait_until(pilot, lambda: not isinstance(app.focused, (PromptInput, Input)))
            await press(pilot, "chat.write", "i")
            await wait_until(pilot, lambda: isinstance(app.focused, PromptInput))
            await press(pilot, "app.leave")
            await press(pilot, "chat.write", "enter")
            await wait_until(pilot, lambda: isinstance(app.focused, PromptInput))
            view = await answered(pilot, screen, "Go")
            assert view.message
            assert (view.message.finish, view.message.metrics.answer_tokens) == ("length", 3)

    asyncio.run(scenario())


def test_only_whole_blocks_are_settled() -> None:
    assert settled("a line\nanother") == 0
    assert settled("a line\n\nanother") == len("a line\n\n")
    fence = "```python\nx = 1\n\ny = 2\n"
    assert settled(fence) == 0
    assert settled(fence + "```\nmore") == len(fence + "```\n")
