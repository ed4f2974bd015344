"""What the model is really asked: from messages to tokens, through the model's chat template.

Templates differ in what they take, and drop in silence what they do not expect. So a rendered prompt has to
hold what was asked, or the messages are given in another form: as content parts, or with the system message
in the first user turn. Names of control tokens (`</s>`) in a message are text: only a template writes such.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from localrl.engine.chat_template import Renderer
from localrl.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from localrl.chat import Message
    from localrl.engine.protocol import GroupRequest

OPEN, CLOSE = "\ufdd0", "\ufdd1"
"""Noncharacters around a message that names control tokens, while it is in the template."""
_MARKS = str.maketrans("", "", OPEN + CLOSE)
_TEXT = re.compile(f"{OPEN}([^{CLOSE}]*){CLOSE}")


class Tokenize(Protocol):
    def __call__(self, text: str, *, ends: bool = False, control: bool = False) -> list[int]:
        """The tokens of a text.

        Args:
            ends: add the tokens that begin and end a text.
            control: read the names of control tokens as these, not as text.
        """


class Form(NamedTuple):
    """How messages are given to a template."""

    system_in_user: bool = False
    """The system message stands at the head of the first user turn."""
    parts: bool = False
    """Content is a list of parts, such as {"type": "text", "text": ...}, not a string."""


FORMS = (Form(), Form(parts=True), Form(system_in_user=True), Form(system_in_user=True, parts=True))


class PromptEncoder:
    """One model's template and tokenizer."""

    def __init__(
        self, template: str, tokenize: Tokenize, *, bos: str, eos: str, first: int | None = None
    ) -> None:
        """Without a template, messages become bare text.

        Args:
            bos, eos: texts of the tokens that a template may write.
            first: token with which the tokenizer begins every text.
        """
        self._renderer = Renderer(template, bos, eos) if template else None
        self._tokenize = tokenize
        self._first = first
        self._form = FORMS[0]

    def encode(self, group: GroupRequest) -> tuple[list[int], bool]:
        """The prompt's tokens, and whether it ends inside the thinking tags.

        Raises:
            UsageError: the template is broken, leaves out what is asked, or exceeds its limits.
        """
        prompt = group.prompt
        if isinstance(prompt, str):
            return self._tokenize(prompt, ends=True, control=True), False
        messages = [message for message in prompt if not isinstance(message, int)]
        if not messages:
            return [token for token in prompt if isinstance(token, int)], False
        if self._renderer is None:
            return self._tokenize("".join(f"{message.content}\n\n" for message in messages), ends=True), False
        text = self._render(self._renderer, [self._marked(message) for message in messages], group.tools)
        inside = group.thinking is not None and text.rstrip().endswith(group.thinking.open)
        return self._tokens(text), inside

    def close(self) -> None:
        if self._renderer:
            self._renderer.close()

    def _render(
        self, renderer: Renderer, messages: Sequence[Message], tools: Sequence[dict[str, Any]]
    ) -> str:
        """The prompt in the first form in which it holds what is asked, the last one's form before others."""
        failure: UsageError | None = None
        for form in sorted(FORMS, key=lambda form: form != self._form):
            given = _system_in_user(messages) if form.system_in_user else messages
            try:
                text = renderer.render(given, parts=form.parts, variables={"tools": list(tools) or None})
            except UsageError as error:
                failure = failure or error
                continue
            if _holds(text, messages):
                self._form = form
                return text
        raise failure or UsageError(
            "the model's chat template leaves the question out of the prompt",
            hint="take a build of the model with its publishers' template",
        )

    def _marked(self, message: Message) -> Message:
        """The message, with marks around its content where that names control tokens.

        What the model said itself holds none but the thinking tags, which templates know.
        """
        core = message.content.strip()
        if message.role == "assistant" or self._tokenize(core, control=True) == self._tokenize(core):
            return message
        # Templates trim: white space stays outside.
        before, after = message.content.split(core, 1)
        return message.model_copy(update={"content": f"{before}{OPEN}{core.translate(_MARKS)}{CLOSE}{after}"})

    def _tokens(self, text: str) -> list[int]:
        tokens: list[int] = []
        for number, piece in enumerate(_TEXT.split(text)):
            if piece := piece.translate(_MARKS):
                tokens += self._tokenize(piece, control=number % 2 == 0)
        if self._first is not None and tokens[:1] != [self._first]:
            tokens.insert(0, self._first)
        return tokens


def _system_in_user(messages: Sequence[Message]) -> list[Message]:
    """The same with the system message, where it is the first, at the head of the turn after it."""
    if len(messages) < 2 or messages[0].role != "system" or messages[1].role != "user":
        return list(messages)
    system, user, *others = messages
    return [user.model_copy(update={"content": f"{system.content}\n\n{user.content}"}), *others]


def _holds(text: str, messages: Sequence[Message]) -> bool:
    """Whether the system message and the last user turn occur, but for white space or as JSON."""
    users = [message.content for message in messages if message.role == "user"]
    asked = [message.content for message in messages if message.role == "system"] + users[-1:]
    squashed = _squash(text)
    return all(
        _squash(content) in squashed or _squash(json.dumps(content, ensure_ascii=False)[1:-1]) in squashed
        for content in asked
    )


def _squash(text: str) -> str:
    return "".join(text.split())
