r"""Whether two mathematical answers are equal: structure by ourselves, expressions read by math-verify.

math-verify's parser is used, its `verify` only for sets and inequalities: it takes 1/2**99 for 1/2**98 and
one line for another. Numbers are compared here to 150 digits, expressions at random points, equations by the
ratio of their sides. Runs in a worker process: sympy may take forever.
"""

from __future__ import annotations

import logging
import random
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from localrl.verify import mathtext

if TYPE_CHECKING:
    from collections.abc import Callable

    from localrl.verify.mathtext import Shape

DIGITS = 250
_CLOSE = 1e-150
_RELATION = re.compile(r"<|>|\\[lg]e(?![a-zA-Z])|\\[lg]t(?![a-zA-Z])|\\cup|\\cap|\\setminus|\\ne")
_POINTS = 5


def prepare() -> None:
    """Import sympy and math-verify."""
    _parse("1")


def equal(gold: str, answer: str) -> bool:
    """Whether two normalised answers mean the same."""
    if mathtext.bare_words(gold) == mathtext.bare_words(answer):
        return len(gold) > 1 or gold == answer  # `x` is not `X`
    if _RELATION.search(gold) or _RELATION.search(answer):
        return _same_sets(gold, answer)
    ours, theirs = mathtext.shape(gold), mathtext.shape(answer)
    if {ours.kind, theirs.kind} == {"scalar", "tuple"}:  # one of them may be written as a column
        gold, answer = mathtext.as_vector(gold), mathtext.as_vector(answer)
        ours, theirs = mathtext.shape(gold), mathtext.shape(answer)
    if ours.kind == theirs.kind == "scalar":
        return same_scalars(gold, answer)
    if "scalar" in (ours.kind, theirs.kind):
        ours = mathtext.as_list(gold) if ours.kind == "scalar" else ours
        theirs = mathtext.as_list(answer) if theirs.kind == "scalar" else theirs
    return _same_shapes(ours, theirs)


def _same_shapes(gold: Shape, answer: Shape) -> bool:
    kinds = {gold.kind, answer.kind}
    if "scalar" in kinds:
        scalar, other = (gold, answer) if gold.kind == "scalar" else (answer, gold)
        alone = other.kind == "set" and len(other.parts) == 1
        return alone and equal(scalar.parts[0], other.parts[0])
    if "interval" in kinds and (len(kinds) > 1 or gold.brackets != answer.brackets):
        return False
    if kinds == {"list", "tuple"} and (named := mathtext.named_values(gold, answer)):
        return _same_shapes(*named)
    ordered_only_here = answer.kind == "tuple" and gold.kind in ("set", "list")
    if ordered_only_here or kinds == {"set", "tuple"} or len(gold.parts) != len(answer.parts):
        return False
    if kinds & {"tuple", "interval"}:
        return all(map(_same_parts, gold.parts, answer.parts))
    return _paired(list(gold.parts), list(answer.parts), _same_parts)


def _same_parts(gold: str, answer: str) -> bool:
    """Equal, where a set of one value is not that value: {{0}} is not {0}."""
    sets = [mathtext.shape(part).kind == "set" for part in (gold, answer)]
    return sets[0] == sets[1] and equal(gold, answer)


def _paired(golds: list[Any], answers: list[Any], same: Callable[[Any, Any], bool]) -> bool:
    """Whether each gold value has an answer of its own, whatever the order."""
    for gold in golds:
        found = next((n for n, answer in enumerate(answers) if same(gold, answer)), None)
        if found is None:
            return False
        del answers[found]
    return not answers


def same_scalars(gold: str, answer: str) -> bool:
    """Two answers of one value each."""
    bases = mathtext.base_numeral(gold), mathtext.base_numeral(answer)
    if any(bases):
        return bases[0] == bases[1]
    if (option := mathtext.option(answer)) and mathtext.option(gold):
        return option == mathtext.option(gold)
    named = mathtext.words(gold)
    if named is not None:
        return named == (mathtext.words(answer) or answer.casefold().strip(" ()."))
    if re.fullmatch(r"[A-Z]{3,}", gold) and re.fullmatch(r"[A-Z]{3,}", answer):
        return gold == answer  # points in their order, and no product
    halves = mathtext.meridiem(gold), mathtext.meridiem(answer)
    if all(halves) and halves[0] != halves[1]:
        return False
    if mathtext.clock(gold):
        return gold == mathtext.without_unit(answer)[0]
    terms = gold.split(":"), answer.split(":")
    if max(map(len, terms)) > 2:  # math-verify reads 3:2:1 as 3:2
        return len(terms[0]) == len(terms[1]) and all(map(same_scalars, *terms))
    gold, answer = _comparable(gold, answer)
    if (decided := certain(gold, answer)) is not None:
        return decided
    sides = [side.strip() for side in answer.split("=")]
    if len(sides) > 1 and "=" not in gold and not re.search(r"(?<![\\a-zA-Z])[a-zA-Z]", answer):
        return len(set(sides)) > 1 and all(same_scalars(gold, side) for side in sides)
    return _same_expressions(gold, answer)


def certain(gold: str, answer: str) -> bool | None:
    """The verdict on two rational values, percent signs and units aside; None when one is not rational."""
    (ours, our_unit), (theirs, their_unit) = mathtext.without_unit(gold), mathtext.without_unit(answer)
    percent = [bool(re.search(r"\\?%\s*$", text)) for text in (ours, theirs)]
    values = [mathtext.rational(re.sub(r"\\?%\s*$", "", text)) for text in (ours, theirs)]
    if values[0] is None or values[1] is None:
        return None
    if our_unit and their_unit and our_unit[0] != their_unit[0]:
        return False
    if mathtext.same_rational(values[0], values[1]):
        # The gold answer to "what percent" is often bare, but `0.25\%` is not 1/4.
        return not (percent[1] and not percent[0]) or (abs(values[0][0]) >= 1 and "frac" not in ours)
    if percent[0] == percent[1]:
        return False
    whole, part = (values[0], values[1]) if percent[0] else (values[1], values[0])
    return whole[0] / 100 == part[0]


def _comparable(gold: str, answer: str) -> tuple[str, str]:
    """Both without unit, and a label such as `x =` taken from the one when the other has none."""
    gold, answer = mathtext.without_unit(gold)[0], mathtext.without_unit(answer)[0]
    bare = mathtext.without_label(gold), mathtext.without_label(answer)
    if "=" not in bare[0] and ("=" not in bare[1] or bare[0] == gold):
        labels = gold[: len(gold) - len(bare[0])], answer[: len(answer) - len(bare[1])]
        taken_from_one = "" in labels and "+" not in labels[0]  # `x+y=5` is a line, not 5
        if taken_from_one or mathtext.squeezed(labels[0]) == mathtext.squeezed(labels[1]):
            gold, answer = bare
    if "=" not in gold and "=" in answer:
        return gold, mathtext.without_unit(mathtext.without_sought(answer))[0]
    return gold, answer


def _same_expressions(gold: str, answer: str) -> bool:
    import sympy

    ours, theirs = _parse(gold), _parse(answer)
    if ours is None or theirs is None:
        return False
    if isinstance(ours, sympy.Equality) and isinstance(theirs, sympy.Equality):
        return _same_equations(ours, theirs)
    if isinstance(ours, sympy.Equality) or isinstance(theirs, sympy.Equality):
        return False
    if isinstance(ours, sympy.MatrixExpr) or isinstance(theirs, sympy.MatrixExpr):
        ours, theirs = ours.doit(), theirs.doit()  # a number times a matrix
    if isinstance(ours, sympy.MatrixBase) or isinstance(theirs, sympy.MatrixBase):
        both = isinstance(ours, sympy.MatrixBase) and isinstance(theirs, sympy.MatrixBase)
        return both and ours.shape == theirs.shape and all(map(_same_values, ours, theirs))
    if isinstance(ours, sympy.Set) or isinstance(theirs, sympy.Set):
        return _same_sets(gold, answer)
    if not (isinstance(ours, sympy.Expr) and isinstance(theirs, sympy.Expr)):
        return False
    return _same_values(ours, theirs)


def _same_values(a: Any, b: Any) -> bool:
    """Expressions that agree at every random point where both have a value, numbers to 150 digits."""
    a, b = _exact(a), _exact(b)
    symbols = sorted(a.free_symbols | b.free_symbols, key=str)
    if a == b:
        return True
    if not symbols:
        difference = (a - b).doit()
        if difference.is_Rational:
            return bool(difference == 0)
        return _close(_value(a, {}), _value(b, {}))
    if a.free_symbols != b.free_symbols and not _vanish(a, b):
        return False
    return _agree(lambda at: (_value(a, at), _value(b, at)), symbols)


def _vanish(a: Any, b: Any) -> bool:
    """Whether the symbols that only one side has cancel out of it, as in x - x + 1."""
    import sympy

    return bool(sympy.simplify(a).free_symbols == sympy.simplify(b).free_symbols)


def _same_equations(a: Any, b: Any) -> bool:
    """Equations with the same solutions because one is the other times a constant."""
    import sympy

    if not all(isinstance(side, sympy.Expr) for side in (*a.args, *b.args)):
        return bool(a == b)
    left, right = _exact(a.lhs - a.rhs), _exact(b.lhs - b.rhs)
    symbols = sorted(left.free_symbols | right.free_symbols, key=str)
    if left.free_symbols != right.free_symbols or not symbols:
        return False
    ratios = []
    for at in _samples(symbols):
        above, below = _value(left, at), _value(right, at)
        if above is not None and below:
            ratios.append(above / below)
    return len(ratios) >= 3 and ratios[0] != 0 and all(_close(ratios[0], ratio) for ratio in ratios)


def _agree(values: Any, symbols: list[Any]) -> bool:
    seen = 0
    for at in _samples(symbols):
        ours, theirs = values(at)
        if ours is None and theirs is None:
            continue
        if ours is None or theirs is None or not _close(ours, theirs):
            return False
        seen += 1
    return seen >= 2


def _samples(symbols: list[Any]) -> list[dict[Any, Any]]:
    """Fixed random rational points, most of them positive, away from 0 and 1."""
    import sympy

    draw = random.Random("localrl")
    points = []
    for index in range(_POINTS + 2):
        sign = -1 if index >= _POINTS else 1
        points.append({s: sympy.Rational(sign * draw.randint(1100, 3900), 1009) for s in symbols})
    return points


def _value(expression: Any, at: dict[Any, Any]) -> Any:
    """A complex number to `DIGITS` digits, or None where there is none."""
    import sympy

    with_values = expression.subs(at) if at else expression
    try:
        value = sympy.N(with_values.doit(), DIGITS)
    except (ValueError, TypeError, ArithmeticError, AttributeError, NotImplementedError):
        return None
    usable = value.is_number and value.is_finite is not False and not value.has(sympy.nan)
    return value if usable else None


def _close(a: Any, b: Any) -> bool:
    if a is None or b is None:
        return False
    return bool(abs(a - b) <= _CLOSE * max(abs(a), abs(b)))


def _exact(expression: Any) -> Any:
    """With i as the imaginary unit, decimals as fractions, and one symbol for each name."""
    import sympy

    named = {s: sympy.I if str(s) == "i" else sympy.Symbol(str(s)) for s in expression.free_symbols}
    decimals = {f: sympy.Rational(str(f)) for f in expression.atoms(sympy.Float)}
    return expression.xreplace({**named, **decimals})


def _same_sets(gold: str, answer: str) -> bool:
    """Sets, unions and inequalities: by math-verify, checked against false equality of their numbers."""
    import math_verify
    import sympy

    ours, theirs = _read_set(gold), _read_set(answer)
    if ours is None or theirs is None:
        return False
    if isinstance(ours, sympy.FiniteSet) and isinstance(theirs, sympy.FiniteSet):
        return _paired(_values(ours), _values(theirs), _same_values)
    if isinstance(ours, sympy.Set) and isinstance(theirs, sympy.Set):
        return bool(ours == theirs or sympy.SymmetricDifference(ours, theirs) == sympy.EmptySet)
    if isinstance(ours, sympy.Rel) and isinstance(theirs, sympy.Rel):
        a, b = _difference(ours), _difference(theirs)
        strict = isinstance(ours, sympy.StrictLessThan | sympy.StrictGreaterThan)
        alike = strict == isinstance(theirs, sympy.StrictLessThan | sympy.StrictGreaterThan)
        ratio = sympy.simplify(a / b) if b != 0 else sympy.S.Zero
        return alike and bool(ratio.is_number and ratio > 0)
    if isinstance(ours, sympy.Basic) and isinstance(theirs, sympy.Basic) and type(ours) is type(theirs):
        return bool(math_verify.verify([ours], [theirs], timeout_seconds=None))
    return False


def _read_set(text: str) -> Any:
    """A set, or the solutions of an inequality or of several with `or` between; all else as it is."""
    import sympy

    found = [_as_set(_parse(part)) for part in mathtext.alternatives(text)]
    if len(found) > 1 and all(isinstance(part, sympy.Set) for part in found):
        return sympy.Union(*found)
    return found[0] if len(found) == 1 else _as_set(_parse(text))


def _values(values: Any) -> list[Any]:
    """The values in a finite set, `x = 3` standing for 3; what is no value is left out."""
    import sympy

    found = [value.rhs if isinstance(value, sympy.Equality) else value for value in values.args]
    return [value for value in found if isinstance(value, sympy.Expr)]


def _difference(relation: Any) -> Any:
    """An inequality as an expression that has to be below zero (or at it)."""
    return relation.gts - relation.lts if hasattr(relation, "gts") else relation.lhs - relation.rhs


def _as_set(value: Any) -> Any:
    """The solutions of an inequality in one variable; everything else as it is."""
    import sympy

    if isinstance(value, sympy.Equality) and isinstance(value.rhs, sympy.Set):
        return value.rhs
    if isinstance(value, sympy.logic.boolalg.Boolean) and len(value.free_symbols) == 1:
        symbol = next(iter(value.free_symbols))
        plain = sympy.Symbol("x", real=True)
        try:
            parts = value.args if isinstance(value, sympy.And) else [value]
            return sympy.And(*(part.subs(symbol, plain) for part in parts)).as_set()
        except (NotImplementedError, ValueError, AttributeError):
            return value
    return value


def _parse(text: str) -> Any:
    """What math-verify reads in an answer, or None."""
    import math_verify

    if re.search(r"(?<![_^\d.])\d[\d.]* \d", text) or mathtext.changed_by_words(text):
        return None  # it would add two numbers side by side, and take no notice of words
    logging.getLogger("math_verify").setLevel(logging.CRITICAL)
    usual = math_verify.LatexExtractionConfig()
    config = replace(  # as a unit it takes the last letters of `a^2+2ab`
        usual, normalization_config=replace(usual.normalization_config, units=False)
    )
    read = math_verify.parse(f"\\boxed{{{text}}}", extraction_config=[config], parsing_timeout=None)
    return next((value for value in read if not isinstance(value, str)), None)
