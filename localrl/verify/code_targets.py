"""From rows of published code benchmarks to targets of the `code` verifier.

A target is a JSON value of one of three kinds:

    {"kind": "stdin", "tests": [{"input": str, "output": str}]}
    {"kind": "call", "function": str, "tests": [{"args": [...], "output": ...}]}
    {"kind": "check", "prompt": str, "test": str, "entry_point": str}

with optional `time_limit_s` (for one test; for a whole check), `memory_bytes`, `float_tolerance`, and
`prelude`: whether LiveCodeBench's imports come before the program (before all but a check's). `check` is
HumanEval's: `test` defines `check(candidate)`, which embeds the answers and so runs in a process of its own.
"""

from __future__ import annotations

import base64
import binascii
import json
import pickletools
import zlib
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError

from localrl.tomlfile import Strict

if TYPE_CHECKING:
    from collections.abc import Mapping

PRIVATE_TESTS_BYTES = 512 * 1024**2
"""The most that one problem's private tests may unpack to."""


class _Target(Strict):
    time_limit_s: float | None = Field(default=None, gt=0)
    memory_bytes: int | None = Field(default=None, ge=64 * 1024**2)
    prelude: bool | None = None
    float_tolerance: float | None = Field(default=None, gt=0, lt=1)


class StdinTest(Strict):
    input: str
    output: str


class StdinTarget(_Target):
    kind: Literal["stdin"]
    tests: list[StdinTest] = Field(min_length=1)


class CallTest(Strict):
    args: list[Any]
    output: Any


class CallTarget(_Target):
    kind: Literal["call"]
    function: str
    tests: list[CallTest] = Field(min_length=1)


class CheckTarget(_Target):
    kind: Literal["check"]
    prompt: str
    test: str
    entry_point: str


Target = StdinTarget | CallTarget | CheckTarget

_TARGET: TypeAdapter[Target] = TypeAdapter(Annotated[Target, Field(discriminator="kind")])
_TEXT_OPCODES = {"UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"}
_SILENT_OPCODES = {"PROTO", "FRAME", "MEMOIZE", "PUT", "BINPUT", "LONG_BINPUT", "STOP"}


def parse(target: Any) -> Target:
    """A target as it is stored, checked.

    Raises:
        ValueError: says which part is wrong.
    """
    try:
        return _TARGET.validate_python(target)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise ValueError(f"malformed target: {where + ': ' if where else ''}{first['msg']}") from error


def humaneval_target(row: Mapping[str, Any]) -> dict[str, Any]:
    """The target of one HumanEval row, with the columns `prompt`, `test` and `entry_point`.

    Raises:
        ValueError: a column is missing or not text.
    """
    return {"kind": "check", **{key: _text(row, key) for key in ("prompt", "test", "entry_point")}}


def livecodebench_target(row: Mapping[str, Any]) -> dict[str, Any]:
    """The target of one LiveCodeBench row: public tests, then private ones.

    Reads the columns `public_test_cases`, `private_test_cases` and `metadata`. A functional test's input
    holds one JSON argument a line, its output one JSON value (LiveCodeBench, `testing_util.py`).

    Raises:
        ValueError: a column is missing or malformed, there is no test, or the tests are of two kinds.
    """
    public = _json_tests(_text(row, "public_test_cases"), "public_test_cases")
    tests = public + _private_tests(_text(row, "private_test_cases"))
    kinds = {test.get("testtype") for test in tests}
    try:
        if kinds == {"stdin"}:
            pairs = [{"input": str(test["input"]), "output": str(test["output"])} for test in tests]
            return {"kind": "stdin", "tests": pairs}
        if kinds == {"functional"}:
            function = json.loads(_text(row, "metadata"))["func_name"]
            calls = [_call(test) for test in tests]
            return {"kind": "call", "function": function, "tests": calls}
    except (KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"malformed LiveCodeBench test: {error!r}") from error
    raise ValueError(f"tests of kinds {sorted(map(str, kinds))}; expected all stdin or all functional")


def _call(test: Mapping[str, Any]) -> dict[str, Any]:
    args = [_value(line) for line in test["input"].split("\n")]
    return {"args": args, "output": _value(test["output"])}


def _value(text: str) -> Any:
    """JSON with integers of any length, which `int` refuses from 4,300 digits on."""
    return json.loads(text, parse_int=lambda digits: int(Decimal(digits)))


def _private_tests(text: str) -> list[dict[str, Any]]:
    """Plain JSON, or base64 of zlib of a pickled JSON text."""
    if text.lstrip().startswith("["):
        return _json_tests(text, "private_test_cases")
    try:
        unpacker = zlib.decompressobj()
        packed = base64.b64decode(text, validate=True)
        data = unpacker.decompress(packed, PRIVATE_TESTS_BYTES)
    except (binascii.Error, zlib.error) as error:
        raise ValueError(f"private_test_cases is neither JSON nor base64 of zlib: {error}") from error
    if not unpacker.eof:
        size = PRIVATE_TESTS_BYTES // 1024**2
        raise ValueError(f"private_test_cases is cut short, or unpacks to more than {size} MiB")
    return _json_tests(_pickled_text(data), "private_test_cases")


def _pickled_text(data: bytes) -> str:
    """The text in a pickle of nothing but one text, found by reading its opcodes; no pickle is ever run."""
    found: list[str] = []
    try:
        for opcode, argument, _ in pickletools.genops(data):
            if opcode.name in _TEXT_OPCODES:
                found.append(str(argument))
            elif opcode.name not in _SILENT_OPCODES:
                raise ValueError(f"a pickle of more than a text ({opcode.name})")
    except ValueError as error:
        raise ValueError(f"private_test_cases: {error}") from error
    if len(found) != 1:
        raise ValueError(f"private_test_cases holds a pickle of {len(found)} texts, expected one")
    return found[0]


def _json_tests(text: str, column: str) -> list[dict[str, Any]]:
    try:
        tests = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{column} is not JSON: {error}") from error
    if not isinstance(tests, list) or not all(isinstance(test, dict) for test in tests):
        raise ValueError(f"{column} is not a list of tests")
    return tests


def _text(row: Mapping[str, Any], column: str) -> str:
    value = row.get(column)
    if not isinstance(value, str):
        raise ValueError(f"column {column!r} is {'missing' if value is None else 'not text'}")
    return value
