r"""What only sympy can compare: other sets and inequalities, sums and integrals, read by math-verify's
parser.

Its `verify` is not used: it takes 1/2**99 for 1/2**98 and one line for another. sympy may take forever: this
runs in a worker process.
"""

from __future__ import annotations

import logging
import re
from dataclasses import replace
from typing import Any

import math_verify
import sympy

from localrl.verify import mathtext
from localrl.verify.mathwords import changing

_DIGITS, _CLOSE = 250, 1e-150
_POINTS = ("1.37", "2.71", "3.19", "-1.83")
_STRICT = (sympy.StrictLessThan, sympy.StrictGreaterThan)


def same(gold: str, answer: str) -> bool:
    """Whether two normalised answers mean the same; False where one cannot be read."""
    ours, theirs = _read(gold), _read(answer)
    if isinstance(ours, sympy.Set) and isinstance(theirs, sympy.Set):
        return bool(ours == theirs or sympy.SymmetricDifference(ours, theirs) == sympy.EmptySet)
    if isinstance(ours, sympy.Rel) and isinstance(theirs, sympy.Rel):
        a, b = _difference(ours), _difference(theirs)
        ratio = sympy.simplify(a / b) if b != 0 else sympy.S.Zero
        alike = isinstance(ours, _STRICT) == isinstance(theirs, _STRICT)
        return alike and bool(ratio.is_number and ratio > 0)
    if isinstance(ours, sympy.Expr) and isinstance(theirs, sympy.Expr):
        return _same_values(_exact(ours), _exact(theirs))
    return ours is not None and bool(ours == theirs)


def _same_values(a: Any, b: Any) -> bool:
    """Expressions that agree at every point where both have a value, numbers to 150 digits."""
    if a == b:
        return True
    symbols = sorted(a.free_symbols | b.free_symbols, key=str)
    points = [{s: sympy.Rational(value) + n for n, s in enumerate(symbols)} for value in _POINTS]
    values = [(_value(a, at), _value(b, at)) for at in (points if symbols else [{}])]
    both = [(one, other) for one, other in values if one is not None or other is not None]
    return len(both) >= min(2, len(values)) and all(
        one is not None and other is not None and abs(one - other) <= _CLOSE * max(abs(one), abs(other))
        for one, other in both
    )


def _value(expression: Any, at: dict[Any, Any]) -> Any:
    """A complex number to `_DIGITS` digits, or None where there is none."""
    try:
        value = sympy.N(expression.subs(at).doit(), _DIGITS)
    except (ValueError, TypeError, ArithmeticError, AttributeError, NotImplementedError):
        return None
    usable = value.is_number and value.is_finite is not False and not value.has(sympy.nan)
    return value if usable else None


def _exact(expression: Any) -> Any:
    """With i as the imaginary unit, decimals as fractions, and one symbol for each name."""
    named = {s: sympy.I if str(s) == "i" else sympy.Symbol(str(s)) for s in expression.free_symbols}
    decimals = {f: sympy.Rational(str(f)) for f in expression.atoms(sympy.Float)}
    return expression.xreplace({**named, **decimals})


def _difference(relation: Any) -> Any:
    """An inequality as an expression that has to be below zero (or at it)."""
    return relation.gts - relation.lts if hasattr(relation, "gts") else relation.lhs - relation.rhs


def _read(text: str) -> Any:
    """A set, or the solutions of an inequality or of several with `or` between; all else as it is."""
    found = [_as_set(_parse(part)) for part in mathtext.alternatives(text)]
    if len(found) > 1 and all(isinstance(part, sympy.Set) for part in found):
        return sympy.Union(*found)
    return found[0] if len(found) == 1 else _as_set(_parse(text))


def _as_set(value: Any) -> Any:
    """The solutions of an inequality in one variable; everything else as it is."""
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
    words = " ".join(re.findall(r"\\text\{([^{}]*)\}", text))
    if re.search(r"(?<![_^\d.])\d[\d.]* \d", text) or changing(words):
        return None  # it would add two numbers side by side, and take no notice of words
    logging.getLogger("math_verify").setLevel(logging.CRITICAL)
    usual = math_verify.LatexExtractionConfig()
    config = replace(  # as a unit it takes the last letters of `a^2+2ab`
        usual, normalization_config=replace(usual.normalization_config, units=False)
    )
    read = math_verify.parse(f"\\boxed{{{text}}}", extraction_config=[config], parsing_timeout=None)
    return next((value for value in read if not isinstance(value, str)), None)
