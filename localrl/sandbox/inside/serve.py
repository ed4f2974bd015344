"""Two ends of a call: a program that answers them, and a judge that makes them.

One JSON document a line. To a program: `[id, [argument, ...]]`; back: `[id, "value", tree]`, `[id, "raised",
text, type]` or `[id, "unsupported", text]`. For a judge the named arguments follow the others, `[[name,
argument], ...]`, and a value by what the call left of both. From a judge: `["call", arguments, named]`,
answered by `["value", tree, arguments, named]` or `["raised", text, type]`, and at its end `["passed"]`,
`["failed", text]` or `["broken", text]` when the check itself is at fault.
"""

from __future__ import annotations

import builtins
import json
import os
from typing import TYPE_CHECKING, Any, NoReturn

import values

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_loads, _dumps, _write, _exit = json.loads, json.dumps, os.write, os._exit
_TEXT = 500  # characters of an error's message


class Channel:
    """Standard input and output, taken away from the program and kept for messages."""

    def __init__(self) -> None:
        requests, self._out = os.dup(0), os.dup(1)
        self._in = open(requests, "rb")  # noqa: PTH123, SIM115 - a descriptor, open until the end
        nothing = os.open("/dev/null", os.O_RDWR)
        os.dup2(nothing, 0)
        os.dup2(nothing, 1)
        os.close(nothing)

    def receive(self) -> Any:
        line = self._in.readline()
        if not line:
            _exit(0)
        return _loads(line)

    def send(self, message: list[Any]) -> None:
        data = _dumps(message, separators=(",", ":")).encode() + b"\n"
        while data:
            data = data[_write(self._out, data) :]


def answer_calls(channel: Channel, load: Callable[[], dict[str, object]], name: str) -> NoReturn:
    """Load the program at the first call, so that what goes wrong then is an answer to it."""
    function: Callable[..., object] | None = None
    while True:
        number, *arguments = channel.receive()
        try:
            function = function or _find(load(), name)
            given, named = _decoded(*arguments)
            reply = [number, "value", values.encode(function(*given, **named))]
            if len(arguments) > 1:
                reply += _encoded(given, named)
        except values.Unsupported as error:
            reply = [number, "unsupported", str(error)]
        except BaseException as error:  # noqa: BLE001 - SystemExit too is an answer
            reply = [number, "raised", _describe(error), _known_type(error)]
        channel.send(reply)


def judge(channel: Channel, load: Callable[[], dict[str, Any]], name: str) -> NoReturn:
    """Run `check(candidate)`, every call of `candidate` (also by its own name) answered by the parent."""

    def candidate(*arguments: object, **named: object) -> object:
        try:
            trees = _encoded(arguments, named)
        except values.Unsupported as error:
            broken(f"the check passes {error}")
        channel.send(["call", *trees])
        kind, value, *more = channel.receive()
        if kind == "raised":
            raise _exception(more[0], value)
        left, left_named = _decoded(*more)
        for mine, theirs in zip([*arguments, *named.values()], [*left, *left_named.values()], strict=True):
            _change(mine, theirs)
        return values.decode(value)

    def broken(text: str) -> NoReturn:
        channel.send(["broken", text])
        _exit(0)

    try:
        namespace = load()
        namespace[name] = candidate
        check = namespace["check"]
    except Exception as error:  # noqa: BLE001 - whatever it is, the check cannot be had
        broken(_describe(error))
    try:
        check(candidate)
        channel.send(["passed"])
    except Exception as error:  # noqa: BLE001 - any exception in a check is a failed check
        channel.send(["failed", _describe(error)])
    _exit(0)


def _encoded(arguments: Iterable[object], named: dict[str, object]) -> list[Any]:
    return [
        [values.encode(argument) for argument in arguments],
        [[name, values.encode(argument)] for name, argument in named.items()],
    ]


def _decoded(arguments: list[Any], named: Iterable[Any] = ()) -> tuple[list[object], dict[str, object]]:
    return [values.decode(tree) for tree in arguments], {name: values.decode(tree) for name, tree in named}


def _change(mine: Any, theirs: Any) -> None:
    """Do to the check's own argument what the program did to its copy."""
    if type(mine) is type(theirs) and isinstance(mine, (list, set, dict)):
        mine.clear()
        (mine.extend if isinstance(mine, list) else mine.update)(theirs)


def _known_type(error: BaseException) -> str:
    """The nearest type of exception that the check knows as well; what ends a program is a plain one."""
    names = (each.__name__ for each in type(error).__mro__ if getattr(builtins, each.__name__, None) is each)
    return next(names) if isinstance(error, Exception) else "Exception"


def _exception(name: str, text: str) -> Exception:
    """The program chose the name: nothing but an exception is made of it."""
    kind = getattr(builtins, name, None)
    if not (isinstance(kind, type) and issubclass(kind, Exception)):
        return Exception(text)
    try:
        return kind(text)
    except TypeError:  # a Unicode error takes five arguments
        return Exception(text)


def _find(namespace: dict[str, Any], name: str) -> Callable[..., object]:
    """The method of `class Solution`, as LiveCodeBench's starter code has it, or the function."""
    solution = namespace.get("Solution")
    if isinstance(solution, type) and hasattr(solution, name):
        method: Callable[..., object] = getattr(solution(), name)
        return method
    if name not in namespace:
        raise NameError(f"the program defines no {name}")
    function: Callable[..., object] = namespace[name]
    return function


def _describe(error: BaseException) -> str:
    try:
        return f"{type(error).__name__}: {error}"[:_TEXT]
    except BaseException:  # noqa: BLE001 - a message may be hostile too
        return "an exception without a message"
