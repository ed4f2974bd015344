"""Judge the stored texts of a run again, with today's verifiers; nothing is generated."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from localrl.engine.protocol import FinishReason
from localrl.errors import UsageError
from localrl.evals import dataset
from localrl.runs import rewarding
from localrl.runs.plan import RunPlan
from localrl.runs.runner import UNJUDGEABLE, is_omitted, verifier_name
from localrl.thinking import split
from localrl.verify import registry

if TYPE_CHECKING:
    from collections.abc import Iterator

    from localrl.runs.plan import EvalPlan
    from localrl.store.runs import Run, Sample, Store, StoredProblem
    from localrl.verdict import Verdict
    from localrl.verify.pool import VerifierPool

AT_ONCE = 256
"""Samples judged and committed together."""


@dataclass(frozen=True, slots=True)
class Change:
    """A sample whose verdict is another one now."""

    eval: str
    problem: str
    index: int
    before: str | None
    after: str
    extracted: str | None


def rescore(store: Store, run: Run, pool: VerifierPool) -> Iterator[Change]:
    """Judge every sample that has an answer to judge, store the verdicts, and say which changed.

    Raises:
        UsageError: a target is too long to be in the store, and the eval's data no longer has its problem.
        StoreError: verdicts cannot be written.
        Unavailable: a verifier cannot run on this machine; the stored verdicts stay.
    """
    plan = RunPlan.model_validate(run.manifest["plan"])
    for eval_plan in plan.evals:
        for verifier in rewarding.verifiers(eval_plan.spec):
            registry.ready(verifier)
    judgeable = (
        (index, sample)
        for index, sample in store.samples(run)
        if FinishReason(sample.finish) not in UNJUDGEABLE
    )
    targets = _Targets(store, plan)
    while part := list(itertools.islice(judgeable, AT_ONCE)):
        judged = [
            (
                index,
                sample,
                rewarding.submit(
                    pool,
                    plan.evals[index].spec,
                    split(sample.text, plan.thinking, sample.starts_thinking),
                    targets.of(sample),
                    sample.thinking_tokens + sample.answer_tokens,
                ),
            )
            for index, sample in part
        ]
        verdicts = [(index, sample, future.result()) for index, sample, future in judged]
        store.set_verdicts(
            run,
            [(i, s.problem, s.index, verdict, verifier_name(plan.evals[i])) for i, s, verdict in verdicts],
        )
        for index, sample, verdict in verdicts:
            if sample.outcome != verdict.outcome:
                yield _change(plan.evals[index], store.problem(sample.problem), sample, verdict)


class _Targets:
    """What to compare with: from the store, or from the eval's data where it is too long for the store."""

    def __init__(self, store: Store, plan: RunPlan) -> None:
        self._store, self._plan = store, plan
        self._last: tuple[int, Any] = (-1, None)
        self._data: dict[int, dict[str, Any]] = {}

    def of(self, sample: Sample) -> Any:
        if self._last[0] != sample.problem:
            problem = self._store.problem(sample.problem)
            target = self._from_data(problem) if is_omitted(problem.target) else problem.target
            self._last = (sample.problem, target)
        return self._last[1]

    def _from_data(self, problem: StoredProblem) -> Any:
        if problem.eval not in self._data:
            part = self._plan.evals[problem.eval]
            found = dataset.problems(part.spec, Path(part.path), part.limit)
            self._data[problem.eval] = {each.id: each.target for each in found}
        if problem.id not in self._data[problem.eval]:
            raise UsageError(f"problem {problem.id} is no longer in the eval's data")
        return self._data[problem.eval][problem.id]


def _change(part: EvalPlan, problem: StoredProblem, sample: Sample, verdict: Verdict) -> Change:
    return Change(
        part.spec.name, problem.id, sample.index, sample.outcome, str(verdict.outcome), verdict.extracted
    )
