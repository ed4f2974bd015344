"""How problems and samples lie in the tables: numbers in narrow rows, texts apart, values as JSON."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, overload

from localrl.chat import Message
from localrl.sample import Problem, Sample, SampleRow
from localrl.thinking import split
from localrl.verdict import Outcome

if TYPE_CHECKING:
    from localrl.chat import ThinkingTags

LARGEST_TARGET = 1 << 16
"""Characters of JSON. Longer targets (test suites) stay out of the store; they are in the eval's data."""

ROW = (
    "eval, problem, idx, outcome, COALESCE(score, 0), prompt_tokens, thinking_tokens, answer_tokens, "
    "ttft_s, tokens_per_s, ended FROM samples"
)
"""The columns of a `SampleRow`, with the eval's position and the problem's key for their names."""
PROBLEM = "key, eval, id, prompt, target, meta"
"""The columns that `to_problem` takes."""
SAMPLE = (
    "s.problem, s.idx, s.seed, s.finish, s.prompt_tokens, s.shared_tokens, s.thinking_tokens, "
    "s.answer_tokens, s.ttft_s, s.tokens_per_s, s.ended, s.outcome, s.score, "
    "t.text, t.starts_thinking, t.error, t.verifier, t.extracted, t.detail "
    "FROM samples s JOIN texts t ON t.problem = s.problem AND t.idx = s.idx"
)
"""The columns that `to_sample` takes."""


class SampleRows(Sequence[SampleRow]):
    """Samples without their texts, each made into a `SampleRow` when it is looked at.

    They stay the plain tuples that SQLite gives, which the garbage collector soon leaves alone.
    """

    def __init__(self, rows: list[tuple[Any, ...]], evals: list[str], ids: dict[int, str]) -> None:
        self._rows, self._evals, self._ids = rows, evals, ids

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, index: int) -> SampleRow: ...
    @overload
    def __getitem__(self, index: slice) -> SampleRows: ...
    def __getitem__(self, index: int | slice) -> SampleRow | SampleRows:
        found = self._rows[index]
        if isinstance(found, list):
            return SampleRows(found, self._evals, self._ids)
        return SampleRow(self._evals[found[0]], self._ids[found[1]], *found[2:])


def to_problem(row: tuple[Any, ...], evals: list[str]) -> Problem:
    """A problem from its `PROBLEM` columns; `evals` are the run's, by position."""
    key, position, name, prompt, target, meta = row
    messages = tuple(Message.model_validate(message) for message in json.loads(prompt))
    return Problem(
        id=name,
        question="",
        target=json.loads(target),
        meta=json.loads(meta),
        eval=evals[position],
        messages=messages,
        key=key,
    )


def to_sample(row: tuple[Any, ...], problem: Problem, tags: ThinkingTags | None) -> Sample:
    """A sample of this problem from its `SAMPLE` columns, split at the run's thinking tags."""
    _, index, seed, finish, prompt_tokens, shared_tokens, thinking_tokens, answer_tokens = row[:8]
    ttft_s, tokens_per_s, ended, outcome, score = row[8:13]
    text, starts_thinking, error, verifier, extracted, detail = row[13:]
    return Sample(
        problem=problem,
        index=index,
        seed=seed,
        response=split(text, tags, bool(starts_thinking)),
        finish=finish,
        prompt_tokens=prompt_tokens,
        shared_tokens=shared_tokens,
        thinking_tokens=thinking_tokens,
        answer_tokens=answer_tokens,
        ttft_s=ttft_s,
        tokens_per_s=tokens_per_s,
        starts_thinking=bool(starts_thinking),
        error=error,
        outcome=Outcome(outcome) if outcome else None,
        score=score or 0.0,
        verifier=verifier,
        extracted=extracted,
        detail=json.loads(detail) if detail else {},
        ended=ended,
    )


def numbers(run: int, position: int, s: Sample) -> tuple[Any, ...]:
    """A sample's row in the table `samples`."""
    return (
        *(run, position, s.problem.key, s.index, s.seed, s.finish, s.outcome, s.score if s.outcome else None),
        *(s.prompt_tokens, s.shared_tokens, s.thinking_tokens, s.answer_tokens),
        *(s.ttft_s, s.tokens_per_s, s.ended),
    )


def texts(s: Sample) -> tuple[Any, ...]:
    """A sample's row in the table `texts`."""
    return (
        *(s.problem.key, s.index, s.response.raw, s.starts_thinking, s.error),
        *(s.verifier, s.extracted, json.dumps(s.detail) if s.detail else None),
    )


def prompt_json(problem: Problem) -> str:
    return json.dumps([message.model_dump() for message in problem.messages])


def target_json(problem: Problem) -> str:
    """The target as it is stored: itself, or its size and hash when it is too long."""
    text = json.dumps(problem.target)
    if len(text) <= LARGEST_TARGET:
        return text
    return json.dumps({"omitted_characters": len(text), "sha256": hashlib.sha256(text.encode()).hexdigest()})


def is_omitted(target: Any) -> bool:
    """Whether a stored target is only the mark of one that was too long."""
    return isinstance(target, dict) and set(target) == {"omitted_characters", "sha256"}
