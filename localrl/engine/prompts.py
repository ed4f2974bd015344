"""What the model is really asked: from messages to tokens, through the model's chat template.

Templates differ in what they take, and drop in silence what they do not expect. So a rendered prompt has to
hold what was asked, or the messages are given in another form: as content parts, or with the system message
in the first user turn. Names of control tokens (`</s>`) in a message are text: only a template writes such.
"""

from __future__ import annotations

import functools
import hashlib
import json
import re
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from localrl.chat import Message
from localrl.engine.chat_template import Renderer
from localrl.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from localrl.chat import ThinkingControl, ThinkingTags
    from localrl.engine.protocol import GroupRequest

OPEN, CLOSE = "\ufdd0", "\ufdd1"
"""Noncharacters around a message that names control tokens, while it is in the template."""
_MARKS = str.maketrans("", "", OPEN + CLOSE)
_TEXT = re.compile(f"{OPEN}([^{CLOSE}]*){CLOSE}")


class Vocabulary(Protocol):
    """A model's vocabulary."""

    bos: str
    eos: str
    """Names of the tokens that begin and end a text; empty where there is none."""
    first: int | None
    """The token with which every text begins, if one does."""

    def tokenize(self, text: str, *, ends: bool = False, control: bool = False) -> list[int]:
        """The tokens of a text.

        Args:
            ends: add the tokens that begin and end a text.
            control: read the names of control tokens as these, not as text.
        """

    def piece(self, token: int, *, control: bool = True) -> bytes:
        """The bytes of a token; nothing for a control token, unless its name is wanted."""


class MessageForm(NamedTuple):
    """How messages are given to a template."""

    system_in_user: bool = False
    """The system message stands at the head of the first user turn."""
    parts: bool = False
    """Content is a list of parts, such as {"type": "text", "text": ...}, not a string."""

    @property
    def departures(self) -> list[str]:
        """How this is not what the messages say, in words for the report."""
        moved = ["system message moved into the user turn"] if self.system_in_user else []
        return moved + (["content given to the chat template as parts"] if self.parts else [])


NO_TEMPLATE = "no chat template: asked with bare text"
SYSTEM, QUESTION = Message(role="system", content="Be brief."), Message(role="user", content="What is 2 + 2?")
"""For finding out how a template takes such."""
FORMS = (
    MessageForm(),
    MessageForm(parts=True),
    MessageForm(system_in_user=True),
    MessageForm(system_in_user=True, parts=True),
)


class Rendering:
    """Renders messages with one template, in the form that suits it."""

    def __init__(self, template: str, bos: str = "", eos: str = "") -> None:
        self._renderer = Renderer(template, bos, eos)
        self.close = self._renderer.close
        self.form = FORMS[0]
        """That of the last prompt."""

    def render(
        self,
        messages: Sequence[Message],
        tools: Sequence[dict[str, Any]] = (),
        control: ThinkingControl | None = None,
    ) -> str:
        """The prompt in the first form in which it holds what is asked, the last one's form before others.

        Raises:
            UsageError: the template is broken, leaves out what is asked, or exceeds its limits.
        """
        variables: dict[str, Any] = {"tools": list(tools) or None}
        if control:
            variables["enable_thinking"] = control.enabled
        if control and control.effort:
            variables["reasoning_effort"] = control.effort
        failure: UsageError | None = None
        for form in sorted(FORMS, key=lambda form: form != self.form):
            given = _system_in_user(messages) if form.system_in_user else messages
            try:
                text = self._renderer.render(given, parts=form.parts, variables=variables)
            except UsageError as error:
                failure = failure or error
                continue
            if _holds(text, messages):
                self.form = form
                return text
        raise failure or UsageError(
            "the model's chat template leaves the question out of the prompt",
            hint="name its publishers' template with --chat-template",
        )


class PromptEncoder:
    """One model's template and vocabulary."""

    def __init__(self, template: str, vocabulary: Vocabulary) -> None:
        """Without a template, messages become bare text."""
        self.template = template
        self.template_sha256 = hashlib.sha256(template.encode()).hexdigest()
        self.vocabulary = vocabulary
        self._tokenize = vocabulary.tokenize
        self._rendering = Rendering(template, vocabulary.bos, vocabulary.eos) if template else None

    def encode(self, group: GroupRequest) -> tuple[list[int], bool]:
        """The prompt's tokens, and whether it ends inside the thinking tags.

        Raises:
            UsageError: the template is broken, leaves out what is asked, exceeds its limits, or takes no
                effort where one is given; or the thinking cannot be switched off.
        """
        tokens, inside = self._prompt(group)
        if group.thought is None or group.thinking is None:
            return tokens, inside
        kept = self._tokenize(group.thought.text, control=True)[: group.thought.tokens]
        return [*tokens, *kept, *self._tokenize(group.thinking.closing, control=True)], False

    def _prompt(self, group: GroupRequest) -> tuple[list[int], bool]:
        prompt, control = group.prompt, group.control
        if isinstance(prompt, str):
            return self._tokenize(prompt, ends=True, control=True), False
        messages = [message for message in prompt if not isinstance(message, int)]
        if not messages:
            return [token for token in prompt if isinstance(token, int)], False
        if self._rendering is None:
            return self._tokenize("".join(f"{message.content}\n\n" for message in messages), ends=True), False
        if control.effort and "reasoning_effort" not in self.template:
            raise UsageError("the model's chat template takes no effort", hint="leave out --effort")
        text = self._rendering.render([self._marked(message) for message in messages], group.tools, control)
        if group.thinking and not control.enabled:
            return self._tokens(without_thinking(text, group.thinking)), False
        inside = group.thinking is not None and text.rstrip().endswith(group.thinking.open)
        return self._tokens(text), inside

    def close(self) -> None:
        if self._rendering:
            self._rendering.close()

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
        first = self.vocabulary.first
        if first is not None and tokens[:1] != [first]:
            tokens.insert(0, first)
        return tokens


@functools.lru_cache(maxsize=64)
def form(template: str, *, system: bool) -> MessageForm:
    """In which form a template takes a question, with a system message or without; known without the model.

    Raises:
        UsageError: as `Rendering.render`.
    """
    rendering = Rendering(template)
    try:
        rendering.render([SYSTEM, QUESTION] if system else [QUESTION])
        return rendering.form
    finally:
        rendering.close()


def without_thinking(prompt: str, tags: ThinkingTags) -> str:
    """A prompt that was rendered with `enable_thinking=false`, with an empty block where the model needs one.

    Raises:
        UsageError: this model always thinks.
    """
    if tags.off == "never":
        raise UsageError("this model always thinks", hint="give it a budget: --thinking 256")
    opened = prompt.rstrip().endswith(tags.open)
    if opened:
        return f"{prompt.rstrip()}\n\n{tags.close}\n\n"
    return f"{prompt}{tags.open}\n\n{tags.close}\n\n" if tags.off == "empty_block" else prompt


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
