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


def same_text(output: str, expected: str, tolerance: float | None = None) -> bool:
    """As many lines, each the same but for blanks around it, or the same as a list of decimal numbers.

    Args:
        tolerance: how far a number may be off, absolutely or relatively; words must be the same.
    """
    if output == expected:
        return True
    lines, wanted = _lines(output), _lines(expected)
    return len(lines) == len(wanted) and all(
        _same_line(line, other, tolerance) for line, other in zip(lines, wanted, strict=True)
    )


def same_value(tree: Tree, expected: Any, tolerance: float | None = None) -> bool:
    """Whether an encoded value is `==` to a JSON value, a tuple at the top counting as a list.

    With a tolerance, numbers of which one is a float may be so far apart, absolutely or relatively.

    The value itself is never built: one that would be slow to build or to compare costs nothing here.
    """
    if isinstance(tree, list) and tree[:1] == ["t"]:
        tree = ["l", *tree[1:]]
    try:
        return _same(tree, expected, tolerance)
    except (Unsupported, RecursionError, OverflowError):
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


def _same(tree: Tree, expected: Any, tolerance: float | None) -> bool:
    if not isinstance(tree, list):
        value = scalar(tree) if isinstance(tree, str) else tree
        kinds = {type(value), type(expected)}
        if tolerance and float in kinds and kinds <= {int, float}:
            return bool(abs(value - expected) <= tolerance * max(1, abs(expected)) or value == expected)
        return bool(value == expected)
    parts = tree[1:]
    if isinstance(expected, list):
        return (
            tree[0] == "l"
            and len(parts) == len(expected)
            and all(_same(part, other, tolerance) for part, other in zip(parts, expected, strict=True))
        )
    if isinstance(expected, dict) and tree[0] == "d" and len(parts) == 2 * len(expected):
        keys = [key[1:] if isinstance(key, str) and key[:1] == "s" else None for key in parts[::2]]
        found = dict(zip(keys, parts[1::2], strict=True))
        return found.keys() == expected.keys() and all(
            _same(found[key], expected[key], tolerance) for key in expected
        )
    return False


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.strip().split("\n")]


def _same_line(line: str, wanted: str, tolerance: float | None) -> bool:
    if line == wanted:
        return True
    words, wanted_words = line.split(), wanted.split()
    if len(words) != len(wanted_words):
        return False
    pairs = zip(words, wanted_words, strict=True)
    try:
        if tolerance is None:
            return all(Decimal(word) == Decimal(other) for word, other in pairs)
        return all(word == other or _near(Decimal(word), Decimal(other), tolerance) for word, other in pairs)
    except InvalidOperation:
        return False


def _near(value: Decimal, expected: Decimal, tolerance: float) -> bool:
    return value == expected or abs(value - expected) <= Decimal(tolerance) * max(Decimal(1), abs(expected))
