"""Targets of the `code` verifier: JSON values of one of three kinds.

    {"kind": "stdin", "tests": [{"input": str, "output": str}]}
    {"kind": "call", "function": str, "tests": [{"args": [...], "output": ...}]}
    {"kind": "check", "prompt": str, "test": str, "entry_point": str}

with optional `time_limit_s` (for one test; for a whole check), `memory_bytes`, `float_tolerance`, and
`prelude`: whether LiveCodeBench's imports come before the program (before all but a check's). `check` is
HumanEval's: `test` defines `check(candidate)`, which embeds the answers and so runs in a process of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError

from localrl.tomlfile import Strict

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails


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
        raise ValueError(f"malformed target: {where + ': ' if where else ''}{_in_words(first)}") from error


def _in_words(error: ErrorDetails) -> str:
    if error["type"].startswith(("union_tag", "model_")):
        return 'a target is an object whose "kind" is "stdin", "call" or "check", with what that needs'
    return error["msg"]
