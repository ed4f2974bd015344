"""Problems and samples: the values that pass from the runner to the store, the report and the screens.

A `Sample` has every text and number of one generation. A `SampleRow` is the same sample as numbers alone:
statistics and lists go over 1,000,000 of them, whose texts would not fit in memory.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from localrl.chat import Message
    from localrl.verdict import Outcome, Response, Verdict


@dataclass(frozen=True, slots=True)
class Problem:
    """One row of an eval: as a layout makes it, then with what is asked of the model, then with its key."""

    id: str
    question: str
    """What the prompt's template is filled with; not stored, since `messages` hold it."""
    target: Any
    """JSON value that the verifier compares with; never shown to the model or to a graded program."""
    meta: dict[str, Any] = field(default_factory=dict)
    """JSON values worth keeping with the samples, such as a permutation of options."""
    gold: str | None = None
    """An answer that has to be judged correct; None where none is published."""
    eval: str = ""
    messages: tuple[Message, ...] = ()
    """The prompt."""
    key: int = field(default=0, compare=False)
    """Its key in the store; 0 while it is not there."""


class SampleRow(NamedTuple):
    """One sample without its texts; a tuple, because a run may have 1,000,000 of them."""

    eval: str
    problem: str
    """The problem's id."""
    sample: int
    """Its index: which of the problem's k samples, from 0."""
    outcome: str | None
    """A value of `Outcome`; None until it is judged."""
    score: float
    """The verifier's reward in [0, 1]."""
    prompt_tokens: int
    thinking_tokens: int
    answer_tokens: int
    ttft_s: float | None
    """Seconds from submission to the first token."""
    tokens_per_s: float | None
    """This stream's own rate."""
    ended: float
    """Seconds since the epoch."""

    @property
    def tokens(self) -> int:
        """Generated tokens, thinking included."""
        return self.thinking_tokens + self.answer_tokens


@dataclass(frozen=True, slots=True)
class Sample:
    """One generation for one problem, and what a verifier said of it."""

    problem: Problem
    index: int
    """Which of the problem's k samples, from 0."""
    seed: int
    response: Response
    finish: str
    """Why generation ended, as the engine says it."""
    prompt_tokens: int = 0
    shared_tokens: int = 0
    """Prompt tokens that were taken from another sequence instead of computed."""
    thinking_tokens: int = 0
    answer_tokens: int = 0
    ttft_s: float | None = None
    """Seconds from submission to the first token."""
    tokens_per_s: float | None = None
    """This stream's own rate."""
    starts_thinking: bool = False
    """The prompt ended inside the thinking tags."""
    error: str = ""
    outcome: Outcome | None = None
    """None until a verifier has judged it."""
    score: float = 0.0
    """The verifier's reward in [0, 1]."""
    verifier: str | None = None
    """What judged it, as `name/version`."""
    extracted: str | None = None
    """The answer as the extractor found it."""
    detail: dict[str, Any] = field(default_factory=dict)
    """JSON values that explain the verdict."""
    ended: float = 0.0
    """Seconds since the epoch."""
    budget: int | None = None
    """Of a fork: the thinking was closed after so many tokens; `response` is what it answered then. None for
    the sample that thought on."""
    at: int = 0
    """Of a fork: the characters of the sample's text before its thinking was closed."""
    reopened: bool = False
    """A fork that began to think again."""
    replayed: bool = False
    """A fork that answered from stored thinking, after the run."""
    forks: tuple[Sample, ...] = ()
    """What the sample answered at each thinking budget that it reached, ascending."""
    natural: tuple[int, ...] = ()
    """Thinking budgets before which it had ended: there its own answer counts."""

    @property
    def tokens(self) -> int:
        """Generated tokens, thinking included."""
        return self.thinking_tokens + self.answer_tokens

    @property
    def row(self) -> SampleRow:
        return SampleRow(
            eval=self.problem.eval,
            problem=self.problem.id,
            sample=self.index,
            outcome=self.outcome,
            score=self.score,
            prompt_tokens=self.prompt_tokens,
            thinking_tokens=self.thinking_tokens,
            answer_tokens=self.answer_tokens,
            ttft_s=self.ttft_s,
            tokens_per_s=self.tokens_per_s,
            ended=self.ended,
        )

    def judged(self, verdict: Verdict, verifier: str) -> Sample:
        """This sample with a verdict, given by a verifier named as `name/version`."""
        return replace(
            self,
            outcome=verdict.outcome,
            score=verdict.score,
            extracted=verdict.extracted,
            detail=verdict.detail,
            verifier=verifier,
        )


class Group(NamedTuple):
    """The k samples of one problem, counted."""

    n: int
    """Judged samples."""
    correct: int
    tokens: int
    """Generated by all of them, thinking included."""

    @property
    def share(self) -> float:
        """Of correct samples, in [0, 1]."""
        return self.correct / self.n


Groups = dict[str, dict[str, Group]]
"""The groups of a run by eval and problem, in the order of its problems."""


def by_problem(samples: Iterable[Sample]) -> Iterator[list[Sample]]:
    """The groups of a run: consecutive samples of one problem, which a run hands out together."""
    for _, group in groupby(samples, key=lambda sample: (sample.problem.eval, sample.problem.id)):
        yield list(group)
