"""Check a bundle: that its report counts its samples, and that today's verifiers judge its texts the same."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import ValidationError

from localrl.engine.protocol import FinishReason
from localrl.errors import UsageError
from localrl.report.importing import sample_of
from localrl.runs import rewarding
from localrl.runs.ends import UNJUDGEABLE
from localrl.runs.plan import RunPlan
from localrl.runs.rescore import AT_ONCE, Change, Targets, changes, judge
from localrl.verify import registry

if TYPE_CHECKING:
    from collections.abc import Iterator

    from localrl.report.bundle import Bundle
    from localrl.sample import Sample
    from localrl.verify.pool import VerifierPool


@dataclass(frozen=True, slots=True)
class Checked:
    samples: int
    """Whose texts the bundle holds."""
    judged: int
    """Judged again; what was cut or looped has no answer to judge."""
    changes: tuple[Change, ...]
    """Verdicts that are others now."""


def check(bundle: Bundle, pool: VerifierPool | None) -> Checked:
    """
    Args:
        pool: judges the texts again; None only counts.

    Raises:
        UsageError: samples and report do not belong together, or the bundle does not say how it was judged.
        Unavailable: a verifier cannot run on this machine.
    """
    try:
        plan = RunPlan.model_validate(bundle.run["origin"]["manifest"]["plan"])
        told = {entry["eval"]: entry["outcomes"] for entry in bundle.run["report"]["evals"]}
    except (KeyError, TypeError, ValidationError) as error:
        raise UsageError(f"{bundle.path} does not say how its texts were judged") from error
    parts = {part.spec.name: part for part in plan.evals}
    if pool:
        for verifier in (each for part in plan.evals for each in rewarding.verifiers(part.spec)):
            registry.ready(verifier)
    counted: Counter[tuple[str, str]] = Counter()
    samples, targets, found, judged = _samples(bundle), Targets(parts), list[Change](), 0
    while batch := list(itertools.islice(samples, AT_ONCE)):
        counted.update((sample.problem.eval, str(sample.outcome)) for sample in batch)
        judgeable = [sample for sample in batch if FinishReason(sample.finish) not in UNJUDGEABLE]
        if pool:
            found += changes(judgeable, judge(judgeable, parts, targets, pool))
            judged += len(judgeable)
    for name, outcomes in told.items():
        of_eval = {outcome: count for (eval_name, outcome), count in counted.items() if eval_name == name}
        if counted and of_eval != {outcome: count for outcome, count in outcomes.items() if count}:
            raise UsageError(f"{bundle.path}: its report of {name} does not count its samples")
    return Checked(counted.total(), judged, tuple(found))


def _samples(bundle: Bundle) -> Iterator[Sample]:
    for number, line in enumerate(bundle.lines(), 1):
        yield sample_of(line, f"{bundle.path}: sample {number}")
