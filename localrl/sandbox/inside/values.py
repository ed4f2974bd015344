"""Plain Python values as JSON trees of strings and lists, so that nothing of them is left to interpretation.

    None, True, False   null, true, false        list, tuple, set, frozenset   ["l", ...] "t" "S" "F"
    int                 "i" + hexadecimal        dict                          ["d", key, value, ...]
    float               "f" + float.hex          str                           "s" + text
                                                 bytes                         "b" + hexadecimal

Subclasses go as their base: a defaultdict is a dict, a numpy float is a float.
"""

from __future__ import annotations

from typing import Any

Tree = None | bool | str | list[Any]

_CONTAINERS = {list: "l", tuple: "t", set: "S", frozenset: "F"}
_BUILDERS: dict[str, Any] = {"l": list, "t": tuple, "S": set, "F": frozenset}


class Unsupported(ValueError):
    """A value, or a tree, that is not of the kinds above."""


def encode(value: Any) -> Tree:
    """The tree of a value.

    Raises:
        Unsupported: it holds anything but the kinds above; names the type.
    """
    if value is None or value is True or value is False:
        tree: Tree = value
        return tree
    if isinstance(value, str):
        return "s" + str.__str__(value)
    if isinstance(value, int):
        return "i" + int.__format__(value, "x")
    if isinstance(value, float):
        return "f" + float.hex(value)
    for kind, tag in _CONTAINERS.items():
        if isinstance(value, kind):
            return [tag, *map(encode, kind.__iter__(value))]
    if isinstance(value, dict):
        return ["d", *(encode(part) for pair in dict.items(value) for part in pair)]
    if isinstance(value, bytes):
        return "b" + bytes.hex(value)
    if type(value).__module__ == "numpy" and hasattr(value, "item") and not getattr(value, "ndim", 1):
        return encode(value.item())
    raise Unsupported(f"a value of type {type(value).__name__}")


def decode(tree: Tree) -> Any:
    """The value of a tree.

    Raises:
        Unsupported: the tree is malformed.
    """
    if tree is None or isinstance(tree, bool):
        return tree
    if isinstance(tree, str):
        return scalar(tree)
    if not isinstance(tree, list) or not tree:
        raise Unsupported("malformed tree")
    parts = [decode(part) for part in tree[1:]]
    try:
        if tree[0] == "d":
            return dict(zip(parts[::2], parts[1::2], strict=True))
        return _BUILDERS[tree[0]](parts)
    except (KeyError, TypeError, ValueError) as error:
        raise Unsupported("malformed tree") from error


def scalar(text: str) -> Any:
    """A str, int, float or bytes from its text.

    Raises:
        Unsupported: it is none.
    """
    kind, rest = text[:1], text[1:]
    try:
        if kind == "s":
            return rest
        if kind == "i":
            return int(rest, 16)
        if kind == "f":
            return float.fromhex(rest)
        if kind == "b":
            return bytes.fromhex(rest)
    except (ValueError, OverflowError) as error:
        raise Unsupported(f"malformed number {text[:40]!r}") from error
    raise Unsupported(f"malformed value {text[:40]!r}")
