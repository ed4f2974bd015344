"""The program passes all tests in the sandbox; parameters `time_limit_s`, `memory_bytes`, `prelude`,
`float_tolerance`.

Three kinds of target (`code_targets.py`): programs that read standard input, functions that are called, and
HumanEval's `check`. The program may claim a value, never a verdict: expected outputs exist only in localrl's
process, or in a judge's of their own. Correct means that every test passed; how they ended is in
`detail.tests`. What the program does wrong is `wrong`, its timeouts and crashes included; `verifier_error` is
kept for what is not its fault, such as a package that it imports and this machine lacks.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from pydantic import Field

from localrl import sandbox
from localrl.sandbox import Limits, SandboxError
from localrl.tomlfile import Strict
from localrl.verdict import Outcome, Response, Verdict
from localrl.verify import code_grade, code_prelude, code_targets
from localrl.verify.base import judged
from localrl.verify.code_targets import CallTarget, CheckTarget, StdinTarget, Target
from localrl.verify.extractors import code as blocks
from localrl.verify.registry import extract

if TYPE_CHECKING:
    from localrl.sandbox import Sandbox
    from localrl.verify.base import Runs, VerifierSpec

VERSION = "2"
RUNS: Runs = "thread"
TARGET = "see [the sandbox](sandbox.md)"
EXTRACTOR = "code"

_STARTS_LIKE_CODE = re.compile(r"[ \t]+(?![`~-])|(?:from|import|def|class)\b|@")
_FENCE = re.compile(r"^[ \t]*```", re.MULTILINE)
_READS_INPUT = re.compile(r"\binput\s*\(|\bstdin\b|\b(?:open|read)\(\s*0|\bfileinput\b")


class Params(Strict):
    """Where a target does not say it itself."""

    time_limit_s: float = Field(default=Limits().wall_s, gt=0)
    memory_bytes: int = Field(default=Limits().memory_bytes, ge=64 * 1024**2)
    prelude: bool | None = None
    """LeetCode's and LiveCodeBench's imports; None puts them before all but HumanEval's programs."""
    float_tolerance: float | None = Field(default=None, gt=0, lt=1)
    """How far a float may be off, absolutely or relative to the expected one; None for not at all."""


def prepare() -> None:
    """Find the sandbox, before anything is generated.

    Raises:
        Unavailable: there is none; says why, and what to install.
    """
    sandbox.acquire()


def verify(response: Response, target: Any, spec: VerifierSpec) -> Verdict:
    """Run the response's program against the target's tests.

    Raises:
        Unavailable: there is no sandbox on this machine.
    """
    try:
        parsed = code_targets.parse(target)
    except ValueError as error:
        return Verdict(Outcome.VERIFIER_ERROR, detail={"error": str(error)})
    code = _find(response.answer, parsed, spec)
    if code is None:
        return Verdict(Outcome.NO_ANSWER)
    box = sandbox.acquire()
    detail: dict[str, Any] = {"sandbox": box.name}
    try:
        tally = _run(box, code, parsed, Params.model_validate(spec.params))
    except (SandboxError, code_grade.CheckError) as error:
        return Verdict(Outcome.VERIFIER_ERROR, extracted=code, detail={**detail, "error": str(error)})
    detail["tests"] = tally.as_json()
    if missing := code_prelude.missing(code, (tally.first_failing or {}).get("message", "")):
        detail["error"] = f"the program imports {missing}, which this machine lacks"
        return Verdict(Outcome.VERIFIER_ERROR, extracted=code, detail=detail)
    return judged(tally.all_passed, code, detail)


def _find(answer: str, target: Target, spec: VerifierSpec) -> str | None:
    """The block that defines what is asked, or the last; for HumanEval also a bare completion."""
    if spec.extractor not in ("code", "text"):
        return extract(spec.extractor, answer)
    found = blocks.choose(answer, asked := _asked(target))
    if isinstance(target, CheckTarget) and not (found and asked.search(found)):
        lines = (line for line in answer.splitlines() if line.strip())
        if _STARTS_LIKE_CODE.match(next(lines, "")):
            return _FENCE.split(answer, maxsplit=1)[0]
    return found


def _asked(target: Target) -> re.Pattern[str]:
    """What a program for this target holds: the function, or something that reads standard input."""
    if isinstance(target, StdinTarget):
        return _READS_INPUT
    name = re.escape(target.entry_point if isinstance(target, CheckTarget) else target.function)
    return re.compile(rf"^[ \t]*(?:async\s+)?def\s+{name}\b|^[ \t]*{name}\s*=", re.MULTILINE)


def _run(box: Sandbox, code: str, target: Target, params: Params) -> code_grade.Tally:
    limits = Limits(
        wall_s=target.time_limit_s or params.time_limit_s,
        memory_bytes=target.memory_bytes or params.memory_bytes,
    )
    said = (target.prelude, params.prelude, not isinstance(target, CheckTarget))
    before = code_prelude.livecodebench(code) if next(one for one in said if one is not None) else ""
    if isinstance(target, CheckTarget):
        head, source = _completed(code, target)
        return code_grade.run_check(box, source, f"{before}\n{head}", target, limits)
    tolerance = params.float_tolerance if target.float_tolerance is None else target.float_tolerance
    if isinstance(target, CallTarget):
        return code_grade.run_calls(box, code, before, target, limits, tolerance)
    return code_grade.run_stdin(box, code, before, target, limits, tolerance)


def _completed(code: str, target: CheckTarget) -> tuple[str, str]:
    """What comes before the program, and the program.

    A block that defines the function stands alone, after the imports and helpers of the prompt; any other is
    taken as the rest of the prompt.
    """
    if _asked(target).search(code):
        name = re.escape(target.entry_point)
        head = re.split(rf"^def\s+{name}\b", target.prompt, maxsplit=1, flags=re.MULTILINE)[0]
        return head, code
    return "", target.prompt + code
