r"""Answers that a text marks, by `\boxed{}` or by tags: where they are, what they hold, and which count.

One rule for all: the last that states a value counts, and those that only `and`, `or` and commas join to it
are one answer with it, so that who names two answers has named neither. A mark without a value (`\boxed{}`,
`\boxed{answer}`, a bare `\boxed`) or behind a denial (`not \boxed{5}`) states none.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from localrl.verify.plaintext import JOINT

_BRACES = re.compile(r"\\(?:boxed|fbox)(?![a-zA-Z])(?:\s{0,4}\{)?|\\.|[{}]", re.DOTALL)
_BARE_VALUE = re.compile(r"\s{0,4}(-?(?:\d[\d.,/]*\d|\d)(?![\w])|(?!a\s)[a-zA-Z](?![\w'’]))")
BARE_BOX = re.compile(r"(?:\\\\|(?<![\\\w]))boxed\s?\{")  # models lose the backslash, or double it
_GAP = re.compile(
    rf"(?:[\s$,;&(]|\\[()\[\]]|\\q?quad\b|\\text\s?\{{\s*,?\s*{JOINT}\s*\}}|\b{JOINT}\b"
    r"|\b(?:or (?:possibly|maybe|perhaps|else|even)|either)\b|(?P<name>[a-zA-Z])\s?=)*"
)
_DENIED = re.compile(
    r"(?i:(?:\b(?:not|never|cannot be|rather than|instead of|nicht|keine?|pas|не|no es|não é|non è)|n['’]t"
    r"|不是|不为)(?:\s(?:be|equal to|equal|the))?)[\s:$(\\]*$"
)
_MARKUP = re.compile(r"\\(?:text\w*|math\w+|[lc]?dots|cdot)(?![a-z])|[{}$*.…?_:\s]")
_PLACEHOLDER = re.compile(
    r"(?i:[<\[(]?(?:(?:the|your|my|final|correct|numeric(?:al)?|answer|result|value|solution|here)\s?)*[>\])]?)"
)


@dataclass(frozen=True, slots=True)
class Box:
    start: int
    inside: tuple[int, int]
    end: int

    def content(self, answer: str) -> str | None:
        return re.sub(r"\\(?:boxed|fbox)(?=\s*\{)", "", answer[slice(*self.inside)]).strip() or None


def find(answer: str) -> list[Box] | None:
    """All boxes that are in no other; None when the last is never closed."""
    boxes: list[Box] = []
    open_box = False  # whether the last box to open is still open
    opened: list[tuple[int, int] | None] = []  # where a box and its content begin, None for a brace of no box
    for token in _BRACES.finditer(answer):
        if token[0] == "}":
            if begins := opened.pop() if opened else None:
                while boxes and boxes[-1].start > begins[0]:
                    boxes.pop()
                boxes.append(Box(begins[0], (begins[1], token.start()), token.end()))
                open_box = False
        elif token[0].endswith("{") and not token[0].startswith("\\{"):
            box = token[0] != "{"
            opened.append(token.span() if box else None)
            open_box = open_box or box
        elif "box" in token[0] and (bare := _BARE_VALUE.match(answer, token.end())):  # `\boxed 5`
            boxes.append(Box(token.start(), bare.span(1), bare.end()))
    return None if open_box else boxes


def holds_value(content: str | None) -> bool:
    """Whether it is more than nothing, dots or a name of what should stand there."""
    return not _PLACEHOLDER.fullmatch(" ".join(_MARKUP.sub(" ", content or "").split()))


def valued(answer: str) -> list[Box] | None:
    """The boxes that hold a value, denied or not; None when the last box is never closed."""
    boxes = find(answer)
    return boxes and [box for box in boxes if holds_value(box.content(answer))]


def joined(answer: str, boxes: list[Box] | None) -> list[str]:
    r"""What the last box holds, after what those joined to it hold, as in `$\boxed{1}$ and $\boxed{-2}$`."""
    boxes = [box for box in boxes or [] if not _DENIED.search(answer, max(box.start - 40, 0), box.start)]
    if not boxes:
        return []
    first = len(boxes) - 1
    while first > 0 and _join(answer, boxes[first - 1], boxes[first]):
        first -= 1
    return list(dict.fromkeys(filter(None, (box.content(answer) for box in boxes[first:]))))


def _join(answer: str, one: Box, other: Box) -> bool:
    """Whether only commas, `or`, or `and` in the text between formulas, stand between two boxes."""
    gap = answer[one.end : other.start]
    if len(gap) > 60 or not (found := _GAP.fullmatch(gap)):
        return False
    words = re.search(rf"\b{JOINT}\b", gap)
    if words and words[0] == "and" and not re.search(r"[$\\]", gap):
        return False  # `... is \boxed{17} and \boxed{204}`: the last counts
    if not words and "\n" in gap and not re.search(r"[,;]", gap):
        return False
    named = re.search(r"([a-zA-Z])\s?=\s?$", answer[max(one.start - 6, 0) : one.start])
    return found["name"] == (named and named[1])
