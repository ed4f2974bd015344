from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from localrl.chat import ThinkingControl
from localrl.conversation import ChatSession, history
from localrl.engine.protocol import Text
from localrl.sampling import Sampling
from localrl.store.chats import ChatMessage, Chats
from localrl.store.runs import Store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def chats(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Chats]:
    monkeypatch.setenv("LOCALRL_HOME", str(tmp_path))
    with Store() as store:
        yield Chats(store.connection)


@pytest.fixture
def session(chats: Chats, tmp_path: Path) -> Iterator[ChatSession]:
    path = tmp_path / "script.json"
    text = "<think>let me see</think>It is " + "very " * 50 + "far."
    path.write_text(json.dumps({"texts": [text], "knows": [[[0, "Not far."], [2, "Quite far."]]]}))
    opened = ChatSession.open(str(path), "scripted")
    yield opened
    opened.close()


@pytest.mark.process
def test_thinking_is_kept_on_disk_and_never_sent_back(chats: Chats, session: ChatSession) -> None:
    chat = chats.create("m", "Be brief.", Sampling(max_tokens=500))
    chats.add(chat, "user", "How far?")
    last = list(session.reply(chats, chat))[-1]
    assert isinstance(last, ChatMessage)
    kept = chats.messages(chat)
    assert kept[1].thinking == "let me see"
    assert kept[1] == last
    sent = history(chat.system, kept)
    assert [m.role for m in sent] == ["system", "user", "assistant"]
    assert "let me see" not in "".join(m.content for m in sent)


@pytest.mark.process
def test_thinking_is_switched_in_the_middle_of_a_conversation(chats: Chats, session: ChatSession) -> None:
    chat = chats.create("m", "", Sampling(max_tokens=500))
    for said, control in (
        ("It is very", ThinkingControl()),
        ("Not far.", ThinkingControl(enabled=False)),
        ("Quite far.", ThinkingControl(budget=2)),
        ("It is very", ThinkingControl()),
    ):
        chat = chats.change(chat, control=control)
        assert chats.find(str(chat.key)) == chat
        chats.add(chat, "user", "How far?")
        last = list(session.reply(chats, chat))[-1]
        assert isinstance(last, ChatMessage)
        assert last.text.strip().startswith(said)
        assert bool(last.thinking) is control.enabled


@pytest.mark.process
def test_a_stopped_reply_keeps_what_it_has(chats: Chats, session: ChatSession) -> None:
    chat = chats.create("m", "", Sampling(max_tokens=500))
    chats.add(chat, "user", "How far?")
    for event in session.reply(chats, chat):
        if isinstance(event, Text) and "very" in event.text:
            session.stop()
    kept = chats.messages(chat)[-1]
    assert kept.finish in ("cancelled", "stop")
    assert kept.text.startswith("It is very")


def test_questions_around_a_reply_without_answer_become_one() -> None:
    said = [
        ChatMessage(1, "user", "Why?"),
        ChatMessage(2, "assistant", "", thinking="hm", finish="cancelled"),
        ChatMessage(3, "user", "Shorter, please."),
    ]
    assert [(m.role, m.content) for m in history("", said)] == [("user", "Why?\n\nShorter, please.")]


def test_a_replaced_message_is_no_longer_said_and_stays_on_disk(chats: Chats) -> None:
    chat = chats.create("m", "", Sampling())
    first = chats.add(chat, "user", "one")
    chats.add(chat, "assistant", "two")
    chats.replace_from(chat, first)
    chats.add(chat, "user", "other")
    assert [m.text for m in chats.messages(chat)] == ["other"]
    assert chats._connection.execute("SELECT COUNT(*) FROM messages").fetchone() == (3,)
