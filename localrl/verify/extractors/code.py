"""The last fenced block that is Python, by its label or for want of one; else the last block.

Fences are CommonMark's, and what models make of them: in a list or in bold, closed by more marks than they
were opened with or with words behind the fence, and Python at the end of a text that is never closed.
"""

from __future__ import annotations

import re
from typing import NamedTuple

FORM = "```python\n{}\n```"

_OPENING = re.compile(
    r"(?P<before>[ \t]*(?:(?:[-*+>]|\d{1,3}[.)])[ \t]+|[*_]{1,3})*)(?P<fence>`{3,}|~{3,})(?P<label>[^`\n]*)$"
)
_PYTHON = re.compile(r"\W*(?:python|py)", re.IGNORECASE)


class Block(NamedTuple):
    label: str
    text: str
    closed: bool


def extract(answer: str) -> str | None:
    return choose(answer)


def choose(answer: str, asked: re.Pattern[str] | None = None) -> str | None:
    """The program among the blocks: the last Python that holds `asked`, before any that does not."""
    found = [block for block in blocks(answer) if block.text.strip()]
    labelled = [block for block in found if _PYTHON.match(block.label)]
    closed = [block for block in found if block.closed]
    unlabelled = [block for block in closed if not block.label]
    python = [block for block in found if block in labelled or block in unlabelled]
    fitting = [block for block in python if asked and asked.search(block.text)]
    best = fitting or labelled or unlabelled or closed
    return best[-1].text if best else None


def blocks(answer: str) -> list[Block]:
    """Every fenced block, without the indentation of its fence."""
    found: list[Block] = []
    opening: re.Match[str] | None = None
    lines: list[str] = []

    def end(closed: bool) -> None:
        if opening:
            found.append(Block(opening["label"].strip(), "".join(lines), closed))

    for line in answer.splitlines(keepends=True):
        fence = _OPENING.match(line.rstrip("\r\n"))
        bare = line.strip()
        if opening and bare.startswith(opening["fence"]):
            behind = bare.lstrip(opening["fence"][0])
            end(closed=not re.fullmatch(r"\w+", behind))
            opening = fence if re.fullmatch(r"\w+", behind) else None  # the block before was never closed
            lines = []
        elif opening:
            lines.append(re.sub(rf"^[ \t]{{0,{len(opening['before'])}}}", "", line))
        else:
            opening, lines = fence, []
    end(closed=False)
    return found
