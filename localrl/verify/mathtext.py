r"""Answers to mathematical problems as text: one spelling, their structure, and exact rational values.

Everything here is fast and exact; what it cannot decide goes to `mathexpr`, in a worker process.
"""

from __future__ import annotations

import math
import re
import unicodedata
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from localrl.verify.plaintext import JOINT

_DEGREE = r"(?:\^\s*\{?\s*(?:\\circ|°)\s*\}?|\\degrees?(?![a-zA-Z])|°)"
_FONTS = (
    r"math(?:rm|bf|sf|it|tt)|text(?:bf|rm|it|sf|tt|normal)?|mbox|operatorname|underline|emph|boldsymbol|bm"
)
_SPELLINGS = [
    (r"^\s*(?:\\approx|\\simeq|≈)(?![a-zA-Z])", ""),
    (r"(?<=[\w})\]])(?:\s|\\[,;:! ])*\(\s*(?:\\approx|\\simeq|≈)[^()]*\)\s*$", ""),
    (r"\\(?:text)?color\s*\{\w+\}", ""),
    (r"\\[dtc](frac|binom)(?![a-zA-Z])", r"\\\1"),
    (r"\\(?:left|right|[bB]igg?[lrm]?)(?![a-zA-Z])\s*\.?(?=[\s()\[\]{}|.\\]|$)", ""),
    (r"\\(?:displaystyle|textstyle|limits|nolimits)(?![a-zA-Z])", ""),
    (r"\{:\}", ":"),
    (r"\{\s*([^{}]+?)\s*\\choose(?![a-zA-Z])\s*([^{}]+?)\s*\}", r"\\binom{\1}{\2}"),
    (r"^(\d+)_(?:10|\{10\})$", r"\1"),
    (r"\\\\\s*\[\s*-?[\d.]+\s*(?:pt|em|ex|mm|cm)\s*\]", r"\\\\"),
    (r"(?<=\d)\{,\}(?=\d{1,2}(?!\d))", "."),
    (r"\{,\}|,\s*\\!\s*", ","),
    (r",\s*(?:\\text\{[^{}]*\}\s*)?[a-zA-Z]\s*(?:\\in(?![a-zA-Z])|∈)\s*(?:\\mathbb\s*\{?)?[ZNℤℕ]\}?\s*$", ""),
    (r"\\q?quad(?![a-zA-Z])", "  "),
    (r"(?<!\\)\\[,;:! ]|~", " "),
    (rf"(\\(?:sin|cos|tan|cot|sec|csc)\s*[({{]?\s*)(\d+(?:\.\d+)?)\s*{_DEGREE}", r"\1\\frac{\2\\pi}{180}"),
    (_DEGREE, ""),
    (r"\\lbrace(?![a-zA-Z])", r"\\{"),
    (r"\\rbrace(?![a-zA-Z])", r"\\}"),
    (r"\\\{\s*\\\}|\\varnothing(?![a-zA-Z])|∅", r"\\emptyset "),
    (r"\\leq?(?:slant)?(?![a-zA-Z])|≤", r" \\le "),
    (r"\\geq?(?:slant)?(?![a-zA-Z])|≥", r" \\ge "),
    (r"[−–]", "-"),
    (r"⁄", "/"),
    (r"×", r"\\times "),
    (r"[·⋅]", r"\\cdot "),
    (r"±", r"\\pm "),
    (
        r"(?<![\\a-zA-Z])(exp|ln|log|lg|arc(?:sin|cos|tan)|(?:sin|cos|tan)h?|cot|sec|csc)(?![a-zA-Z])",
        r"\\\1 ",
    ),
    (r"\\log_(?:e(?![a-zA-Z])|\{e\})", r"\\ln "),
    (r"π|(?<![\\a-zA-Z])pi(?![a-zA-Z])", r"\\pi "),
    (r"∞|(?<![\\a-zA-Z])(?:infinity|inf|oo)(?![a-zA-Z])|\\infin(?![a-zA-Z])", r"\\infty "),
    (r"∪|(?<![\\a-zA-Z])U(?=\s*[(\[])", r"\\cup "),
    (r"√\s*\(([^()]*)\)|√\s*(\w+)", r"\\sqrt{\1\2}"),
    (r"(?<![\\a-zA-Z])sqrt\s*\(([^()]*)\)", r"\\sqrt{\1}"),
    (r"\\frac\s*(\d)\s*(\d)(?!\d)", r"\\frac{\1}{\2}"),
    (r"\\frac\s*(\{[^{}]*\})\s*(\d)", r"\\frac\1{\2}"),
    (r"\\frac\s*(\d)\s*(\{)", r"\\frac{\1}\2"),
    (r"\\sqrt\s*(\[[^\[\]]*\])?\s*(\d)", r"\\sqrt\1{\2}"),
    (r"(?<![\w.^_}/])(\d+) (\d+)/(\d+)(?!\d)", r"\1\\frac{\2}{\3}"),
    (r"\\(?:math(?:bf|it)|boldsymbol|bm)\s*\{([a-zA-Z])\}|\\(?:math|text)(?:rm)?\s*\{([ie])\}", r"\1\2"),
    (rf"\\(?:{_FONTS})\s*\{{", r"\\text{"),
    (r"\(?\\pmod\s*(?:\{(\w+)\}|(\w))\)?", r"\\text{ mod \1\2}"),
    (r"\\frac\s*\{\s*\\text\{([^{}]*)\}\s*\}\s*\{\s*\\text\{([^{}]*)\}\s*\}", r"\\text{\1/\2}"),
    (r"\\text\{([^{}]*)\}\s*(?:/|\\cdot)\s*\\text\{([^{}]*)\}(?:\^\{?-?\d\}?)?", r"\\text{\1/\2}"),
]
_ROWS = re.compile(
    r"\\begin\{(aligned|gathered|split|cases|array)\}(?:\{[clr]\})?((?:(?!\\begin).)*?)\\end\{\1\}", re.DOTALL
)
_RAISED = re.compile("[⁰¹²³⁴-⁹⁻]+")
_LOWERED = re.compile("[₀-₉]+")
_VULGAR = re.compile("[¼-¾⅐-⅞]")
_RULES = [(re.compile(pattern), replacement) for pattern, replacement in _SPELLINGS]
_TEXT = r"\\text\{([^{}]*)\}"
_DECIMAL = r"[-+]?\s*(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)?(?:\.\d+)?"
_GROUPED = re.compile(r"(?<![\w.,}] )(?<![\w.,}])\d{1,3}(?: \d{3})+(?![\d ]*\d)")
_SCALE = re.compile(r"(?<=\d) ?(\\text\{ ?)?(hundred|thousand|million|billion|trillion)\b")
_ZEROS = {"hundred": 2, "thousand": 3, "million": 6, "billion": 9, "trillion": 12}
_BUILDER = re.compile(
    r"\\\{ ?[a-zA-Z](?: ?\\in ?(?:\\mathbb\{R\}|\\R))? ?(?::|\||\\mid(?![a-zA-Z])) ?(.+)\\\}"
)
_EVERYTHING = re.compile(r"(?i:(?:\\text\{ ?)?all real (?:numbers|values)(?: of [a-z])?(?: ?\})?)")
_NOTHING = re.compile(
    r"(?i:(?:\\text\{ ?)?(?:(?:there (?:is|are) )?no (?:real )?(?:solution|root)s?|(?:the )?empty set) ?\}?)"
)
_OR = re.compile(
    rf"\\text\{{\s*(?:,|,?\s*{JOINT})\s*\}}|(?<![\\a-zA-Z])(?:or|and|und|oder|и|или|和|或)(?![a-zA-Z])|;"
)
_NAME = (
    r"(?:[a-zA-Z](?:_\{?\w+\}?|\^\{-1\}|'+)?(?:\([^()=]*\))?|\[?[A-Z]{2,6}\]?|\\text\{[^{}]*\}"
    r"|(?:m ?)?\\angle ?\{?[A-Z]{1,3}\}?"
    r"|\\(?:alpha|beta|gamma|delta|theta|lambda|mu|rho|sigma|phi|varphi|omega)(?![a-zA-Z]))"
)
_LABEL = re.compile(
    rf"^\s*(?:{_NAME}(?:\s*\+\s*{_NAME})*|\(\s*{_NAME}(?:\s*,\s*{_NAME})+\s*\))\s*"
    r"(?:=|\\(?:in|equiv)(?![a-zA-Z]))(?!=)\s*"
)
_BASE = re.compile(r"^([0-9A-Za-z]+)_\{?(?:\\text\{)?\s*(\d+|[a-z]{3,7})\s*\}?\}?$")
_NUMBERS = "two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen"
_COUNTS = {word: str(count) for count, word in enumerate(["zero", "one", *_NUMBERS.split()])}
_BASES = {word: str(base) for base, word in enumerate(_NUMBERS.split(), 2)}
_BRACKETS = ((r"\{", r"\}"), ("(", ")"), ("[", "]"), ("(", "]"), ("[", ")"), (r"\langle", r"\rangle"))

Kind = Literal["scalar", "list", "set", "tuple", "interval"]


@dataclass(frozen=True, slots=True)
class AnswerShape:
    """An answer's outermost structure; `parts` of a scalar is the text alone.

    `list` is bare and comma-separated, `set` in braces, `tuple` in brackets, `interval` two values of which
    at least one stands beside a square bracket.
    """

    kind: Kind
    parts: tuple[str, ...]
    brackets: str = ""


def normal(text: str) -> str:
    """One spelling of what is written in several ways; the meaning is kept."""
    text = _RAISED.sub(lambda found: f"^{{{unicodedata.normalize('NFKC', found[0])}}}", text.strip())
    text = _LOWERED.sub(lambda found: f"_{{{unicodedata.normalize('NFKC', found[0])}}}", text)
    text = _VULGAR.sub(lambda found: f" {unicodedata.normalize('NFKC', found[0])}", text).strip()
    for opening, closing in (("$$", "$$"), ("\\(", "\\)"), ("\\[", "\\]")):
        text = text.removeprefix(opening).removesuffix(closing)
    text = re.sub(r"\\\$|[$€£¥]|\\(?:pounds|euro)(?![a-zA-Z])|\\+\s*$", "", text).strip()
    text = _ROWS.sub(_as_list, text)
    for rule, replacement in _RULES:
        text = rule.sub(replacement, text)
    text = _GROUPED.sub(lambda found: found[0].replace(" ", ""), text)
    text = _SCALE.sub(lambda found: rf" \times 10^{{{_ZEROS[found[2]]}}}{found[1] or ''}", text)
    text = re.sub(r"\\text\{\s*\}|\s+", " ", text).strip()
    text = re.sub(r"(?<=[\w})\]])\s*[.,:;]+$", "", text).removeprefix("+").strip()
    text = re.sub(r"(?<=[\d ])([APap])\. ?([Mm])$", r"\1\2", text)  # 5:30 p.m.
    text = re.sub(r"(^|=) ?\\text\{([^{}a-zA-Z]*\d[^{}a-zA-Z]*)\}$", r"\1\2", text).strip()
    text = re.sub(r"^\\text\{ ?([\d.,]*\d) ([a-zA-Z .]+)\}$", r"\1 \\text{\2}", text)
    if squeezed(without_label(text)) in ("\\mathbb{R}", "\\R") or _EVERYTHING.fullmatch(text):
        return "(-\\infty,\\infty)"
    if _NOTHING.fullmatch(text):
        return "\\emptyset"
    if condition := _BUILDER.fullmatch(text):
        return condition[1].strip()
    if word := re.fullmatch(r"(?:\\text\{ ?)?([a-zA-Z]+)(?: ?\})?", text):
        text = _COUNTS.get(word[1].lower(), text)
    return _outer_braces(re.sub(r"(= ?)\{([^{}]*)\}$", r"\1\2", text))


def _as_list(rows: re.Match[str]) -> str:
    """The lines of an environment that only sets them below each other."""
    if "&" in (inside := re.sub(r"& ?=", "=", rows[2])):
        return rows[0]
    return ", ".join(line.strip(" ,") for line in inside.split("\\\\") if line.strip(" ,"))


def as_vector(text: str) -> str:
    """A matrix of one column as the tuple that it is written as elsewhere; all else as it is."""
    column = re.fullmatch(r"\\begin\{([pb]matrix)\}([^&]+)\\end\{\1\}", text)
    if not column:
        return text
    values = [part.strip() for part in column[2].split("\\\\") if part.strip()]
    return f"({', '.join(values)})"


def squeezed(text: str) -> str:
    """Without blanks but between digits: two answers with the same are the same answer."""
    return re.sub(r"(?<!\d)\s+|\s+(?!\d)", "", text)


def shape(text: str) -> AnswerShape:
    """The outermost structure of a normalised answer; a value with `\\pm` is two."""
    found = _shape(text)
    if found.kind == "interval":
        return found
    if found.kind == "tuple":
        points = _signed(text)
        return AnswerShape("list", tuple(points)) if len(points) > 1 else found
    parts = tuple(value for part in found.parts for value in _signed(part))
    kind: Kind = "list" if found.kind == "scalar" and len(parts) > 1 else found.kind
    return AnswerShape(kind, parts, found.brackets)


def _signed(text: str) -> list[str]:
    if not re.search(r"\\[pm][pm](?![a-zA-Z])", text):
        return [text]
    plus = text.replace(r"\pm", "+").replace(r"\mp", "-")
    minus = text.replace(r"\pm", "-").replace(r"\mp", "+")
    return [re.sub(r"^(.*=)?\s*\+", r"\1", plus).strip(), minus]


def _shape(text: str) -> AnswerShape:
    text = _LABEL.sub("", text) if re.match(r"^[^=]*(?:=|\\in)\s*(?:\\\{|[(\[])", text) else text
    if re.fullmatch(_DECIMAL, text):
        return AnswerShape("scalar", (text,))
    for opening, closing in _BRACKETS:
        if not (text.startswith(opening) and text.endswith(closing)):
            continue
        inner = text[len(opening) : -len(closing)]
        parts = _split(inner)
        if parts is None or (len(parts) < 2 and opening != "\\{") or re.search(r",\s*(?:,|$)", inner):
            continue
        if opening == "\\{":
            return AnswerShape("set", parts)
        square = "[" in opening or "]" in closing
        kind: Kind = "interval" if square and len(parts) == 2 else "tuple"
        return AnswerShape(kind, parts, opening + closing if kind == "interval" else "")
    parts = _split(_OR.sub(",", text))
    if parts and len(parts) > 1:
        return AnswerShape("list", parts)
    return AnswerShape("scalar", (text,))


def alternatives(text: str) -> list[str]:
    """What stands between `or`, each a condition or a set."""
    return re.split(r"\\text\{\s*,?\s*or\s*\}|(?<![\\a-zA-Z])or(?![a-zA-Z])|\\lor(?![a-zA-Z])", text)


def as_list(text: str) -> AnswerShape:
    """The same with every comma taken as a separator, also in `100,200`."""
    parts = _split(text)
    return AnswerShape("list", parts) if parts and len(parts) > 1 else AnswerShape("scalar", (text,))


def _split(text: str) -> tuple[str, ...] | None:
    """The parts between commas outside all brackets; None when brackets do not balance."""
    parts, depth, start = [], 0, 0
    for found in re.finditer(r"\\[{}]|\\langle|\\rangle|[(\[{}\])]|,", text):
        token = found[0]
        if token == ",":
            if depth == 0:
                parts.append(text[start : found.start()])
                start = found.end()
        else:
            depth += 1 if token in ("\\{", "\\langle", "(", "[", "{") else -1
            if depth < 0:
                return None
    if depth:
        return None
    parts.append(text[start:])
    return tuple(filter(None, map(str.strip, parts)))


def named_values(gold: AnswerShape, answer: AnswerShape) -> tuple[AnswerShape, AnswerShape] | None:
    """Both as tuples, where one is and the other names its values, as `x = 3, y = 4` does for (3, 4).

    The values of a gold answer keep their order, those of an answer are put in the order of their names.
    """
    tuples = []
    for shape in (gold, answer):
        pairs = [re.fullmatch(r"([a-zA-Z]) ?=([^=]+)", part) for part in shape.parts]
        names = [pair[1] for pair in pairs if pair]
        if shape.kind == "tuple":
            tuples.append(shape)
        elif len(set(names)) == len(pairs):
            ordered = sorted(shape.parts) if shape is answer else shape.parts
            tuples.append(AnswerShape("tuple", tuple(part.partition("=")[2].strip() for part in ordered)))
    return (tuples[0], tuples[1]) if len(tuples) == 2 else None


def _outer_braces(text: str) -> str:
    while text.startswith("{") and text.endswith("}") and _split(text[1:-1]) is not None:
        text = text[1:-1].strip()
    return text


def rational(text: str) -> tuple[Fraction, int | None] | None:
    r"""The exact value of an integer, decimal, `a/b` or `\frac{a}{b}`, and the number of its decimals.

    Thousands commas are allowed. None for everything else.
    """
    text = text.strip()
    if re.fullmatch(_DECIMAL, text) and re.search(r"\d", text):
        plain = re.sub(r"[,\s]", "", text)
        return Fraction(plain), len(plain.partition(".")[2]) or None
    if found := re.fullmatch(r"([-+]?)(\d*)\.(\d*)\\(?:overline|bar)\{?(\d+)\}?", text):
        fixed, repeating = found[3], Fraction(int(found[4]), 10 ** len(found[4]) - 1)
        value = Fraction(int(found[2] + fixed or 0) + repeating, 10 ** len(fixed))
        return (-value if found[1] else value), None
    if re.fullmatch(r"[-+]?\d+(?:\.\d+)?[eE][-+]?\d{1,3}", text):
        return Fraction(text), None
    if found := re.fullmatch(r"([-+]?[\d,]*\.?\d+) ?\\(?:times|cdot) ?10 ?\^ ?\{?(-?\d{1,3})\}?", text):
        return Fraction(f"{found[1].replace(',', '')}e{found[2]}"), None
    if found := re.fullmatch(r"([-+]?) ?(\d+) ?\\frac\{(\d+)\}\{(\d+)\}", text):
        mixed = int(found[2]) + Fraction(int(found[3]), int(found[4]) or 1)
        return ((-mixed if found[1] == "-" else mixed), None) if int(found[4]) else None
    found = re.fullmatch(r"([-+]?)\s*\\frac\s*\{\s*([-+]?\d+)\s*\}\s*\{\s*([-+]?\d+)\s*\}", text)
    found = found or re.fullmatch(r"([-+]?)\s*\(?\s*(\d+)\s*/\s*([-+]?\d+)\s*\)?", text)
    if found and int(found[3]):
        value = Fraction(int(found[2]), int(found[3]))
        return (-value if found[1] == "-" else value), None
    return None


def same_rational(gold: tuple[Fraction, int | None], answer: tuple[Fraction, int | None]) -> bool:
    """Equal values; of a value that is no decimal, a decimal rounded to six places or more is accepted."""
    if gold[0] == answer[0]:
        return True
    exact, rounded = (gold, answer) if gold[1] is None else (answer, gold)
    places = rounded[1]
    if exact[1] is not None or places is None or places < 6:
        return False
    return abs(exact[0] - rounded[0]) <= Fraction(1, 2 * 10**places)


def words(text: str) -> str | None:
    r"""The words of an answer that is text, such as `\text{Evelyn}` or `east`, in lower case; else None."""
    inside = re.fullmatch(rf"{_TEXT}", text)
    bare = (inside[1] if inside else text).strip().strip("().")
    marked = inside and not re.search(r"[0-9=+]", bare)
    spelled = re.fullmatch(r"(?!(?:sin|cos|tan|log)$)[A-Za-z][a-z]{2,}|[A-Za-z]+(?:[ '-][A-Za-z]{2,})+", bare)
    return " ".join(bare.casefold().split()) if marked or spelled else None


def bare_words(text: str) -> str:
    """Without the marks of text, blanks, the ending of `20th`, and the capitals of all but a letter alone."""
    bare = squeezed(re.sub(_TEXT, r"\1", text))
    bare = bare if len(bare) == 1 else bare.casefold()  # `x` is not `X`
    return re.sub(r"(?<=\d)(?:st|nd|rd|th)(?![a-z])", "", bare)


def option(text: str) -> str | None:
    """The letter of `B`, `\\text{(B)}` and, before the option's own text, `\\text{(B) } 12`."""
    found = re.match(r"\(?([A-J])\)?$|\\text\{\s*\(?([A-J])\)?\s*\}$|\\text\{\s*\(([A-J])\)", text)
    return next(filter(None, found.groups())) if found else None


def base_numeral(text: str) -> str | None:
    """`52_8` and `52_{8}` alike; None when the answer is no numeral with a base."""
    bare = re.sub(r"\\text\{([0-9A-Fa-f]+)\}", r"\1", squeezed(text))
    found = _BASE.fullmatch(re.sub(r"^\(([0-9A-Fa-f]+)\)_", r"\1_", bare))
    if not found or not re.match(r"[0-9A-F]", found[1]):
        return None
    base = _BASES.get(found[2], found[2])
    return f"{found[1].upper()}_{base}" if base.isdigit() else None


def clock(text: str) -> bool:
    """Whether `a:b` is a time of day, as `12:30` and `7:05` are, and no ratio in lowest terms."""
    found = re.fullmatch(r"(\d{1,2}) ?: ?([0-5]\d)", text)
    return bool(found and (found[2] < "10" or math.gcd(int(found[1]), int(found[2])) > 1))


def without_sought(text: str) -> str:
    """The value alone of `AB \\cdot AC = 12`, `P(X>2) = 0.5` or `7 = x`: the other side holds no number."""
    sought, _, value = text.partition("=")
    if re.fullmatch(r" ?[a-zA-Z]", value):
        return sought.strip()
    names = re.sub(r"\\text\{[^{}]*\}|[a-zA-Z]\([^()]*\)|[_^]\{?-?\w+\}?", "x", sought)
    power = re.fullmatch(r"[a-z] ?\^.+", sought.strip())
    named = re.search(r"[a-zA-Z]", names) and not re.search(r"\d|[,<>]", names) and not power
    return value.strip() if named else text


def without_label(text: str) -> str:
    """`x = 5`, `f(x) = 5` and `x \\in S` without what stands before the value."""
    return _LABEL.sub("", text)
