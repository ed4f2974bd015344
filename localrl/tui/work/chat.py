"""The chat screen's loaded model and its current reply, filled by a thread and read by the screen."""

from __future__ import annotations

import contextlib
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from localrl.conversation import ChatSession
from localrl.engine.client import Restarted
from localrl.engine.protocol import ServerOptions, Started, Text
from localrl.errors import Stopped
from localrl.store.chats import ChatMessage, Chats, title_of
from localrl.store.runs import Store

if TYPE_CHECKING:
    from localrl.chat import ThinkingControl
    from localrl.sampling import Sampling
    from localrl.store.chats import Chat
    from localrl.tui.app import ModelSelection

State = Literal["loading", "reading", "thinking", "answering", "ended", "failed"]


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """What the person sent: a new message, or with no text the last one again."""

    chat: Chat | None
    text: str
    system: str
    sampling: Sampling
    control: ThinkingControl
    replace_from: int | None = None
    """The key of the first message that this one takes the place of."""


@dataclass(slots=True, eq=False)
class LiveReply:
    """The reply under way; fragments are only ever appended."""

    question: ChatRequest
    state: State = "loading"
    chat: Chat | None = None
    fragments: list[tuple[bool, str]] = field(default_factory=list)
    """(whether it is thinking, text)"""
    tokens: int = 0
    thinking_tokens: int = 0
    began: float = field(default_factory=time.monotonic)
    asked: float | None = None
    """When the loaded model got the prompt."""
    first: float | None = None
    """When the first token came."""
    answer: float | None = None
    """When the answer began."""
    user: ChatMessage | None = None
    message: ChatMessage | None = None
    """The stored reply, once it has ended."""
    died: int = 0
    stopping: threading.Event = field(default_factory=threading.Event)

    @property
    def stopped(self) -> bool:
        return self.stopping.is_set()

    @property
    def over(self) -> bool:
        return self.state in ("ended", "failed")

    @property
    def tokens_per_s(self) -> float | None:
        if self.first is None or self.tokens < 2:
            return None
        return (self.tokens - 1) / max(1e-3, time.monotonic() - self.first)


class ChatWork:
    """At most one loaded model and one reply at a time. `ask` is for a thread."""

    def __init__(self) -> None:
        self.reply: LiveReply | None = None
        self._session: ChatSession | None = None
        self._loaded: ModelSelection | None = None
        self._lock = threading.Lock()

    @property
    def busy(self) -> bool:
        return self.reply is not None and not self.reply.over

    def begin(self, question: ChatRequest) -> LiveReply:
        """Register a reply; `ask` then generates it."""
        self.reply = LiveReply(question)
        return self.reply

    def ask(self, reply: LiveReply, choice: ModelSelection, context: int | None) -> None:
        """Store the question, load the model where needed, and generate the reply.

        Raises:
            LocalrlError: the model cannot be loaded or cannot answer; what was said is stored.
        """
        try:
            with self._lock, Store() as store:
                chats = store.chats
                chat = reply.chat = self._enter(chats, reply, choice.model)
                with contextlib.suppress(Stopped):
                    session = self._load(choice, context, reply.stopping)
                    reply.asked = time.monotonic()
                    reply.state = "reading"
                    for event in session.reply(chats, chat, stopping=reply.stopping):
                        self._take(reply, event)
            reply.state = "ended"
        except BaseException:
            reply.state = "failed"
            raise

    def stop(self) -> bool:
        """Stop the reply under way, keeping what it has; False when there is none."""
        if self.reply is None or self.reply.over:
            return False
        self.reply.stopping.set()  # while the model is loaded, this is enough
        if self._session:
            self._session.stop()
        return True

    def close(self) -> None:
        """Free the model; the next question loads it again."""
        self.stop()
        with self._lock:
            session, self._session = self._session, None
        if session:
            session.close()

    def _enter(self, chats: Chats, reply: LiveReply, model: str) -> Chat:
        question = reply.question
        chat = question.chat
        if chat is None:
            title = title_of(question.text)
            chat = chats.create(model, question.system, question.sampling, title, question.control)
        else:
            asked = {"system": question.system, "sampling": question.sampling, "control": question.control}
            chat = chats.change(chat, model=model, **asked)
        if question.replace_from is not None:
            chats.replace_from(chat, question.replace_from)
        if question.text:
            reply.user = ChatMessage(chats.add(chat, "user", question.text), "user", question.text)
        return chat

    def _load(self, choice: ModelSelection, context: int | None, stopping: threading.Event) -> ChatSession:
        if self._session is None or self._loaded != choice:
            if self._session:
                self._session.close()
                self._session = None
            self._session = ChatSession.open(
                choice.model,
                choice.backend,
                choice.endpoints,
                context,
                stopping,
                choice.server or ServerOptions(),
            )
            self._loaded = choice
        return self._session

    def _take(self, reply: LiveReply, event: Started | Text | Restarted | ChatMessage) -> None:
        if isinstance(event, Text):
            now = time.monotonic()
            reply.first = reply.first or now
            if not event.thinking and reply.answer is None:
                reply.answer = now
            reply.state = "thinking" if event.thinking else "answering"
            reply.fragments.append((event.thinking, event.text))
            reply.tokens += event.tokens
            reply.thinking_tokens += event.tokens if event.thinking else 0
        elif isinstance(event, Restarted):
            reply.fragments, reply.first, reply.answer = [], None, None
            reply.tokens = reply.thinking_tokens = 0
            reply.died += 1
        elif isinstance(event, ChatMessage):
            reply.message = event


def stored_chats() -> list[Chat]:
    with Store() as store:
        return store.chats.all()


def stored_chat(reference: str) -> tuple[Chat, list[ChatMessage]]:
    with Store() as store:
        chat = store.chats.find(reference)
        return chat, store.chats.messages(chat)


def remove_chat(chat: Chat) -> None:
    with Store() as store:
        store.chats.remove(chat)
