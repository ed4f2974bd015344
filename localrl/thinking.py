"""Split a stream of text at the thinking tags, as it arrives or all at once."""

from __future__ import annotations

import re

from localrl.chat import ThinkingControl, ThinkingTags
from localrl.errors import UsageError
from localrl.verdict import Response

WELL_KNOWN = [
    *(
        (f"<{name}>", f"</{name}>")
        for name in ("think", "thinking", "thought", "thoughts", "reasoning", "seed:think")
    ),
    ("[THINK]", "[/THINK]"),
    ("\u25c1think\u25b7", "\u25c1/think\u25b7"),
    ("<|begin_of_thought|>", "<|end_of_thought|>"),
    ("<|START_THINKING|>", "<|END_THINKING|>"),
]
"""Tags of models whose texts are around, in any case."""


class Splitter:
    """Cuts text into thinking and answer while it arrives in pieces of any size.

    Text that may be the beginning of a tag is held back until it is clear. A model thinks once: after the
    first closing tag everything is answer. An opening tag counts only before any other visible text, so
    that an answer may talk about tags.
    """

    def __init__(self, tags: ThinkingTags | None, starts_inside: bool = False) -> None:
        self._tags = tags
        self._held = ""
        self._may_open = tags is not None and not starts_inside
        self.thinking = tags is not None and starts_inside
        """Whether the next character belongs to the thinking."""

    @property
    def holding(self) -> bool:
        return bool(self._held)

    def thinks_with(self, text: str) -> bool:
        """Whether text would go on thinking, or be the beginning of the opening tag or after it."""
        if self.thinking or self._tags is None or not self._may_open:
            return self.thinking
        begun = (self._held + text).lstrip()
        return bool(begun) and (self._tags.open.startswith(begun) or begun.startswith(self._tags.open))

    def feed(self, text: str) -> list[tuple[bool, str]]:
        """Take text, give back what is clear by now as (thinking, text) pieces, without the tags."""
        if self._tags is None or not (self.thinking or self._may_open):
            return [(False, text)] if text else []
        self._held += text
        pieces: list[tuple[bool, str]] = []
        if self._may_open:
            self._look_for_opening(pieces)
        if self.thinking:
            self._look_for_closing(pieces)
        return pieces

    def flush(self) -> list[tuple[bool, str]]:
        """At the end of the stream, what was held back is just text."""
        held, self._held = self._held, ""
        return [(self.thinking, held)] if held else []

    def _look_for_opening(self, pieces: list[tuple[bool, str]]) -> None:
        assert self._tags is not None
        stripped = self._held.lstrip()
        if stripped.startswith(self._tags.open):
            self._held = stripped[len(self._tags.open) :]
            self._may_open, self.thinking = False, True
        elif not self._tags.open.startswith(stripped):
            self._may_open = False
            pieces.append((False, self._held))
            self._held = ""

    def _look_for_closing(self, pieces: list[tuple[bool, str]]) -> None:
        assert self._tags is not None
        close = self._tags.close
        before, found, after = self._held.partition(close)
        if found:
            self.thinking, self._held = False, ""
            pieces += [piece for piece in ((True, before), (False, after)) if piece[1]]
            return
        keep = held_back(self._held, (close,))
        ready, self._held = self._held[: len(self._held) - keep], self._held[len(self._held) - keep :]
        if ready:
            pieces.append((True, ready))


class ThinkingMeter:
    """Counts the tokens of a stream's thinking, and of thinking that is opened again.

    A `Splitter` takes everything after the first closing tag for the answer, since answers may talk about
    tags. A budget must not be escaped that way: an opening tag that begins a line of the answer opens the
    thinking again.
    """

    def __init__(self, tags: ThinkingTags, starts_inside: bool = False) -> None:
        self._tags = tags
        self._opening = re.compile(rf"^[ \t]*{re.escape(tags.open)}", re.MULTILINE)
        self._splitter = Splitter(tags, starts_inside)
        self._line = ""
        """The beginning of the answer's current line."""
        self._unassigned = 0
        self.tokens = 0
        """Of the thinking, tags included."""
        self.reopened = False

    @property
    def inside(self) -> bool:
        """Whether the thinking goes on, and no tag has begun."""
        return self._splitter.thinking and not self._splitter.holding

    def take(self, text: str, generated: bool = True) -> None:
        """Take the text of a token; one that was not `generated` is not counted."""
        self._unassigned += generated
        was = self._splitter.thinking
        self._feed(text)
        if not self._splitter.holding:
            if was or self._splitter.thinking:
                self.tokens += self._unassigned
            self._unassigned = 0

    def _feed(self, text: str) -> None:
        for thinking, piece in self._splitter.feed(text):
            if not thinking:
                self._look_for_opening(piece)

    def _look_for_opening(self, answer: str) -> None:
        self._line += answer
        if found := self._opening.search(self._line):
            rest, self._line = self._line[found.end() :], ""
            self.reopened = True
            self._splitter = Splitter(self._tags, starts_inside=True)
            self._feed(rest)
        else:
            self._line = self._line.rpartition("\n")[2][: 2 * len(self._tags.open)]


def held_back(text: str, marks: tuple[str, ...]) -> int:
    """How many characters at the end of `text` could be the beginning of one of `marks`."""
    longest = max((len(mark) for mark in marks), default=1) - 1
    for length in range(min(longest, len(text)), 0, -1):
        if any(mark.startswith(text[-length:]) for mark in marks):
            return length
    return 0


def split(text: str, tags: ThinkingTags | None, starts_inside: bool = False) -> Response:
    """Split a whole generation; `answer` is empty when the thinking never ends.

    A text with a closing tag but no opening one began inside: the opening tag stood in the prompt.
    """
    starts_inside = starts_inside or (tags is not None and tags.close in text and tags.open not in text)
    splitter = Splitter(tags, starts_inside)
    parts = {True: "", False: ""}
    for thinking, piece in splitter.feed(text) + splitter.flush():
        parts[thinking] += piece
    return Response(answer=parts[False], thinking=parts[True], raw=text)


def parsed(text: str) -> dict[str, bool | int | None]:
    """What `on`, `off` or a number of tokens says of a `ThinkingControl`.

    Raises:
        UsageError: it is none of these.
    """
    word = text.strip().casefold()
    if word in ("on", "off"):
        return {"enabled": word == "on", "budget": None}
    if word.isascii() and word.isdigit() and 0 < int(word) < 2**31:
        return {"enabled": True, "budget": int(word)}
    raise UsageError(f"thinking is on, off or a number of tokens, not {text!r}")


def spoken(control: ThinkingControl) -> str:
    """The same as a person writes it."""
    return str(control.budget or ("on" if control.enabled else "off"))


def check(control: ThinkingControl, tags: ThinkingTags | None, model: str) -> None:
    """
    Raises:
        UsageError: this model's thinking cannot be steered so.
    """
    if tags is None and (control.budget or control.stop_when_sure):
        raise UsageError(f"{model} does not think, so there is nothing to close")
    if tags is not None and not control.enabled and tags.off == "never":
        raise UsageError(f"{model} always thinks", hint="give it a budget: --thinking 256")


def tags_in(text: str) -> ThinkingTags:
    """The tags that a text of an unknown model thinks between: those of `WELL_KNOWN` that it begins with, or
    else the first that it closes; `<think>` where there are none."""
    opened = text.lstrip().lower()
    for beginning, end in WELL_KNOWN:
        if opened.startswith(beginning.lower()):
            return _as_written(text, beginning, end)
    closings = [(place, tags) for tags in WELL_KNOWN if (place := text.lower().find(tags[1].lower())) >= 0]
    return _as_written(text, *min(closings)[1]) if closings else ThinkingTags()


def _as_written(text: str, *tags: str) -> ThinkingTags:
    found = [re.search(re.escape(tag), text, re.IGNORECASE) for tag in tags]
    return ThinkingTags(open=found[0][0] if found[0] else tags[0], close=found[1][0] if found[1] else tags[1])


def whole(text: str, tags: ThinkingTags, starts_inside: bool = False) -> Response | None:
    """The response in a text whose end nobody recorded, read strictly; None for one cut inside its thinking.

    Only what follows the last closing tag is the answer, so that a model which thinks twice is not judged by
    its second thoughts.
    """
    if unfinished(text, tags, starts_inside):
        return None
    first = split(text, tags, starts_inside)
    before, closed, answer = first.answer.rpartition(tags.close)
    if tags.open in answer:
        return None
    return Response(answer=answer, thinking=first.thinking + before, raw=text) if closed else first


def unfinished(text: str, tags: ThinkingTags | None, starts_inside: bool = False) -> bool:
    """Whether a text ends inside its thinking."""
    splitter = Splitter(tags, starts_inside)
    splitter.feed(text)
    return splitter.thinking
