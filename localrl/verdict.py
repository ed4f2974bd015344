"""What a verifier sees and says."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Outcome(StrEnum):
    """How a sample ended; every sample has exactly one, so they sum to the number of samples."""

    CORRECT = "correct"
    WRONG = "wrong"
    NO_ANSWER = "no_answer"
    """The text ended properly, and the extractor found no answer in it."""
    TRUNCATED = "truncated"
    """Generation stopped at the token limit or at the end of the context."""
    LOOPED = "looped"
    """The loop guard stopped a text that repeated itself."""
    VERIFIER_TIMEOUT = "verifier_timeout"
    VERIFIER_ERROR = "verifier_error"
    ENGINE_ERROR = "engine_error"
    """The backend failed on this sample; there is no text to judge."""


INCOMPLETE = frozenset({Outcome.TRUNCATED, Outcome.LOOPED, Outcome.ENGINE_ERROR})
"""Outcomes of samples that did not end on their own."""
VERIFIER_FAILED = frozenset({Outcome.VERIFIER_ERROR, Outcome.VERIFIER_TIMEOUT})


@dataclass(frozen=True, slots=True)
class Response:
    """One generation, split at the thinking tags.

    `answer` is what follows the thinking (the whole text for a model that does not think), and the only part
    that may hold an answer; `raw` is the text as generated, tags included.
    """

    answer: str
    thinking: str = ""
    raw: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    outcome: Outcome
    score: float = 0.0
    """The reward in [0, 1] as the verifier gives it; accuracy counts `outcome` alone."""
    extracted: str | None = None
    """The answer as the extractor found it, shown to people; None when there was none."""
    detail: dict[str, Any] = field(default_factory=dict)
    """JSON values that explain the verdict."""

    @property
    def correct(self) -> bool:
        return self.outcome is Outcome.CORRECT
