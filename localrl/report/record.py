"""A run as its readers see it: the report, a light row a sample, and on demand the full text.

Comparison, reports and exports work on this and know nothing of how a run is stored. Rows carry what
statistics need; texts are streamed, since 100,000 of them need not fit in memory.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from localrl.verdict import INCOMPLETE, VERIFIER_FAILED

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from numpy.typing import NDArray

    from localrl.chat import Message


class Row(NamedTuple):
    """One sample without its text; the NamedTuple is plain tuple work for a 100,000-row query."""

    eval: str
    problem: str
    sample: int
    """Which of the problem's k samples, from 0."""
    outcome: str
    """A value of `Outcome`."""
    score: float
    """The verifier's reward in [0, 1]."""
    prompt_tokens: int
    thinking_tokens: int
    answer_tokens: int
    ttft_s: float | None
    """Seconds from submission to the first token."""
    tokens_per_s: float | None
    """This stream's own rate."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One sample with everything that was said."""

    row: Row
    seed: int
    target: Any
    """What the verifier compared with: a JSON value."""
    messages: tuple[Message, ...]
    """The prompt."""
    thinking: str
    answer: str
    extracted: str | None = None
    """The answer as the extractor found it."""
    raw: str = ""
    """The text as generated, thinking tags included; empty where a source kept only its parts."""
    finish: str = ""
    """Why generation ended, as the engine says it."""
    detail: dict[str, Any] = field(default_factory=dict)
    """The verdict's explanation: JSON values."""
    stored: dict[str, Any] = field(default_factory=dict)
    """What only the store needs to hold the sample again: JSON values."""


class Run(Protocol):
    """What a stored or imported run offers."""

    @property
    def report(self) -> dict[str, Any]:
        """The run's JSON report, as `localrl runs show --json` prints it."""

    @property
    def origin(self) -> dict[str, Any]:
        """What only the store needs to hold the run again: JSON values; empty when unknown."""

    def rows(self) -> Iterable[Row]:
        """Every finished sample, a problem's samples together."""

    def questions(self) -> Mapping[tuple[str, str], tuple[str, str]]:
        """Each problem's prompt and target, as text that is the same for the same ones, by eval and id."""

    def samples(self) -> Iterator[Sample]:
        """Every finished sample with its text, in the order of `rows`."""


@dataclass(frozen=True)
class OneEval:
    """A run narrowed to one of its evals; implements `Run`."""

    run: Run
    eval: str

    @property
    def report(self) -> dict[str, Any]:
        entries = self.run.report.get("evals") or []
        return {**self.run.report, "evals": [e for e in entries if e.get("eval") == self.eval]}

    @property
    def origin(self) -> dict[str, Any]:
        return {}  # a part of a run is no run to go on with

    def rows(self) -> Iterator[Row]:
        return (row for row in self.run.rows() if row.eval == self.eval)

    def questions(self) -> Mapping[tuple[str, str], tuple[str, str]]:
        return {key: asked for key, asked in self.run.questions().items() if key[0] == self.eval}

    def samples(self) -> Iterator[Sample]:
        return (sample for sample in self.run.samples() if sample.row.eval == self.eval)


@dataclass(frozen=True, slots=True)
class Group:
    """The k samples of one problem, counted."""

    n: int
    correct: int
    completed: int
    failed: int
    """Samples on which the verifier failed."""
    tokens: int
    """Generated tokens, thinking included."""

    @property
    def share(self) -> float:
        return self.correct / self.n


Groups = dict[str, dict[str, Group]]
"""Counts by eval and problem, in the order met."""


def groups(rows: Iterable[Row]) -> Groups:
    """Count a run's rows by eval and problem."""
    counts: dict[str, dict[str, list[int]]] = {}
    incomplete, failed = {str(o) for o in INCOMPLETE}, {str(o) for o in VERIFIER_FAILED}
    for row in rows:
        c = counts.setdefault(row.eval, {}).setdefault(row.problem, [0, 0, 0, 0, 0])
        c[0] += 1
        c[1] += row.outcome == "correct"
        c[2] += row.outcome not in incomplete
        c[3] += row.outcome in failed
        c[4] += row.thinking_tokens + row.answer_tokens
    return {name: {p: Group(*c) for p, c in problems.items()} for name, problems in counts.items()}


def arrays(of: Iterable[Group]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Samples and correct samples a problem, as the statistics take them; each of shape (problems,)."""
    pairs = np.array([(g.n, g.correct) for g in of], dtype=np.int64).reshape(-1, 2)
    return pairs[:, 0], pairs[:, 1]


def by_problem(samples: Iterable[Sample]) -> Iterator[list[Sample]]:
    """Consecutive samples of one problem; a run hands them out together."""
    group: list[Sample] = []
    for sample in samples:
        if group and (sample.row.eval, sample.row.problem) != (group[0].row.eval, group[0].row.problem):
            yield group
            group = []
        group.append(sample)
    if group:
        yield group
