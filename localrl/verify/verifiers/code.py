"""The program passes all tests in the sandbox; parameters `time_limit_s`, `memory_bytes`.

Three kinds of target (`code_targets.py`): programs that read standard input, functions that are called, and
HumanEval's `check`. The program may claim a value, never a verdict: expected outputs exist only in localrl's
process, or in a judge's of their own. Correct means that every test passed; how they ended is in
`detail.tests`. What the program does wrong is `wrong`, its timeouts and crashes included; `verifier_error` is
kept for what is not its fault.
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
from localrl.verify.code_targets import CallTarget, CheckTarget, Target
from localrl.verify.registry import extract

if TYPE_CHECKING:
    from localrl.sandbox import Sandbox
    from localrl.verify.base import Runs, VerifierSpec

VERSION = "1"
RUNS: Runs = "thread"
TARGET = "see [the sandbox](sandbox.md)"
EXTRACTOR = "code"

_STARTS_LIKE_CODE = re.compile(r"[ \t]|(?:from|import|def|class)\b|@")


class Params(Strict):
    """Where a target does not say it itself."""

    time_limit_s: float = Field(default=Limits().wall_s, gt=0)
    memory_bytes: int = Field(default=Limits().memory_bytes, ge=64 * 1024**2)


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
    outcome = Outcome.CORRECT if tally.all_passed else Outcome.WRONG
    return Verdict(outcome, score=float(tally.all_passed), extracted=code, detail=detail)


def _find(answer: str, target: Target, spec: VerifierSpec) -> str | None:
    """The last fenced block; for HumanEval also a bare completion, as a base model writes."""
    found = extract("code" if spec.extractor == "text" else spec.extractor, answer)
    if found is None and isinstance(target, CheckTarget):
        lines = (line for line in answer.splitlines() if line.strip())
        return answer if _STARTS_LIKE_CODE.match(next(lines, "")) else None
    return found


def _run(box: Sandbox, code: str, target: Target, params: Params) -> code_grade.Tally:
    limits = Limits(
        wall_s=target.time_limit_s or params.time_limit_s,
        memory_bytes=target.memory_bytes or params.memory_bytes,
    )
    before = code_prelude.livecodebench(code) if target.prelude else ""
    if isinstance(target, CheckTarget):
        head, source = _completed(code, target)
        return code_grade.run_check(box, source, f"{before}\n{head}", target, limits)
    if isinstance(target, CallTarget):
        return code_grade.run_calls(box, code, before, target, limits)
    return code_grade.run_stdin(box, code, before, target, limits)


def _completed(code: str, target: CheckTarget) -> tuple[str, str]:
    """What comes before the program, and the program.

    A block that defines the function stands alone, after the imports and helpers of the prompt; any other is
    taken as the rest of the prompt.
    """
    name = re.escape(target.entry_point)
    if re.search(rf"^[ \t]*(?:async\s+)?def\s+{name}\b|^{name}\s*=", code, re.MULTILINE):
        head = re.split(rf"^def\s+{name}\b", target.prompt, maxsplit=1, flags=re.MULTILINE)[0]
        return head, code
    return "", target.prompt + code
