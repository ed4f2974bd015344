"""A conversation with a model: history without thinking, the card's sampling, every reply on disk.

`localrl chat` and the chat screen are both this. A reply comes as the engine's events; what was said is on
disk before the model is asked, and what it answers at least every few seconds.
"""

from __future__ import annotations

import secrets
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from localrl.chat import Message, ThinkingTags
from localrl.engine import resolve
from localrl.engine.client import EngineClient, Restarted
from localrl.engine.protocol import (
    EngineSettings,
    Finished,
    FinishReason,
    GroupRequest,
    SampleRequest,
    ServerOptions,
    Started,
    Text,
)
from localrl.errors import LocalrlError, Stopped, Unavailable
from localrl.paths import whole_file
from localrl.runs.session import new_log
from localrl.sampling import Sampling
from localrl.store.chats import ChatMessage, ReplyMetrics
from localrl.thinking import check

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from localrl.catalog.card import Card
    from localrl.store.chats import Chat, Chats

SAMPLING = Sampling(temperature=0.7, top_p=0.95, max_tokens=4096)
"""For models whose card says nothing."""
TOKENS_PER_STREAM = 16_384
"""Tokens that a conversation should have room for, where memory allows."""
SAVE_EVERY_S = 2.0


def sampling_of(card: Card | None) -> Sampling:
    """The card's recommendation, or what suits most models."""
    return card.sampling if card and card.sampling_source else SAMPLING


def history(system: str, messages: Sequence[ChatMessage]) -> tuple[Message, ...]:
    """What is sent to the model: never thinking, and roles that alternate.

    A reply that was stopped before its answer began is left out; the questions around it become one.
    """
    sent = [Message(role="system", content=system)] if system.strip() else []
    for message in messages:
        if message.role == "assistant" and not message.text.strip():
            continue
        content = message.text
        if sent and sent[-1].role == message.role:
            content = f"{sent.pop().content}\n\n{content}"
        sent.append(Message(role=message.role, content=content))
    return tuple(sent)


class ChatSession:
    """A loaded model that answers conversations. Not thread-safe, except `stop`."""

    def __init__(self, engine: EngineClient, choice: resolve.Resolved, tags: ThinkingTags | None) -> None:
        self.engine, self.choice, self.tags = engine, choice, tags
        self._sample: str | None = None

    @classmethod
    def open(
        cls,
        model: str,
        backend: str = "auto",
        endpoints: Sequence[str] = (),
        context: int | None = None,
        stopping: threading.Event | None = None,
        server: ServerOptions | None = None,
        chat_template: Path | None = None,
        adapter: str | None = None,
    ) -> ChatSession:
        """Load a model.

        Args:
            stopping: set it to stop loading.
            adapter: path of a LoRA adapter.

        Raises:
            UsageError, Unavailable: the model is not here, or cannot be loaded.
            Stopped: it is not wanted any longer.
        """
        choice = resolve.resolve(model, backend, endpoints, chat_template)
        card = choice.model.card
        tags = card.thinking if card else ThinkingTags()
        settings = EngineSettings(
            backend=choice.backend,
            model=str(choice.model.path),
            parallel=1,
            context=context,
            adapter=adapter,
            tokens_per_stream=TOKENS_PER_STREAM,
            tags=tags,
            endpoints=choice.endpoints,
            server=server or ServerOptions(),
            chat_template=choice.chat_template,
        )
        return cls(EngineClient(settings, new_log(), stopping), choice, tags)

    @property
    def sampling(self) -> Sampling:
        return sampling_of(self.choice.model.card)

    def close(self) -> None:
        self.engine.close()

    def stop(self) -> None:
        """End the reply under way; it keeps what it has."""
        self.engine.stopping.set()
        if sample := self._sample:
            self.engine.cancel(sample)

    def reply(
        self,
        chats: Chats,
        chat: Chat,
        seed: int | None = None,
        stopping: threading.Event | None = None,
    ) -> Iterator[Started | Text | Restarted | ChatMessage]:
        """Generate the reply to the last message; the last event is the reply as stored.

        Args:
            stopping: one for this reply, which may have been set before; `stop` sets it too.

        Raises:
            UsageError: this model's thinking cannot be steered as the conversation says.
            LocalrlError: the prompt cannot run, or the engine cannot be kept alive; what came is kept.
        """
        check(chat.control, self.tags, self.choice.model.name)
        self.engine.stopping = stopping = stopping or threading.Event()
        prompt = history(chat.system, chats.messages(chat))
        reply = ChatMessage(chats.add(chat, "assistant"), "assistant", "")
        request = SampleRequest(f"chat-{reply.key}", secrets.randbits(32) if seed is None else seed)
        group = GroupRequest(
            f"g-{reply.key}", prompt, (request,), chat.sampling, thinking=self.tags, control=chat.control
        )
        began = saved = time.monotonic()
        self._sample = request.id
        thinking_s: float | None = None
        try:
            self.engine.submit(group)
            if stopping.is_set():
                self.engine.cancel(request.id)
            while True:
                for event in self.engine.events(timeout=0.5):
                    if isinstance(event, Restarted):
                        reply = replace(reply, text="", thinking="")
                        yield event
                    elif isinstance(event, Text) and event.sample == request.id:
                        if event.thinking:
                            reply = replace(reply, thinking=reply.thinking + event.text)
                        else:
                            if reply.thinking and thinking_s is None:
                                thinking_s = time.monotonic() - began
                            reply = replace(reply, text=reply.text + event.text)
                        yield event
                    elif isinstance(event, Started) and event.sample == request.id:
                        began = time.monotonic()
                        yield event
                    elif isinstance(event, Finished) and event.sample == request.id:
                        if reply.thinking and thinking_s is None:
                            thinking_s = time.monotonic() - began
                        reply = _ended(reply, event, thinking_s)
                        _check(event)
                        yield reply
                        return
                if time.monotonic() - saved >= SAVE_EVERY_S:
                    saved = time.monotonic()
                    chats.write(reply)
        except Stopped:  # while a worker that had died was being started again
            reply = replace(reply, finish=str(FinishReason.CANCELLED))
            yield reply
        finally:
            self._sample = None
            chats.write(reply)


def _ended(reply: ChatMessage, event: Finished, thinking_s: float | None) -> ChatMessage:
    metrics = ReplyMetrics(
        event.thinking_tokens, event.answer_tokens, thinking_s, event.ttft_s, event.tokens_per_s
    )
    return replace(reply, text=reply.text.strip("\n"), finish=str(event.reason), metrics=metrics)


def _check(event: Finished) -> None:
    if event.reason is FinishReason.REFUSED:
        raise LocalrlError(event.error or "the prompt cannot run")
    if event.reason is FinishReason.ERROR:
        raise Unavailable(event.error or "the engine failed")


ENDINGS = {
    "length": "cut at the token limit",
    "context": "cut: the context is full",
    "loop": "stopped: it repeated itself",
    "cancelled": "stopped",
    "error": "the engine failed",
    "": "interrupted",
}
"""How a reply ended that did not end by itself, in words."""


def markdown(chat: Chat, messages: Sequence[ChatMessage]) -> str:
    """A conversation as a Markdown document; thinking is folded away."""
    parts = [f"# {chat.title or 'Conversation'}", f"{chat.model}, {chat.created[:16].replace('T', ' ')} UTC"]
    if chat.system:
        parts.append(f"> {chat.system}".replace("\n", "\n> "))
    for message in messages:
        parts.append(f"## {'You' if message.role == 'user' else chat.model}")
        if message.thinking:
            parts.append(f"<details><summary>Thinking</summary>\n\n{message.thinking.strip()}\n\n</details>")
        parts.append(message.text.strip())
    return "\n\n".join(parts) + "\n"


def export(chat: Chat, messages: Sequence[ChatMessage], path: Path) -> None:
    """Write a conversation to a file as Markdown.

    Raises:
        StoreError: the file cannot be written.
    """
    with whole_file(path) as out:
        out.write(markdown(chat, messages).encode("utf-8", "replace"))
