"""What a model yields on a machine: right answers an hour, and where each factor comes from.

    right answers an hour = accuracy · tokens/s of all streams · 3600 / tokens of an answer

Accuracy is this machine's own run of the eval where there is one, else the published score. Nobody publishes
lengths of answers, so without a run they are a share of the token limit: a guess, the same for all models.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from localrl.catalog.card import Card

REFERENCE = ("aime24", "aime25")
"""Without a wish, models are compared by the first of these evals that is known of them."""


@dataclass(frozen=True, slots=True)
class Experience:
    """What runs on this machine measured of one model at one quantisation."""

    tokens_per_s: float | None = None
    """Of all streams together."""
    accuracy: Mapping[str, float] = field(default_factory=dict)
    """By eval."""
    tokens: Mapping[str, float] = field(default_factory=dict)
    """Generated for a sample, by eval."""


NOTHING = Experience()


@dataclass(frozen=True, slots=True)
class KnownAccuracy:
    value: float
    eval: str
    measured: bool
    """By a run here; else somebody published it."""


@dataclass(frozen=True, slots=True)
class Yield:
    accuracy: KnownAccuracy | None
    tokens_per_answer: float
    tokens_measured: bool
    """By a run here; else a guess."""
    right_per_hour: float | None
    """None where accuracy or speed is unknown."""


def expect(
    card: Card | None, known: Experience, evals: tuple[str, ...], guess: float, tokens_per_s: float | None
) -> Yield:
    """
    Args:
        evals: whose accuracy counts, the first that is known.
        guess: tokens of an answer where no run tells.
        tokens_per_s: of all streams together; None where unknown.
    """
    accuracy = _accuracy(card, known, evals)
    tokens = known.tokens.get(accuracy.eval if accuracy else evals[0])
    length = tokens or guess
    right = accuracy.value * tokens_per_s * 3600 / length if accuracy and tokens_per_s else None
    return Yield(accuracy, length, tokens is not None, right)


def _accuracy(card: Card | None, known: Experience, evals: tuple[str, ...]) -> KnownAccuracy | None:
    for name in evals:
        if name in known.accuracy:
            return KnownAccuracy(known.accuracy[name], name, measured=True)
        for score in card.published if card else []:
            if score.eval == name and score.metric == "accuracy":
                return KnownAccuracy(score.value, name, measured=False)
    return None
