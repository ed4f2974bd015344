"""When an output counts as the expected one: LiveCodeBench's rules (`lcb_runner/evaluation/testing_util.py`).

Both sides are compared here, in localrl's own process, where the program has no say.
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

from localrl.sandbox.inside.values import Unsupported, scalar

if TYPE_CHECKING:
    from localrl.sandbox.inside.values import Tree


_BRACKETS = {"l": ("[", "]"), "t": ("(", ")")}
_PARTS, _DEPTH, _LETTERS = 12, 5, 100


def same_text(output: str, expected: str) -> bool:
    """As many lines, each the same but for blanks around it, or the same as a list of decimal numbers."""
    if output == expected:
        return True
    lines, wanted = _lines(output), _lines(expected)
    return len(lines) == len(wanted) and all(map(_same_line, lines, wanted))


def same_value(tree: Tree, expected: Any) -> bool:
    """Whether an encoded value is `==` to a JSON value, a tuple at the top counting as a list.

    The value itself is never built: one that would be slow to build or to compare costs nothing here.
    """
    if isinstance(tree, list) and tree[:1] == ["t"]:
        tree = ["l", *tree[1:]]
    try:
        return _same(tree, expected)
    except (Unsupported, RecursionError):
        return False


def plain(tree: Tree, depth: int = 0) -> str:
    """A value for people: the first parts of the first parts, so that it is short whatever the value."""
    if isinstance(tree, list):
        inside = [plain(part, depth + 1) for part in tree[1 : 1 + _PARTS]] if depth < _DEPTH else []
        more = ["…"] if len(tree) > 1 + len(inside) else []
        if tree[:1] == ["d"]:
            inside = [": ".join(pair) for pair in zip(inside[::2], inside[1::2], strict=False)]
        opened, closed = _BRACKETS.get(str(tree[0]) if tree else "", ("{", "}"))
        return f"{opened}{', '.join(inside + more)}{closed}"
    if not isinstance(tree, str):
        return str(tree)
    if len(tree) > _LETTERS:
        return f"{tree[1:_LETTERS]}…"
    try:
        return repr(scalar(tree))
    except Unsupported:
        return "malformed"


def _same(tree: Tree, expected: Any) -> bool:
    if not isinstance(tree, list):
        return bool((scalar(tree) if isinstance(tree, str) else tree) == expected)
    parts = tree[1:]
    if isinstance(expected, list):
        return tree[0] == "l" and len(parts) == len(expected) and all(map(_same, parts, expected))
    if isinstance(expected, dict) and tree[0] == "d" and len(parts) == 2 * len(expected):
        keys = [key[1:] if isinstance(key, str) and key[:1] == "s" else None for key in parts[::2]]
        found = dict(zip(keys, parts[1::2], strict=True))
        return found.keys() == expected.keys() and all(_same(found[key], expected[key]) for key in expected)
    return False


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.strip().split("\n")]


def _same_line(line: str, wanted: str) -> bool:
    if line == wanted:
        return True
    words, wanted_words = line.split(), wanted.split()
    if len(words) != len(wanted_words):
        return False
    try:
        return all(Decimal(word) == Decimal(other) for word, other in zip(words, wanted_words, strict=True))
    except InvalidOperation:
        return False
