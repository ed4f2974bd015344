"""Two ends of a call: a program that answers them, and a judge that makes them.

One JSON document a line. To a program: `[id, [argument, ...]]`; back: `[id, "value", tree]`, `[id, "raised",
text]` or `[id, "unsupported", text]`. From a judge: `["call", tree]`, answered by a tree, and at its end
`["passed"]`, `["failed", text]` or `["broken", text]` when the check itself is at fault.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any, NoReturn

import values

if TYPE_CHECKING:
    from collections.abc import Callable

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
        number, arguments = channel.receive()
        try:
            function = function or _find(load(), name)
            given = [values.decode(argument) for argument in arguments]
            reply = [number, "value", values.encode(function(*given))]
        except values.Unsupported as error:
            reply = [number, "unsupported", str(error)]
        except BaseException as error:  # noqa: BLE001 - SystemExit too is an answer
            reply = [number, "raised", _describe(error)]
        channel.send(reply)


def judge(channel: Channel, load: Callable[[], dict[str, Any]], name: str) -> NoReturn:
    """Run `check(candidate)`, every call of `candidate` (also by its own name) answered by the parent."""

    def candidate(*arguments: object) -> object:
        try:
            trees = [values.encode(argument) for argument in arguments]
        except values.Unsupported as error:
            broken(f"the check passes {error}")
        channel.send(["call", trees])
        return values.decode(channel.receive())

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
