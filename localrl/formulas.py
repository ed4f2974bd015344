"""Formulas in what a model wrote: where they are, as MathML for a page, as a line of Unicode for a terminal.

latex2mathml reads the LaTeX, and both outputs are made of its tree. A formula that is not understood, or that
Unicode cannot write exactly, stays the source: nothing is dropped and nothing is guessed.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from xml.etree.ElementTree import Element

LONGEST = 2000
"""Characters of a formula that is read."""
FORMULA = re.compile(
    r"\\\((?P<round>.+?)\\\)|\\\[(?P<square>.+?)\\\]|\$\$(?P<double>.+?)\$\$"
    r"|(?<![\\$\w])\$(?P<single>(?! )(?:[^$\\\n]|\\.)+?(?<! ))\$(?![\d$])",
    re.S,
)
"""A formula between LaTeX's or TeX's delimiters; one `$` as Pandoc reads it, so that prices are none."""
_CODE_OR_FORMULA = re.compile(r"```.*?(?:```|\Z)|`[^`\n]+`|" + FORMULA.pattern, re.S)

_RAISED = str.maketrans(
    "0123456789+-−=()abcdefghijklmnoprstuvwxyz′∘",
    "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁻⁼⁽⁾ᵃᵇᶜᵈᵉᶠᵍʰⁱʲᵏˡᵐⁿᵒᵖʳˢᵗᵘᵛʷˣʸᶻ′°",
)
_LOWERED = str.maketrans("0123456789+-−=()aehijklmnoprstuvx", "₀₁₂₃₄₅₆₇₈₉₊₋₋₌₍₎ₐₑₕᵢⱼₖₗₘₙₒₚᵣₛₜᵤᵥₓ")
_ACCENTS = {"―": "\u0305", "¯": "\u0305", "‾": "\u0305", "^": "\u0302", "~": "\u0303", "˙": "\u0307"}
"""What is put above every letter of a base."""
_SPACED = frozenset("=<>≤≥≠≈≡→⇒⇔↦∈∉⊂⊆∪∩+-−±×÷∧∨")
_OPENING = frozenset("([{,;:=<>≤≥≠≈≡→⇒⇔↦∈∉⊂⊆∪∩+-−±×÷∧∨/")
"""After one of them a sign belongs to the number."""
_OPERATORS = _OPENING | frozenset("⋅·∗*)]}|.")
"""Beside one of them a fraction or a root needs no parentheses."""
_WORD = re.compile(r"[A-Za-z]{2,}$")
"""A function's name."""


class _Inexact(Exception):
    """One line of Unicode cannot say it."""


def outside_code(text: str) -> Iterator[re.Match[str]]:
    """The formulas of a Markdown text; in code a dollar is a dollar."""
    return (found for found in _CODE_OR_FORMULA.finditer(text) if found[0][0] != "`")


def latex(found: re.Match[str]) -> str:
    """The LaTeX of a match of `FORMULA`, without its delimiters."""
    return next(group for group in found.groups() if group is not None).strip()


def mathml(source: str) -> Element | None:
    """The formula as a `math` element, tags without namespace; None where it is not understood."""
    from xml.etree import ElementTree

    from latex2mathml.converter import convert

    if len(source) > LONGEST:
        return None
    try:
        tree = ElementTree.fromstring(convert(source))
    except Exception:  # noqa: BLE001 - its errors have no common base, and depth is a RecursionError
        return None
    for part in tree.iter():
        part.tag = part.tag.rpartition("}")[2]
        if "\\" in (part.text or "") or (part.text in ("&", "{", "}", "^", "_") and part.tag == "mi"):
            return None  # the converter passed on what it does not know
    return tree


@lru_cache(maxsize=4096)
def in_unicode(source: str) -> str | None:
    """The formula as one line of text; None where Unicode cannot write it exactly."""
    tree = mathml(source)
    if tree is None:
        return None
    try:
        return " ".join(_row(tree).split())
    except (_Inexact, RecursionError):
        return None


def _row(row: Element) -> str:
    """The parts side by side, with parentheses where that would change the meaning."""
    parts = list(row)
    if len(parts) == 1 and parts[0].tag in _ROWS:
        return _row(parts[0])
    texts = [(part.tag, text) for part in parts if (text := _write(part))]
    written = ""
    for at, (tag, text) in enumerate(texts):
        before = written.rstrip()
        after = "".join(later for _, later in texts[at + 1 :]).lstrip()
        if tag in ("mfrac", "msqrt", "mroot"):
            if tag == "mfrac" and before[-1:].isdigit():
                raise _Inexact  # a mixed number, or a product
            apart = (not before or before[-1] in _OPERATORS) and (not after or after[0] in _OPERATORS)
            written += text if apart else f"({text})"
        elif tag == "mo" and text in _SPACED and before and before[-1] not in _OPENING:
            written += f" {text} "
        elif text == "," and before and not (before[-1:].isdigit() and after[:1].isdigit()):
            written += ", "
        elif at and before[-1:].isalnum() and text[0].isalnum() and _words(texts[at - 1][1], text):
            written += f" {text}"  # sin x
        else:
            written += text
    return written


def _words(*texts: str) -> bool:
    return any(map(_WORD.match, texts))


def _write(part: Element) -> str:
    writer = _WRITERS.get(part.tag)
    if writer is None:
        raise _Inexact
    return writer(part)


def _leaf(part: Element) -> str:
    return (part.text or "").replace("\N{NO-BREAK SPACE}", " ")


def _space(part: Element) -> str:
    width = part.get("width", "")
    return "" if width.startswith(("0.", "-")) else " "


def _grouped(part: Element) -> str:
    """In parentheses, unless it is one number, one letter, or in parentheses already."""
    text = _row(part) if part.tag in _ROWS else _write(part)
    one = re.fullmatch(r"[\d.,]+|\w[\u0300-\u036f\u2070-\u209c²³¹]*|\([^()]*\)", text)
    return text if one else f"({text})"


def _fraction(part: Element) -> str:
    if part.get("linethickness") == "0":
        raise _Inexact
    over, under = part
    return f"{_grouped(over)}/{_grouped(under)}"


def _root(part: Element) -> str:
    index = _script(part[1], _RAISED) if part.tag == "mroot" else ""
    return f"{index}√{_grouped(part[0] if len(part) == 1 or index else part)}"


def _script(part: Element, letters: dict[int, int]) -> str:
    text = (_row(part) if part.tag in _ROWS else _write(part)).replace(" ", "")
    if not text or any(ord(letter) not in letters for letter in text):
        raise _Inexact
    return text.translate(letters)


def _scripts(part: Element) -> str:
    base = _grouped(part[0]) if part[0].tag not in ("mo", "mi") else _write(part[0])
    apart = " " if part[0].tag == "mo" or _WORD.match(base) else ""
    kinds = {"msub": (_LOWERED,), "msup": (_RAISED,)}.get(part.tag, (_LOWERED, _RAISED))
    return base + "".join(_script(script, kind) for script, kind in zip(part[1:], kinds, strict=True)) + apart


def _accented(part: Element) -> str:
    base, sign = (_row(child) if child.tag in _ROWS else _write(child) for child in part)
    accent = _ACCENTS.get(sign, "")
    if not accent or not base.isalnum():
        raise _Inexact
    return "".join(letter + accent for letter in base)


def _boxed(part: Element) -> str:
    if part.get("notation") != "box":
        raise _Inexact
    return f"\\boxed{{{_row(part)}}}"


_ROWS = ("math", "mrow", "mstyle", "mpadded")
_WRITERS: dict[str, Callable[[Element], str]] = {
    **dict.fromkeys(_ROWS, _row),
    **dict.fromkeys(("mi", "mn", "mo", "mtext"), _leaf),
    **dict.fromkeys(("msub", "msup", "msubsup"), _scripts),
    **dict.fromkeys(("msqrt", "mroot"), _root),
    "mspace": _space,
    "mfrac": _fraction,
    "mover": _accented,
    "menclose": _boxed,
}
