"""Run a program's tests in the sandbox and count how they end; expected outputs never leave this process."""

from __future__ import annotations

import contextlib
import json
import secrets
import time
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NoReturn

from localrl.sandbox import Blob, End, Ended, Limits, ProcessResult
from localrl.sandbox.inside.values import encode
from localrl.sandbox.limits import MIB
from localrl.verify.code_compare import plain, same_text, same_value

if TYPE_CHECKING:
    from localrl.sandbox import Process, Sandbox
    from localrl.verify.code_targets import CallTarget, CheckTarget, StdinTarget

_MOST_TIMEOUTS = 3
"""After so many, the remaining tests are not run: the program is wrong, and time is dear."""
_SHOWN = 300  # characters of an input, an output or a message
_JUDGE_PATIENCE_S = 10.0


class Ending(StrEnum):
    PASSED = "passed"
    FAILED = "failed"
    TIMEOUT = "timeout"
    RUNTIME_ERROR = "runtime_error"
    OUTPUT_LIMIT = "output_limit"


class CheckError(Exception):
    """The check itself is at fault, not the program."""


@dataclass(slots=True)
class Tally:
    """How the tests of one program ended."""

    total: int
    counts: dict[Ending, int] = field(default_factory=lambda: dict.fromkeys(Ending, 0))
    first_failing: dict[str, Any] | None = None

    def add(self, end: Ending, **shown: str) -> None:
        if end is not Ending.PASSED and self.first_failing is None:
            cut = {key: _shorten(text) for key, text in shown.items()}
            self.first_failing = {"index": sum(self.counts.values()), "outcome": end.value, **cut}
        self.counts[end] += 1

    @property
    def all_passed(self) -> bool:
        return self.counts[Ending.PASSED] == self.total > 0

    @property
    def hopeless(self) -> bool:
        return self.counts[Ending.TIMEOUT] >= _MOST_TIMEOUTS

    def as_json(self) -> dict[str, Any]:
        counts = {end.value: count for end, count in self.counts.items()}
        not_run = self.total - sum(self.counts.values())
        return {**counts, "not_run": not_run, "total": self.total, "first_failing": self.first_failing}


def run_stdin(
    box: Sandbox, source: str, before: str, target: StdinTarget, limits: Limits, tolerance: float | None
) -> Tally:
    """A fresh process for each test: bytes in, bytes out."""
    tally = Tally(len(target.tests))
    with Blob(_bytes(source)) as program:
        for test in target.tests:
            if tally.hopeless:
                break
            expected = _bytes(test.output)
            room = replace(limits, stdout_bytes=max(MIB, 4 * len(expected)))
            with Blob(_bytes(test.input)) as given:
                finished = box.run(program, given, room, before)
            output = finished.stdout.decode(errors="surrogateescape")
            end, message = _ended(finished)
            if end is Ending.PASSED and not same_text(output, test.output, tolerance):
                end, message = Ending.FAILED, ""
            tally.add(end, message=message, input=test.input, expected=test.output, output=output)
    return tally


def run_calls(
    box: Sandbox, source: str, before: str, target: CallTarget, limits: Limits, tolerance: float | None
) -> Tally:
    """One process for all tests, which keeps its state between them; a dead one is started again."""
    tally = Tally(len(target.tests))
    process: Process | None = None
    limits = replace(limits, answers=len(target.tests))
    with Blob(_bytes(source)) as program, contextlib.ExitStack() as started:
        for test in target.tests:
            if tally.hopeless:
                break
            process = process or started.enter_context(box.calls(program, target.function, limits, before))
            arguments, expected = [encode(argument) for argument in test.args], encode(test.output)
            shown = {"input": plain(["l", *arguments]), "expected": plain(expected)}
            try:
                value, *_ = _call(
                    process, [arguments], max(MIB, 4 * len(json.dumps(expected))), limits.wall_s
                )
            except _NoValue as failure:
                tally.add(failure.end, message=failure.message, **shown)
                if failure.dead:
                    process.close()
                    process = None
            else:
                same = same_value(value, test.output, tolerance)
                tally.add(Ending.PASSED if same else Ending.FAILED, output=plain(value), **shown)
    return tally


def run_check(box: Sandbox, source: str, before: str, target: CheckTarget, limits: Limits) -> Tally:
    """The program in one process, `check(candidate)` in another, every call carried between them.

    A test is a call; when the check fails, it is the last call's value that it did not like.

    Raises:
        CheckError: the check fails on its own, or calls nothing.
    """
    calls, left_s = 0, limits.wall_s
    raised = ""
    text = _bytes(f"{target.prompt}\n{target.test}")
    with Blob(_bytes(source)) as program, Blob(text) as check:
        judge = box.judge(check, target.entry_point, replace(limits, wall_s=_JUDGE_PATIENCE_S))
        with judge, box.calls(program, target.entry_point, limits, before) as process:
            said = _judge_says(judge, b"", calls)
            while said[0] == "call":
                calls += 1
                began = time.monotonic()
                shown = {"input": plain(["l", *said[1], *(tree for _, tree in said[2])])}
                try:
                    answer = _call(process, said[1:], 2 * MIB, left_s)
                except _NoValue as failure:
                    if not failure.raised:
                        return _checked(calls, failure.end, message=failure.message, **shown)
                    raised, answer = failure.message, ["raised", failure.message, failure.raised]
                else:
                    raised, answer = "", ["value", *answer]
                    shown["output"] = plain(answer[1])
                left_s -= time.monotonic() - began
                said = _judge_says(judge, json.dumps(answer).encode() + b"\n", calls)
    if said[0] == "passed":
        return _checked(calls, Ending.PASSED)
    if said[0] == "failed" and raised:
        return _checked(calls, Ending.RUNTIME_ERROR, message=raised, **shown)
    if said[0] == "failed" and calls:
        return _checked(calls, Ending.FAILED, message=said[1], **shown)
    raise CheckError(said[1])


class _NoValue(Exception):
    """A call that gave no value: `dead` when the process is gone with it, `raised` an exception's type."""

    def __init__(self, end: Ending, message: str, dead: bool, raised: str = "") -> None:
        super().__init__(message)
        self.end, self.message, self.dead, self.raised = end, message, dead, raised


def _call(process: Process, arguments: list[Any], room: int, wall_s: float) -> list[Any]:
    """What one call gave, of at most `room` bytes: its encoded value, and what a judge is told besides.

    Raises:
        _NoValue: there is none, or what came is not an answer to this call.
    """
    number = secrets.token_hex(8)
    try:
        reply = process.ask(json.dumps([number, *arguments]).encode() + b"\n", room, wall_s)
    except Ended as ended:
        end, message = _ended(ended.finished)
        end = Ending.RUNTIME_ERROR if end is Ending.PASSED else end  # exit code 0 is no answer either
        raise _NoValue(end, message, dead=True) from ended
    try:
        said, kind, value, *more = _strict_json(reply)
        if said != number or kind not in ("value", "raised", "unsupported"):
            raise ValueError
    except (ValueError, TypeError, RecursionError) as error:
        raise _NoValue(Ending.RUNTIME_ERROR, "not an answer to the call", dead=True) from error
    if kind == "value":
        return [value, *more]
    if kind == "raised":
        raise _NoValue(Ending.RUNTIME_ERROR, str(value), dead=False, raised=str(*more[:1]) or "Exception")
    raise _NoValue(Ending.FAILED, str(value), dead=False)


def _judge_says(judge: Process, answer: bytes, calls: int) -> list[Any]:
    """The judge's next message; once it has seen a value, its end is that value's doing."""
    try:
        said: list[Any] = json.loads(judge.ask(answer, 64 * MIB))
    except Ended as ended:
        if calls == 0:
            raise CheckError(f"the check ended: {_ended(ended.finished)[1]}") from ended
        return ["failed", f"the check could not bear the value: {_ended(ended.finished)[1]}"]
    return said


def _checked(calls: int, end: Ending, **shown: str) -> Tally:
    if calls == 0:
        raise CheckError("the check calls nothing")
    tally = Tally(calls)
    for _ in range(calls - 1):
        tally.add(Ending.PASSED)
    tally.add(end, **shown)
    return tally


def _ended(finished: ProcessResult) -> tuple[Ending, str]:
    """How a program ended by itself, which is well only with exit code 0, and in a few words."""
    last = finished.stderr.decode(errors="replace").strip().splitlines()[-1:]
    if finished.end is End.TIMEOUT:
        return Ending.TIMEOUT, "out of time"
    if finished.end is End.OUTPUT_LIMIT:
        return Ending.OUTPUT_LIMIT, "too much output"
    if finished.end is End.RESOURCE_LIMIT:
        return Ending.RUNTIME_ERROR, "too much memory or too many threads"
    message = " ".join(last) or f"exit code {finished.returncode}"
    return (Ending.RUNTIME_ERROR if finished.returncode else Ending.PASSED), message


def _strict_json(data: bytes) -> Any:
    """JSON of nothing but lists, strings, booleans and null."""

    def refuse(_: object) -> NoReturn:
        raise ValueError

    return json.loads(
        data, parse_int=refuse, parse_float=refuse, parse_constant=refuse, object_pairs_hook=refuse
    )


def _bytes(text: str) -> bytes:
    return text.encode(errors="replace")  # half a surrogate pair has no bytes


def _shorten(text: str) -> str:
    text = _bytes(text).decode()
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}… ({len(text)} characters)"
