"""Honest programs of every style that judges see: each must be correct, under each mechanism."""

from __future__ import annotations

import textwrap
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from localrl.verdict import Outcome, Response, Verdict
from localrl.verify.base import VerifierSpec
from localrl.verify.verifiers import code
from tests.sandbox.honest_calls import CALLS
from tests.sandbox.honest_stdin import FILES, PRELUDE, STDIN

if TYPE_CHECKING:
    from localrl.sandbox import Sandbox

pytestmark = pytest.mark.process

SPEC = VerifierSpec(name="code", params={"time_limit_s": 30.0})


def judge(program: str, target: dict[str, Any]) -> Verdict:
    fenced = f"I think this works.\n\n```python\n{textwrap.dedent(program)}\n```\n"
    return code.verify(Response(answer=fenced), target, SPEC)


def on_stdin(given: str, expected: str, prelude: bool = False) -> dict[str, Any]:
    return {"kind": "stdin", "tests": [{"input": given, "output": expected}], "prelude": prelude}


def on_calls(calls: list[tuple[list[Any], Any]]) -> dict[str, Any]:
    tests = [{"args": arguments, "output": expected} for arguments, expected in calls]
    return {"kind": "call", "function": "solve", "tests": tests}


JOBS: dict[str, tuple[str, dict[str, Any]]] = {
    **{f"stdin/{name}": (text, on_stdin(a, b)) for name, (text, a, b) in {**STDIN, **FILES}.items()},
    **{f"prelude/{name}": (text, on_stdin(a, b, prelude=True)) for name, (text, a, b) in PRELUDE.items()},
    **{f"call/{name}": (text, on_calls(calls)) for name, (text, calls) in CALLS.items()},
}


@pytest.fixture(scope="module")
def verdicts(box: Sandbox) -> dict[str, Verdict]:
    """All of them, four at a time as in a run."""
    with ThreadPoolExecutor(4) as pool:
        return dict(zip(JOBS, pool.map(lambda job: judge(*job), JOBS.values()), strict=True))


@pytest.mark.parametrize("name", JOBS)
def test_an_honest_program_is_correct(box: Sandbox, verdicts: dict[str, Verdict], name: str) -> None:
    verdict = verdicts[name]
    assert verdict.detail["sandbox"] == box.name
    if name.removeprefix("stdin/") in FILES and box.name != "bubblewrap":
        assert verdict.detail["tests"]["runtime_error"] == 1  # nowhere to write, as the mechanism says
    else:
        assert verdict.outcome is Outcome.CORRECT, verdict.detail
        assert verdict.detail["tests"]["passed"] == verdict.detail["tests"]["total"] > 0
