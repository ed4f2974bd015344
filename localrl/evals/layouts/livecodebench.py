"""LiveCodeBench: the question in the words of its own prompt, with starter code or for standard input."""

from __future__ import annotations

import base64
import binascii
import json
import pickletools
import zlib
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from localrl.evals.rows import Row, asked, cell, text
from localrl.sample import Problem

if TYPE_CHECKING:
    from localrl.evals.data import Data

PRIVATE_TESTS_BYTES = 512 * 1024**2
"""The most that one problem's private tests may unpack to."""

_TEXT_OPCODES = {"UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"}
_SILENT_OPCODES = {"PROTO", "FRAME", "MEMOIZE", "PUT", "BINPUT", "LONG_BINPUT", "STOP"}
NO_GOLD = "the dataset holds tests and no solutions"


def problem(row: Row, number: int, data: Data) -> Problem:
    starter = str(row.get("starter_code") or "").strip()
    if starter:
        how = (
            "You will use the following starter code to write the solution to the problem and enclose your "
            f"code within delimiters.\n```python\n{starter}\n```"
        )
    else:
        how = (
            "Read the inputs from stdin solve the problem and write the answer to stdout (do not directly "
            "test on the sample inputs). Enclose your code within delimiters as follows. Ensure that when "
            "the python program runs, it reads the inputs, runs the algorithm and writes output to "
            "STDOUT.\n```python\n# YOUR CODE HERE\n```"
        )
    return Problem(
        id=str(cell(row, "question_id")),
        question=f"### Question:\n{asked(row, 'question_content')}\n\n### Format: {how}",
        target=target(row),
        meta={key: str(row.get(key, "")) for key in ("contest_date", "difficulty", "platform")},
    )


def target(row: Row) -> dict[str, Any]:
    """The target of one LiveCodeBench row: public tests, then private ones.

    Reads the columns `public_test_cases`, `private_test_cases` and `metadata`. A functional test's input
    holds one JSON argument a line, its output one JSON value (LiveCodeBench, `testing_util.py`).

    Raises:
        ValueError: a column is missing or malformed, there is no test, or the tests are of two kinds.
    """
    public = _json_tests(text(row, "public_test_cases"), "public_test_cases")
    tests = public + _private_tests(text(row, "private_test_cases"))
    kinds = {test.get("testtype") for test in tests}
    try:
        if kinds == {"stdin"}:
            pairs = [{"input": str(test["input"]), "output": str(test["output"])} for test in tests]
            return {"kind": "stdin", "tests": pairs}
        if kinds == {"functional"}:
            function = json.loads(text(row, "metadata"))["func_name"]
            calls = [_call(test) for test in tests]
            return {"kind": "call", "function": function, "tests": calls}
    except (KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"malformed LiveCodeBench test: {error!r}") from error
    raise ValueError(f"tests of kinds {sorted(map(str, kinds))}; expected all stdin or all functional")


def _call(test: dict[str, Any]) -> dict[str, Any]:
    args = [_value(line) for line in test["input"].split("\n")]
    return {"args": args, "output": _value(test["output"])}


def _value(said: str) -> Any:
    """JSON with integers of any length, which `int` refuses from 4,300 digits on."""
    return json.loads(said, parse_int=lambda digits: int(Decimal(digits)))


def _private_tests(packed: str) -> list[dict[str, Any]]:
    """Plain JSON, or base64 of zlib of a pickled JSON text."""
    if packed.lstrip().startswith("["):
        return _json_tests(packed, "private_test_cases")
    try:
        unpacker = zlib.decompressobj()
        unpacked = base64.b64decode(packed, validate=True)
        data = unpacker.decompress(unpacked, PRIVATE_TESTS_BYTES)
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


def _json_tests(cell_text: str, column: str) -> list[dict[str, Any]]:
    try:
        tests = json.loads(cell_text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{column} is not JSON: {error}") from error
    if not isinstance(tests, list) or not all(isinstance(test, dict) for test in tests):
        raise ValueError(f"{column} is not a list of tests")
    return tests
