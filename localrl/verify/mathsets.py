r"""Sets of real numbers, as disjoint intervals in order: unions, finite sets, inequalities in one letter."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any, NamedTuple

from localrl.verify import mathtext, mathvalue

_RELATION = re.compile(r"(<|>|\\[lg]e(?![a-zA-Z])|\\[lg]t(?![a-zA-Z])|\\neq?(?![a-zA-Z]))")
_LETTER = re.compile(r"(?:[a-zA-Z]|\\(?:alpha|beta|theta|lambda|mu|phi))(?:_\{?\w\}?)?")
_WITHOUT = re.compile(r"\\(?:mathbb\{R\}|R|mathbf\{R\})\s*(?:\\setminus|\\backslash|-)\s*(\\\{.*\\\})")


class RealInterval(NamedTuple):
    """From `low` to `high`; `low_open` and `high_open` are 1 where the end is not in it."""

    low: Any
    low_open: int
    high: Any
    high_open: int


def read(text: str) -> list[RealInterval] | None:
    """The set as disjoint intervals in order, or None where it is of no such form."""
    found: list[RealInterval] = []
    if without := _WITHOUT.fullmatch(text.strip()):
        points = mathtext.shape(without[1])
        return _around([mathvalue.number(part) for part in points.parts])
    for part in mathtext.alternatives(re.sub(r"\\cup(?![a-zA-Z])", r"\\text{or}", text)):
        read_part = _inequality(part) if _RELATION.search(part) else _bracketed(part)
        if read_part is None:
            return None
        found += read_part
    return _merged(found)


def _bracketed(text: str) -> list[RealInterval] | None:
    """`(a, b]`, or a set of numbers."""
    shape = mathtext.shape(text.strip())
    values = [mathvalue.number(part) for part in shape.parts]
    if None in values:
        return None
    if shape.kind == "set":
        return [RealInterval(value, 0, value, 0) for value in values]
    if shape.kind not in ("interval", "tuple") or len(values) != 2:
        return None
    brackets = shape.brackets or "()"
    return [RealInterval(values[0], int(brackets[0] == "("), values[1], int(brackets[-1] == ")"))]


def _inequality(text: str) -> list[RealInterval] | None:
    """`x < a`, `a \\le x < b` or `x \\ne a`, one letter alone on one side."""
    terms = [term.strip() for term in _RELATION.split(text)]
    letters = [n for n in range(0, len(terms), 2) if _LETTER.fullmatch(terms[n])]
    if len(letters) != 1 or len(terms) > 5:
        return None
    found, letter = RealInterval(-mathvalue.INFINITY, 1, mathvalue.INFINITY, 1), letters[0]
    for n in range(1, len(terms), 2):
        value = mathvalue.number(terms[n + 1] if n > letter else terms[n - 1])
        if value is None or abs(n - letter) != 1:
            return None
        sign = terms[n]
        if "ne" in sign:
            return _around([value]) if len(terms) == 3 else None
        below = (sign == "<" or "\\l" in sign) == (n > letter)
        is_open = int("e" not in sign)
        bound = {"high": value, "high_open": is_open} if below else {"low": value, "low_open": is_open}
        found = found._replace(**bound)
    return [found]


def _around(points: list[Any]) -> list[RealInterval] | None:
    """Every number but these."""
    if None in points:
        return None
    ends = [-mathvalue.INFINITY, *sorted(points), mathvalue.INFINITY]
    return [RealInterval(a, 1, b, 1) for a, b in pairwise(ends)]


def _merged(intervals: list[RealInterval]) -> list[RealInterval]:
    merged: list[RealInterval] = []
    for one in sorted(intervals):
        if one.low > one.high or (one.low == one.high and (one.low_open or one.high_open)):
            continue
        if merged and (one.low, one.low_open + merged[-1].high_open) < (merged[-1].high, 2):
            last = merged.pop()
            high, is_open = max((last.high, -last.high_open), (one.high, -one.high_open))
            one = RealInterval(last.low, last.low_open, high, -is_open)
        merged.append(one)
    return merged


def same(gold: list[RealInterval], answer: list[RealInterval]) -> bool:
    """Whether the ends agree, to the digits to which expressions do."""
    return len(gold) == len(answer) and all(
        a.low_open == b.low_open and a.high_open == b.high_open
        and mathvalue.near(a.low, b.low) and mathvalue.near(a.high, b.high)
        for a, b in zip(gold, answer, strict=True)
    )  # fmt: skip
