r"""Expressions as functions of their letters, read from LaTeX or plain text, evaluated by mpmath to 250
digits.

Settles most answers without sympy, in about a millisecond. What it does not read (sets, sums, words) it
refuses. Letters inside a radical, a logarithm or the base of a power that is no integer stand for positive
numbers, as in the problems that such answers are given to; all others for any number.
"""

from __future__ import annotations

import operator
import random
import re
import threading
from collections import defaultdict
from collections.abc import Callable
from typing import Any

from mpmath.ctx_mp import MPContext

DIGITS = 250
_CLOSE, _NOISE = 150, 230  # digits that have to agree; digits below which a sum holds nothing but rounding
_POINTS, _NEGATIVE = 5, 2
_LARGEST_ARGUMENT = 4000  # bits before the point: a sine of more would need as many digits
_ctx = MPContext()
_ctx.dps = DIGITS
_lock = threading.Lock()  # a context is one thread's at a time

Node = Callable[[dict[str, Any]], Any]
_ANY: dict[str, Any] = defaultdict(lambda: _ctx.mpf(2))

_TOKEN = re.compile(
    r"\s*(?:(?P<number>\d{1,3}(?:,\d{3})+(?![\d,])(?:\.\d+)?|\d+(?:\.\d*)?|\.\d+)|\\(?P<command>[a-zA-Z]+)"
    r"|(?P<letter>[a-zA-Z](?:_(?:\{\w+\}|\w))?'*)|(?P<sign>\*\*|[-+*/^!(){}\[\]|=]|(?<=\\log)_))"
)
_GREEK = re.findall(
    r"\w+",
    "alpha beta gamma delta epsilon zeta eta theta kappa lambda mu nu xi rho sigma tau phi varphi omega",
)
_FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "sin": _ctx.sin, "cos": _ctx.cos, "tan": _ctx.tan, "cot": _ctx.cot, "sec": _ctx.sec, "csc": _ctx.csc,
    "arcsin": _ctx.asin, "arccos": _ctx.acos, "arctan": _ctx.atan, "sinh": _ctx.sinh, "cosh": _ctx.cosh,
    "tanh": _ctx.tanh, "exp": _ctx.exp, "ln": _ctx.ln, "log": _ctx.ln, "lg": _ctx.log10,
}  # fmt: skip
_CLOSING = {"(": ")", "{": "}", "[": "]", "|": "|", "lfloor": "rfloor", "lceil": "rceil", "lvert": "rvert"}


class Unreadable(ValueError):
    """An expression that this module does not read."""


class Expression:
    """What was read; `sides` is one, or two of an equation.

    Raises:
        Unreadable: it is something else, or not in a form that is read here.
    """

    def __init__(self, text: str) -> None:
        self.symbols: set[str] = set()
        self.positive: set[str] = set()
        self._scale = _ctx.zero
        self._tokens = _tokens(text)
        self._at = 0
        try:
            self.sides = [self._sum()]
            if self._take("="):
                self.sides.append(self._sum())
        except RecursionError as error:
            raise Unreadable("too deep") from error
        if self._at < len(self._tokens):
            raise Unreadable(text)

    def value(self, at: dict[str, Any]) -> tuple[Any, Any] | None:
        """The value, or the difference of an equation's sides, and what rounding may leave of zero."""
        self._scale = _ctx.zero
        try:
            values = [side(at) for side in self.sides]
        except (ZeroDivisionError, OverflowError, ValueError, TypeError, ArithmeticError):
            return None
        value = values[0] - values[1] if len(values) > 1 else values[0]
        return (value, self._scale * _ctx.mpf(10) ** -_NOISE) if _ctx.isfinite(value) else None

    # Reading, from the loosest binding to the tightest.

    def _peek(self) -> str:
        return self._tokens[self._at][1] if self._at < len(self._tokens) else ""

    def _take(self, *wanted: str) -> str:
        found = self._peek()
        if found not in wanted or not found:
            return ""
        self._at += 1
        return found

    def _need(self, wanted: str) -> None:
        if not self._take(wanted):
            raise Unreadable(f"no {wanted}")

    def _sum(self) -> Node:
        left = self._product()
        while sign := self._take("+", "-"):
            left = self._added(left, self._product(), 1 if sign == "+" else -1)
        return left

    def _added(self, left: Node, right: Node, sign: int) -> Node:
        def node(at: dict[str, Any]) -> Any:
            a, b = left(at), right(at)
            self._scale = max(self._scale, abs(a), abs(b))
            return a + sign * b

        return node

    def _product(self, function_ends: bool = False) -> Node:
        negative = False
        while sign := self._take("-", "+"):
            negative ^= sign == "-"
        left = self._power()
        while True:
            if not function_ends and self._take("*", "cdot", "times"):
                left = _applied(operator.mul, left, self._signed(self._power))
            elif not function_ends and self._take("/", "div"):
                left = _applied(operator.truediv, left, self._signed(self._power))
            elif self._starts_factor(function_ends):
                left = _applied(operator.mul, left, self._power())
            else:
                break
        return _applied(operator.neg, left) if negative else left

    def _signed(self, read: Callable[[], Node]) -> Node:
        negative = self._take("-")
        node = read()
        return _applied(operator.neg, node) if negative else node

    def _starts_factor(self, function_ends: bool) -> bool:
        if self._at >= len(self._tokens):
            return False
        kind, token = self._tokens[self._at]
        if kind == "number":
            if self._tokens[self._at - 1][0] == "number":
                raise Unreadable("two numbers side by side")
            return True
        if kind == "command":
            return not (function_ends and token in _FUNCTIONS) and token not in (
                "cdot", "times", "div", "rfloor", "rceil", "rvert",
            )  # fmt: skip
        return kind == "letter" or token in ("(", "{", "[")

    def _power(self) -> Node:
        before = self._at
        base = self._postfix()
        if not self._take("^", "**"):
            return base
        inside = {token for kind, token in self._tokens[before : self._at] if kind == "letter"} & self.symbols
        start = self._at
        exponent = self._exponent()
        if not all(token.isdigit() or token in "{}-" for _, token in self._tokens[start : self._at]):
            self.positive |= inside
        return _applied(_raised, base, exponent)

    def _exponent(self) -> Node:
        return self._signed(lambda: self._atom() if self._peek() == "{" else self._power())

    def _postfix(self) -> Node:
        node = self._atom()
        while self._take("!"):
            node = _applied(_factorial, node)
        return node

    def _atom(self) -> Node:
        if self._at >= len(self._tokens):
            raise Unreadable("it ends too early")
        kind, token = self._tokens[self._at]
        self._at += 1
        if kind == "number":
            number = _ctx.mpf(token.replace(",", ""))
            return lambda _: number
        if kind == "letter" or token in _GREEK:
            return self._symbol(token)
        if token in _CLOSING:
            inside = self._sum()
            self._need(_CLOSING[token])
            round_ = {"|": abs, "lvert": abs, "lfloor": _ctx.floor, "lceil": _ctx.ceil}.get(token)
            return _applied(round_, inside) if round_ else inside
        if token == "pi":
            return lambda _: +_ctx.pi
        if token in ("frac", "binom"):
            return _applied(operator.truediv if token == "frac" else _binomial, self._atom(), self._atom())
        if token == "sqrt":
            return self._root()
        if token in _FUNCTIONS:
            return self._function(token)
        raise Unreadable(token)

    def _symbol(self, name: str) -> Node:
        if name in ("e", "i"):
            value = +_ctx.e if name == "e" else _ctx.mpc(0, 1)
            return lambda _: value
        self.symbols.add(name)
        return lambda at: at[name]

    def _positive(self, read: Callable[[], Node]) -> Node:
        start = self._at
        node = read()
        self.positive |= {t for _, t in self._tokens[start : self._at]} & self.symbols
        return node

    def _root(self) -> Node:
        index: Node | None = None
        if self._take("["):
            index = self._sum()
            self._need("]")
        inside = self._positive(self._atom)
        return _applied(_nth_root, inside, index) if index else _applied(_ctx.sqrt, inside)

    def _function(self, name: str) -> Node:
        base: Node | None = None
        power: Node | None = None
        if name == "log" and self._take("_"):
            base = self._atom()
        if self._take("^"):
            power = self._exponent()
        read = (
            self._atom if self._peek() in ("(", "{", "[", "|") else lambda: self._product(function_ends=True)
        )
        inside = self._positive(read) if name in ("ln", "log", "lg") else read()
        inverse = bool(power) and name in ("sin", "cos", "tan") and power({}) == -1 if power else False
        function = _FUNCTIONS["arc" + name if inverse else name]

        def node(at: dict[str, Any]) -> Any:
            value = function(_small(inside(at)))
            value = value / _ctx.ln(base(at)) if base else value
            return _raised(value, power(at)) if power and not inverse else value

        return node


def same(gold: Expression, answer: Expression) -> bool:
    """Whether both agree wherever both have a value; equations, whether one is the other times a constant."""
    if len(gold.sides) != len(answer.sides):
        return False
    symbols, positive = gold.symbols | answer.symbols, gold.positive | answer.positive
    with _lock:
        pairs = [(gold.value(at), answer.value(at)) for at in _samples(sorted(symbols), positive)]
        both = [(a, b) for a, b in pairs if a is not None and b is not None]
        if len(both) < min(2, len(pairs)) or any((a is None) != (b is None) for a, b in pairs):
            return False
        if len(gold.sides) == 1:
            return all(_near(a[0], b[0], max(a[1], b[1])) for a, b in both)
        ratios = [a[0] / b[0] for a, b in both if b[0]]
        same_letters = gold.symbols == answer.symbols and len(ratios) > 2 and ratios[0] != 0
        return same_letters and all(_near(ratio, ratios[0], 0) for ratio in ratios)


INFINITY = _ctx.inf


def number(text: str) -> Any:
    """The real value of an expression without letters, or of `\\infty`; None of all else."""
    if bound := re.fullmatch(r"\s*([-+]?)\s*\\infty\s*", text):
        return -INFINITY if bound[1] == "-" else INFINITY
    try:
        expression = Expression(text)
    except Unreadable:
        return None
    with _lock:
        found = None if expression.symbols or len(expression.sides) > 1 else expression.value({})
    return found[0] if found and _ctx.im(found[0]) == 0 else None


def near(a: Any, b: Any) -> bool:
    with _lock:
        return bool(a == b) or (_ctx.isfinite(a) and _ctx.isfinite(b) and _near(a, b, 0))


def _samples(symbols: list[str], positive: set[str]) -> list[dict[str, Any]]:
    """Fixed random points away from 0 and 1, the last with negative values for letters that may have them."""
    draw = random.Random("localrl")
    points = []
    for index in range(_POINTS + _NEGATIVE if symbols else 1):
        point = {name: _ctx.mpf(draw.randint(1100, 3900)) / 1009 for name in symbols}
        if index >= _POINTS:
            point = {name: value if name in positive else -value for name, value in point.items()}
        points.append(point)
    return points


def _near(a: Any, b: Any, noise: Any) -> bool:
    return bool(abs(a - b) <= max(_ctx.mpf(10) ** -_CLOSE * max(abs(a), abs(b)), noise))


def _tokens(text: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    at, text = 0, text.strip()
    while at < len(text):
        token = _TOKEN.match(text, at)
        if token is None:
            raise Unreadable(text[at:])
        kind = token.lastgroup or ""
        found.append((kind, token[kind]))
        at = token.end()
    return found


def _applied(function: Callable[..., Any], *nodes: Node) -> Node:
    return lambda at: function(*(node(at) for node in nodes))


def _raised(base: Any, exponent: Any) -> Any:
    if _ctx.isint(exponent):
        return base ** int(_small(exponent))
    return _ctx.exp(_small(exponent * _ctx.ln(base))) if base else base


def _nth_root(value: Any, index: Any) -> Any:
    """The real root where there is one."""
    if _ctx.isint(index) and int(index) % 2 and _ctx.im(value) == 0 and _ctx.re(value) < 0:
        return -_ctx.root(-value, int(index))
    return _raised(value, 1 / index)


def _factorial(value: Any) -> Any:
    return _ctx.factorial(_small(value))


def _binomial(over: Any, under: Any) -> Any:
    return _ctx.binomial(_small(over), _small(under))


def _small(value: Any) -> Any:
    if value and _ctx.mag(value) > _LARGEST_ARGUMENT:
        raise OverflowError
    return value
