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
from localrl.runs.ends import UNJUDGEABLE
from localrl.runs.plan import RunPlan
from localrl.runs.runner import verifier_name
from localrl.store.samples import is_omitted
from localrl.verify import registry

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from localrl.runs.plan import EvalPlan
    from localrl.sample import Problem, Sample
    from localrl.store.runs import Run, Store
    from localrl.verify.pool import VerifierPool

AT_ONCE = 256
"""Samples judged and committed together."""


@dataclass(frozen=True, slots=True)
class Change:
    """A sample whose verdict is another one now."""

    eval: str
    problem: str
    index: int
    budget: int | None
    """Of a fork."""
    before: str | None
    after: str
    extracted: str | None


def rescore(store: Store, run: Run, pool: VerifierPool) -> Iterator[Change]:
    """Judge every sample and fork that has an answer to judge, store the verdicts, and say which changed.

    Raises:
        UsageError: a target is too long to be in the store, and the eval's data no longer has its problem.
        StoreError: verdicts cannot be written.
        Unavailable: a verifier cannot run on this machine; the stored verdicts stay.
    """
    plan = RunPlan.model_validate(run.manifest["plan"])
    for eval_plan in plan.evals:
        for verifier in rewarding.verifiers(eval_plan.spec):
            registry.ready(verifier)
    parts = {part.spec.name: part for part in plan.evals}
    answers = (each for sample in store.samples(run) for each in (sample, *sample.forks))
    judgeable = (each for each in answers if FinishReason(each.finish) not in UNJUDGEABLE)
    targets = Targets(parts)
    while batch := list(itertools.islice(judgeable, AT_ONCE)):
        judged = judge(batch, parts, targets, pool)
        store.set_verdicts(run, judged)
        yield from changes(batch, judged)


def judge(
    samples: Sequence[Sample], parts: Mapping[str, EvalPlan], targets: Targets, pool: VerifierPool
) -> list[Sample]:
    """The samples with the verdicts that today's verifiers give them."""
    verdicts = [
        rewarding.submit(pool, parts[s.problem.eval].spec, s.response, targets.of(s.problem), s.tokens)
        for s in samples
    ]
    return [
        sample.judged(verdict.result(), verifier_name(parts[sample.problem.eval]))
        for sample, verdict in zip(samples, verdicts, strict=True)
    ]


def changes(before: Sequence[Sample], after: Sequence[Sample]) -> Iterator[Change]:
    for old, new in zip(before, after, strict=True):
        if old.outcome != new.outcome:
            yield Change(
                eval=new.problem.eval,
                problem=new.problem.id,
                index=new.index,
                budget=new.budget,
                before=old.outcome,
                after=str(new.outcome),
                extracted=new.extracted,
            )


class Targets:
    """What to compare with: from the store, or from the eval's data where it is too long for the store."""

    def __init__(self, parts: Mapping[str, EvalPlan]) -> None:
        self._parts = parts
        self._data: dict[str, dict[str, Any]] = {}

    def of(self, problem: Problem) -> Any:
        if not is_omitted(problem.target):
            return problem.target
        if problem.eval not in self._data:
            part = self._parts[problem.eval]
            found = dataset.problems(part.spec, Path(part.path), part.limit)
            self._data[problem.eval] = {each.id: each.target for each in found}
        if problem.id not in self._data[problem.eval]:
            raise UsageError(f"problem {problem.id} is no longer in the eval's data")
        return self._data[problem.eval][problem.id]
