r"""Boxes in a text, `\boxed{...}`: where they are, what they hold, and which of them are one answer."""

from __future__ import annotations

import re
from dataclasses import dataclass

_BRACES = re.compile(r"\\(?:boxed|fbox)(?![a-zA-Z])(?:\s{0,4}\{)?|\\.|[{}]", re.DOTALL)
BARE_BOX = re.compile(r"(?:\\\\|(?<![\\\w]))boxed\s?\{")  # models lose the backslash, or double it
_GAP = re.compile(
    r"(?:[\s$,;&]|\\[()\[\]]|\\q?quad\b|\\text\s?\{\s*,?\s*(?:and|or)\s*\}|\b(?:and|or)\b|(?P<name>[a-zA-Z])\s?=)*"
)


@dataclass(frozen=True, slots=True)
class Box:
    start: int
    inside: tuple[int, int]
    end: int

    def content(self, answer: str) -> str | None:
        return re.sub(r"\\(?:boxed|fbox)(?=\s*\{)", "", answer[slice(*self.inside)]).strip() or None


def find(answer: str) -> list[Box]:
    """All boxes that are in no other, or none when the last is never closed."""
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
        elif "box" in token[0]:  # `\boxed 5`
            bare = re.compile(r"\s*([-\w.]+)").match(answer, token.end())
            open_box = bare is None
            if bare:
                boxes.append(Box(token.start(), bare.span(1), bare.end()))
    return [] if open_box else boxes


def joined(answer: str) -> list[str]:
    r"""What the last box holds, after what those joined to it hold, as in `$\boxed{1}$ and $\boxed{-2}$`."""
    boxes = find(answer)
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
    words = re.search(r"\b(?:and|or)\b", gap)
    if words and words[0] == "and" and not re.search(r"[$\\]", gap):
        return False  # `... is \boxed{17} and \boxed{204}`: the last counts
    if not words and "\n" in gap and not re.search(r"[,;]", gap):
        return False
    named = re.search(r"([a-zA-Z])\s?=\s?$", answer[max(one.start - 6, 0) : one.start])
    return found["name"] == (named and named[1])
