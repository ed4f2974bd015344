"""Conversations on disk: a message is only ever added or marked as replaced."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from localrl.chat import ThinkingControl
from localrl.errors import UsageError
from localrl.sampling import Sampling
from localrl.store import db

if TYPE_CHECKING:
    import sqlite3

    from localrl.chat import Role


@dataclass(frozen=True, slots=True)
class ReplyMetrics:
    """What a reply took."""

    thinking_tokens: int = 0
    answer_tokens: int = 0
    thinking_s: float | None = None
    ttft_s: float | None = None
    tokens_per_s: float | None = None


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """One message of a conversation."""

    key: int
    role: Role
    text: str
    """Of a reply, the answer without its thinking."""
    thinking: str = ""
    finish: str = ""
    """Why a reply ended, as the engine says it; empty while it is written, or when the program died."""
    metrics: ReplyMetrics = field(default_factory=ReplyMetrics)


@dataclass(frozen=True, slots=True)
class Chat:
    key: int
    created: str
    title: str
    model: str
    system: str
    sampling: Sampling
    control: ThinkingControl = field(default_factory=ThinkingControl)
    """How long the model may think about its next reply."""


TITLE = 60
"""Letters of a title."""


def title_of(question: str) -> str:
    """What a conversation is called that begins with this question."""
    return " ".join(question.split())[:TITLE]


class Chats:
    """The conversations in a store; on the store's connection, so for its thread."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def create(
        self,
        model: str,
        system: str,
        sampling: Sampling,
        title: str = "",
        control: ThinkingControl | None = None,
    ) -> Chat:
        created = datetime.now(UTC).isoformat(timespec="seconds")
        control = control or ThinkingControl()
        with db.transaction(self._connection):
            row = self._connection.execute(
                "INSERT INTO chats (created, title, model, system, sampling, control) "
                "VALUES (?, ?, ?, ?, ?, ?) RETURNING key",
                (created, title, model, system, sampling.model_dump_json(), control.model_dump_json()),
            ).fetchone()
        return Chat(row[0], created, title, model, system, sampling, control)

    def all(self) -> list[Chat]:
        """Every conversation, the one that something was last said in first."""
        rows = self._connection.execute(
            "SELECT key, created, title, model, system, sampling, control FROM chats "
            "ORDER BY (SELECT MAX(key) FROM messages WHERE chat = chats.key) DESC, key DESC"
        )
        return [
            Chat(
                *(key, created, title, model, system),
                Sampling.model_validate_json(sampling),
                ThinkingControl.model_validate_json(control),
            )
            for key, created, title, model, system, sampling, control in rows
        ]

    def find(self, reference: str) -> Chat:
        """A conversation by its number, or `last`: the one that something was last said in.

        Raises:
            UsageError: there is none; names the nearest.
        """
        chats = {str(chat.key): chat for chat in self.all()}
        if chats and reference == "last":
            return next(iter(chats.values()))
        if reference in chats:
            return chats[reference]
        hint = "there are no conversations yet"
        if chats:
            wanted = int(reference) if reference.isdecimal() else None
            near = "last" if wanted is None else min(chats, key=lambda key: abs(int(key) - wanted))
            hint = f"did you mean {near}?"
        raise UsageError(f"no conversation {reference!r}", hint=hint)

    def change(self, chat: Chat, **changes: Any) -> Chat:
        """Another title, model, system prompt, sampling or control of the thinking."""
        changed = replace(chat, **changes)
        sampling, control = changed.sampling.model_dump_json(), changed.control.model_dump_json()
        with db.transaction(self._connection):
            self._connection.execute(
                "UPDATE chats SET title = ?, model = ?, system = ?, sampling = ?, control = ? WHERE key = ?",
                (changed.title, changed.model, changed.system, sampling, control, chat.key),
            )
        return changed

    def remove(self, chat: Chat) -> None:
        with db.transaction(self._connection):
            self._connection.execute("DELETE FROM chats WHERE key = ?", (chat.key,))

    def lengths(self) -> dict[int, int]:
        """How many messages each conversation has, by its key."""
        return dict(
            self._connection.execute("SELECT chat, COUNT(*) FROM messages WHERE NOT replaced GROUP BY chat")
        )

    def messages(self, chat: Chat) -> list[ChatMessage]:
        """The messages that were not replaced, in order."""
        rows = self._connection.execute(
            "SELECT key, role, text, thinking, finish, figures FROM messages "
            "WHERE chat = ? AND NOT replaced ORDER BY key",
            (chat.key,),
        )
        return [
            ChatMessage(key, role, text, thinking, finish, ReplyMetrics(**json.loads(figures)))
            for key, role, text, thinking, finish, figures in rows
        ]

    def add(self, chat: Chat, role: Role, text: str = "") -> int:
        """Add a message; returns its key."""
        with db.transaction(self._connection):
            row = self._connection.execute(
                "INSERT INTO messages (chat, role, text, thinking, finish, figures) "
                "VALUES (?, ?, ?, '', '', '{}') RETURNING key",
                (chat.key, role, text),
            ).fetchone()
        return int(row[0])

    def write(self, message: ChatMessage) -> None:
        """Bring a reply up to date."""
        metrics = json.dumps(asdict(message.metrics))
        with db.transaction(self._connection):
            self._connection.execute(
                "UPDATE messages SET text = ?, thinking = ?, finish = ?, figures = ? WHERE key = ?",
                (message.text, message.thinking, message.finish, metrics, message.key),
            )

    def replace_from(self, chat: Chat, key: int) -> None:
        """Mark a message and everything after it as replaced; it stays on disk."""
        with db.transaction(self._connection):
            self._connection.execute(
                "UPDATE messages SET replaced = 1 WHERE chat = ? AND key >= ?", (chat.key, key)
            )
