"""The messages of a conversation: the person's messages, and replies that may still be growing.

While a reply grows, its finished paragraphs are Markdown and the one under way is plain text: parsing every
token again costs most of a core and makes the keyboard slow (measured in benchmarks/interface.py).
"""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

from textual.containers import Vertical
from textual.geometry import Size
from textual.widgets import Markdown, Static

from localrl.conversation import ENDINGS
from localrl.formats import duration, number
from localrl.tui.widgets.chat import markup
from localrl.tui.widgets.chat.tail import Tail
from localrl.tui.widgets.chat.thinking import Thinking

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from localrl.store.chats import ChatMessage
    from localrl.tui.work.chat import LiveReply

SETTLE_EVERY_S = 1.0
"""Least time between conversions of paragraphs to Markdown."""
LONGEST = 8000
"""Characters shown of a message, which may be a pasted book."""
PART_LENGTH = 1500
"""Characters after which a new widget begins."""
CONTINUES = re.compile(r"\s*([-*+>|]|\d+[.)]|\s{2})")
"""The beginning of a block that may belong to the one before it, such as a list."""
STATES = {"loading": "loading the model …", "reading": "reading the prompt …"}


class UserMessage(Static):
    DEFAULT_CSS = """
    UserMessage { margin: 1 0 1 0; padding: 0 1; background: $panel; border-left: thick $primary 60%; }
    """

    def __init__(self, text: str, message: ChatMessage | None = None) -> None:
        """
        Args:
            message: the message as it is stored, once it is.
        """
        more = len(text) - LONGEST
        shown = f"{text[:LONGEST]} …\n({more:,} more characters)" if more > 0 else text
        super().__init__(shown, markup=False)
        self.text, self.message = text, message


class ReplyPart(Markdown):
    """A part of a reply."""

    def __init__(self, text: str = "") -> None:
        super().__init__(text, parser_factory=markup.parser)

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        # Textual caches an arrangement by the container's height, which grows with every line of the reply
        # although a part's height does not depend on it: without this, all parts are arranged again.
        return super().get_content_height(Size(container.width, 0), viewport, width)


class ReplyView(Vertical):
    DEFAULT_CSS = """
    ReplyView { height: auto; margin: 0 0 1 0; padding: 0 1; }
    ReplyView Markdown { margin: 0; padding: 0; background: transparent; }
    ReplyView MarkdownBlock { background: transparent; }
    ReplyView .metrics { color: $secondary; height: 1; }
    """

    def __init__(self, message: ChatMessage | None = None) -> None:
        super().__init__()
        self.message = message
        self._seen = 0
        self._settled = ""
        self._tail = message.text if message else ""
        self._fragments: list[tuple[bool, str]] | None = None
        self._thought: Thinking | None = None
        self._settles = 0.0
        self._folded = False

    def compose(self) -> ComposeResult:
        message = self.message
        if message and message.thinking:
            metrics = message.metrics
            self._thought = Thinking(message.thinking, metrics.thinking_s, metrics.thinking_tokens)
            yield self._thought
        yield ReplyPart(message.text if message else "")
        yield Tail()
        yield Static(metrics_line(message) if message else "", classes="metrics", markup=False)

    @property
    def text(self) -> str:
        return self.message.text if self.message else self._settled + self._tail

    @property
    def code(self) -> list[str]:
        """The code blocks of the answer, in order."""
        return [found[1] for found in re.finditer(r"^```[^\n]*\n(.*?)^```", self.text, re.M | re.S)]

    def toggle_thinking(self) -> None:
        if self._thought:
            self._thought.toggle()

    async def update_reply(self, reply: LiveReply) -> None:
        """Show what has arrived."""
        if reply.fragments is not self._fragments:  # it begins, or begins anew
            self._fragments, self._seen, self._settled, self._tail = reply.fragments, 0, "", ""
            first, *others = self.query(Markdown)
            await first.update("")
            for other in others:
                await other.remove()
        new = reply.fragments[self._seen :]
        self._seen += len(new)
        await self._think("".join(text for thinking, text in new if thinking), reply)
        answer = "".join(text for thinking, text in new if not thinking)
        if answer or reply.over:
            await self._answer(answer, all_of_it=reply.over)
        if reply.over:
            self.message = reply.message
            self._show_metrics(metrics_line(reply.message) if reply.message else "not answered")
        elif reply.state in STATES:
            waited = duration(time.monotonic() - (reply.asked or reply.began))
            ending = ", then stops" if reply.stopped else ""
            self._show_metrics(f"{STATES[reply.state]} {waited}{ending}")
        else:
            ttft = duration(reply.first - reply.asked) if reply.first and reply.asked else "–"
            self._show_metrics(
                f"{reply.tokens:,} tokens · {number(reply.tokens_per_s)} tok/s · first after {ttft}"
            )

    async def _think(self, text: str, reply: LiveReply) -> None:
        if text and self._thought is None:
            self._thought = Thinking()
            await self.mount(self._thought, before=0)
            self._thought.fold(open_it=True)
        if self._thought is None:
            return
        if text:
            self._thought.append(text)
        if reply.first is not None:
            until = reply.answer or time.monotonic()
            if not self._folded:
                self._thought.show_metrics(until - reply.first, reply.thinking_tokens)
        if (reply.answer is not None or reply.over) and not self._folded:
            self._folded = True
            self._thought.fold(open_it=False)

    async def _answer(self, text: str, *, all_of_it: bool) -> None:
        self._tail += text
        now = time.monotonic()
        cut = len(self._tail) if all_of_it else 0
        if now >= self._settles:
            self._settles = now + SETTLE_EVERY_S
            cut = cut or settled(self._tail)
        if cut:
            ready, self._tail = self._tail[:cut], self._tail[cut:]
            self._settled += ready
            with self.app.batch_update():  # text moves from the tail to Markdown within one frame
                await self._settle(ready)
                self.query_one(Tail).show(self._tail.strip("\n"))
        else:
            self.query_one(Tail).show(self._tail.strip("\n"))

    async def _settle(self, ready: str) -> None:
        """Render whole blocks as Markdown; of a long answer only the last widget changes."""
        part = self.query(Markdown).last()
        if len(part.source) > PART_LENGTH and not CONTINUES.match(ready):
            part = ReplyPart()
            await self.mount(part, before=self.query_one(Tail))
        await part.append(ready)

    def _show_metrics(self, text: str) -> None:
        self.query_one(".metrics", Static).update(text, layout=False)


def settled(text: str) -> int:
    """How many characters at the beginning are whole blocks: to the last blank line outside a fence."""
    cut = at = 0
    fenced = False
    for line in text.splitlines(keepends=True):
        at += len(line)
        if line.lstrip().startswith(("```", "~~~")):
            fenced = not fenced
        if not fenced and line.endswith("\n") and (not line.strip() or line.lstrip().startswith("```")):
            cut = at
    return cut


def metrics_line(message: ChatMessage) -> str:
    """Tokens, speed, and how a reply ended if not by itself."""
    metrics = message.metrics
    tokens = metrics.thinking_tokens + metrics.answer_tokens
    parts = [f"{tokens:,} tokens"] if tokens else []
    if metrics.tokens_per_s:
        parts.append(f"{number(metrics.tokens_per_s)} tok/s")
    if metrics.ttft_s is not None:
        parts.append(f"first after {duration(metrics.ttft_s)}")
    if message.finish != "stop":
        parts.append(ENDINGS.get(message.finish, message.finish))
    return " · ".join(parts)
