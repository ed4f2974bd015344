r"""The words beside a number: which are a unit or filler, and which make it another answer.

`\text{Plan A: } 30 \text{ cm}` is a label (`Plan A`), a value and what it counts (`cm`). A label or a unit
that only one of two answers has is no difference; one that both have must not contradict. Words directly
before the number (`July 12`, `increase of 20`) and words that change its value (`twice`, `or more`) must be
the same in both.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_WORDS = """
the a an of it its we i so that total final answer result value about approximately approx roughly around
exactly only just in per for each every to on at with from by therefore thus hence rs usd eur us inr is
are was be there equals has have

not no nor none never neither either or wrong incorrect more less fewer greater least most than over under
below above between minus negative plus half dozen twice thrice double triple but except anything
factorial
"""
_FILLER, _CHANGING = (frozenset(words.split()) for words in _WORDS.split("\n\n"))
_LABEL = re.compile(
    r"(?i:.*(?::|=|\b(?:is|are|was|were|be|equals?|ha(?:s|ve|d)|gets?|needs?|costs?|takes?|makes?)\b))"
)
_UNIT = (  # without a blank before it, any other two or three letters are a product, as in `2ab`
    r"(?:(?:[cmkdn]m|k?g|m[gls]|mL|kL|hrs?|min|sec|in|ft|yd|mi|lbs?|oz|[ap]m|mph|kph|rad|deg|day|cts|cal|k?[JW]|[ck]?m/[smh]"
    r"|[kMG]?Hz|[kMG]?eV|mol)(?![a-zA-Z])|[a-zA-Z]{4,}|(?<=\s)[a-zA-Z]{3})"
)
_VALUE = (
    r"-?\d{1,2} ?: ?[0-5]\d|-?[\d.,]*\d(?: ?\\?%)?|-?\\frac\{\d+\}\{\d+\}"
    r"|-?[\d.,]* ?(?:\\sqrt\{\d+\}|\\pi)|\d+ ?/ ?\d+|[\d.]+(?: ?\\times ?10 ?\^\{?-?\d+\}?|[eE]-?\d+)"
)
_POWER = r"(?:\^\{?-?[123]\}?)?"
_BARE = re.compile(
    rf"(?P<before>(?:[a-zA-Z][a-zA-Z'’]*[ :,]+)*)(?P<value>{_VALUE})\s*"
    rf"(?P<after>(?:{_UNIT}[a-zA-Z ./,'’]*{_POWER})?)"
)
_MARKED = re.compile(
    rf"(?P<before>(?:[a-zA-Z][a-zA-Z'’.-]*[ :,=.]+)*)(?P<value>{_VALUE}) ?"
    rf"(?P<after>(?:[a-zA-Z ./,:'’!()-]+{_POWER})*)"
)
_OPTION = re.compile(r"^\\text\{\s*\([A-J]\)\s*\}\s*(?=\S)")
_AFTER = re.compile(rf"(?P<value>.*[^\s_])\s*\\text\{{(?P<after>[^{{}}]*)\}}\s*{_POWER}")
_BEFORE = re.compile(r"\\text\{(?P<before>[^{}]*)\}\s*(?P<value>[-\d\\(].*)")
_SINGLE = {"m": "met", "s": "sec", "h": "hour", "g": "gram", "l": "lit"}


@dataclass(frozen=True, slots=True)
class Worded:
    """A value and the words beside it."""

    value: str
    label: frozenset[str] = frozenset()
    before: frozenset[str] = frozenset()
    after: frozenset[str] = frozenset()
    changing: frozenset[str] = frozenset()


def worded(text: str) -> Worded:
    """A normalised answer and its words apart; all of it as the value where it is no single value."""
    text = _OPTION.sub("", text)
    marked = "\\text" in text
    flat = " ".join(re.sub(r"\\text\{([^{}]*)\}", r" \1 ", text).split())
    found = (_MARKED if marked else _BARE).fullmatch(flat)
    if found is None and marked:
        found = _AFTER.fullmatch(text) or _BEFORE.fullmatch(text)
    groups = found.groupdict() if found else {}
    before, after = groups.get("before") or "", groups.get("after") or ""
    if not found or not re.search(r"[a-zA-Z]", before + after):
        return Worded(text)
    if not marked and before and not re.search(r"[a-zA-Z]{3}", before):
        return Worded(text)
    label = _LABEL.match(before)
    close = before[label.end() :] if label else before
    return Worded(
        found["value"].strip(),
        _significant(label[0]) if label else frozenset(),
        _significant(close),
        _significant(after),
        changing(f"{before} {after}"),
    )


def agree(gold: Worded, answer: Worded) -> bool:
    """Whether the words of both leave it open that the values decide."""
    if gold.changing != answer.changing:
        return False
    same_before = gold.before == answer.before or gold.before | gold.after == answer.before | answer.after
    return same_before and not any(map(_contradict, (gold.label, gold.after), (answer.label, answer.after)))


def changing(words: str) -> frozenset[str]:
    """The words that make another value of the number beside them."""
    found = frozenset(re.findall(r"[a-z]+", words.casefold())) & _CHANGING
    power = frozenset({"power"} if words.strip() in ("squared", "cubed") else ())
    return found | power | ({"not"} if re.search(r"n['’]t\b", words) else frozenset())


def _significant(words: str) -> frozenset[str]:
    found = re.findall(r"[a-zA-Z]+", re.sub(r"(?<=[a-zA-Z])\.(?=[a-zA-Z]|$)", "", words))
    names = {word for word in found[1:] if len(word) == 1 and word.isupper()}  # `Plan A`
    return frozenset(names | ({word.casefold() for word in found if word not in names} - _FILLER - _CHANGING))


def _contradict(gold: frozenset[str], answer: frozenset[str]) -> bool:
    """Whether each has a word that the other has not."""

    def alone(some: frozenset[str], others: frozenset[str]) -> bool:
        return any(not any(_same_word(word, other) for other in others) for word in some)

    return alone(gold, answer) and alone(answer, gold) and not _initials(gold, answer)


def _same_word(a: str, b: str) -> bool:
    """The same but for a plural, or one the other's abbreviation, as `cm` is of `centimeters`."""
    short, long = sorted((a.removesuffix("s") or a, b.removesuffix("s") or b), key=len)
    if short == long:
        return True
    if len(short) == 1:
        return short in _SINGLE and long.startswith(_SINGLE[short])
    rest = iter(long)
    return len(short) <= 3 < len(long) and short[0] == long[0] and all(letter in rest for letter in short)


def _initials(gold: frozenset[str], answer: frozenset[str]) -> bool:
    """`mph` and `miles per hour`: the abbreviation begins and ends as the words do."""
    return any(
        len(some) == 1 and len(word := next(iter(some))) == 3 and {w[0] for w in others} == {word[0], word[2]}
        for some, others in ((gold, answer), (answer, gold))
    )
