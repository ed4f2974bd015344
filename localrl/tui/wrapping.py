"""Incremental word wrap: only the last line is wrapped again when text is appended."""

from __future__ import annotations

from rich.cells import cell_len

Fragment = tuple[bool, str]
"""(whether it is shown faint, text)"""


class WrappedText:
    def __init__(self) -> None:
        self.width = 0
        self.fragments: list[Fragment] = []
        self.lines: list[list[Fragment]] = [[]]

    @property
    def text(self) -> str:
        return "".join(text for _, text in self.fragments)

    def clear(self) -> None:
        self.fragments, self.lines = [], [[]]

    def rewrap(self, width: int) -> None:
        """Wrap everything again for another width."""
        if width != self.width and width > 0:
            self.width, self.lines = width, [[]]
            self._wrap(self.fragments)

    def append(self, fragments: list[Fragment]) -> None:
        self.fragments += fragments
        self._wrap(fragments)

    def _wrap(self, fragments: list[Fragment]) -> None:
        """Append fragments to the last line, breaking at spaces where possible."""
        width = max(8, self.width)
        line = self.lines[-1]
        used = sum(cell_len(text) for _, text in line)
        for faint, text in fragments:
            for i, part in enumerate(text.expandtabs(4).split("\n")):
                if i:
                    line, used = [], 0
                    self.lines.append(line)
                rest = "".join(c for c in part if c.isprintable())
                while rest:
                    room = width - used
                    length = cell_len(rest)
                    if length <= room:
                        line.append((faint, rest))
                        used += length
                        break
                    cut = _cut(rest, room, at_start=used == 0)
                    if cut:
                        line.append((faint, rest[:cut]))
                    carried = [] if cut else _carry(line, width)
                    rest = rest[cut:].lstrip(" ") if cut or not carried else rest
                    line, used = carried, sum(cell_len(t) for _, t in carried)
                    self.lines.append(line)


def _cut(text: str, room: int, *, at_start: bool) -> int:
    """How many characters of `text` go on this line: to its last space, or all that fit."""
    if text.isascii():  # one column a character
        last = text.rfind(" ", 0, room + 1) + 1 if len(text) > room else len(text)
        return last or (room if at_start else 0)
    used = last = 0
    for i, character in enumerate(text):
        used += cell_len(character)
        if used > room:
            return last or (i if at_start else 0)
        if character == " ":
            last = i + 1
    return len(text)


def _carry(line: list[Fragment], width: int) -> list[Fragment]:
    """Remove the unfinished word from the end of a line, to continue it on the next."""
    whole = "".join(text for _, text in line)
    start = whole.rfind(" ") + 1
    word = whole[start:]
    if not start or not word or cell_len(word) > width // 2:
        return []
    left = len(word)
    carried: list[Fragment] = []
    while left and line:
        faint, text = line.pop()
        if len(text) > left:
            line.append((faint, text[:-left]))
            text = text[-left:]
        carried.insert(0, (faint, text))
        left -= len(text)
    return carried
