"""Does an eval's verifier work on the eval itself? Gold answers must be correct; what is no answer must not.

Each problem is judged on its gold answer, on junk, on nothing, on another problem's gold answer, and on its
gold answer cut inside thinking. Where no gold answer is published (IFEval, LiveCodeBench), only the empty
and the cut text are tried.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from localrl.chat import ThinkingTags
from localrl.errors import UsageError
from localrl.evals import dataset
from localrl.evals.layouts import LAYOUTS
from localrl.thinking import whole
from localrl.verify import registry

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Future
    from pathlib import Path

    from localrl.evals.spec import EvalSpec
    from localrl.verdict import Verdict
    from localrl.verify.pool import VerifierPool

JUNK = "I like turtles, and 31337 of them like me."
_AHEAD = 64


@dataclass(frozen=True, slots=True)
class GoldCheck:
    """One text judged."""

    problem: str
    kind: str
    """`gold`, `junk`, `empty`, `other gold` or `cut gold`."""
    verdict: Verdict

    @property
    def passed(self) -> bool:
        return self.verdict.correct == (self.kind == "gold")

    @property
    def reason(self) -> str:
        """Why it failed, in a few words."""
        detail = "; ".join(f"{key}: {value}" for key, value in self.verdict.detail.items())
        found = f"found {self.verdict.extracted!r}" if self.verdict.extracted is not None else ""
        return ", ".join(part for part in (self.verdict.outcome.value, found, detail) if part)[:300]


def checks(spec: EvalSpec, path: Path, pool: VerifierPool, limit: int | None = None) -> Iterator[GoldCheck]:
    """Judge every problem's texts, a few at a time, in order."""
    tags = ThinkingTags()
    waiting: list[tuple[str, str, Future[Verdict]]] = []
    previous: str | None = None
    for problem in dataset.problems(spec, path, limit):
        for kind, text in _texts(spec, problem.gold, previous, tags):
            judged = pool.submit(spec.verifier, whole(text, tags), problem.target)
            waiting.append((problem.id, kind, judged))
        previous = problem.gold
        while len(waiting) > _AHEAD:
            yield _done(*waiting.pop(0))
    for one in waiting:
        yield _done(*one)


def _texts(
    spec: EvalSpec, gold: str | None, other: str | None, tags: ThinkingTags
) -> Iterator[tuple[str, str]]:
    yield "empty", ""
    if gold is None:
        yield "cut gold", f"{tags.open}{JUNK}"
        return
    answer = said(spec, gold)
    yield "gold", f"{tags.open}Let me see.{tags.close}{answer}"
    yield "cut gold", f"{tags.open}{answer}"
    yield "junk", JUNK
    if other is not None and other.strip() != gold.strip():
        yield "other gold", said(spec, other)


def said(spec: EvalSpec, gold: str) -> str:
    """A gold answer in the form that the eval's extractor finds."""
    first = registry.extractors(spec.verifier.extractor)[0]
    return str(getattr(first, "FORM", "{}")).format(gold)


def why_none(spec: EvalSpec) -> str:
    """Why an eval has no gold answers, in words.

    Raises:
        UsageError: its layout says that it finds them.
    """
    if not hasattr(spec.data.environment[0], "files"):
        return "none of its problems comes with one"
    layout = LAYOUTS.get(spec.data.layout)
    if why := getattr(layout, "NO_GOLD", ""):
        return str(why)
    raise UsageError(
        f"layout {spec.data.layout!r} finds no gold answer in the data of {spec.name}",
        hint="its gold() returns None for every row; where there are none, NO_GOLD says why",
    )


def _done(problem: str, kind: str, verdict: Future[Verdict]) -> GoldCheck:
    return GoldCheck(problem, kind, verdict.result())
