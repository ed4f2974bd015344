"""Rewards: weighted sums of verifiers' scores, as the models are trained against, beside accuracy.

Two published recipes as configuration. OThink-MR1: accuracy plus format,

    [[rewards]]
    name = "othink-mr1"
    terms = [{ verifier = { name = "math", extractor = "boxed" } }, { verifier = { name = "format" } }]

DAPO (arXiv:2503.14476, eq. 13): 1 or -1, plus a soft punishment of overlong responses,

    [[rewards]]
    name = "dapo"
    terms = [{ weight = 2.0, offset = -1.0 }]
    overlong = { limit = 20480, cache = 4096 }
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field, model_validator

from localrl.tomlfile import Strict
from localrl.verify.base import VerifierSpec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from localrl.verdict import Verdict


class Term(Strict):
    verifier: VerifierSpec | None = None
    """None takes the eval's own verifier."""
    weight: float = 1.0
    offset: float = 0.0
    """Added to the weighted score."""
    graded: bool = False
    """True takes the score in [0, 1]; otherwise 1 for correct and 0 for everything else."""


class Overlong(Strict):
    """Soft overlong punishment: 0 up to `limit - cache` tokens, then linear to -1 at `limit`, -1 beyond."""

    limit: int = Field(ge=1)
    """L_max, tokens of the whole response, thinking included."""
    cache: int = Field(ge=1)
    """L_cache, the tokens over which it falls."""

    @model_validator(mode="after")
    def _within(self) -> Overlong:
        if self.cache > self.limit:
            raise ValueError("cache must not be larger than limit")
        return self

    def penalty(self, tokens: int) -> float:
        """The punishment, -1 to 0, of a response of so many tokens."""
        return -min(max(tokens - (self.limit - self.cache), 0) / self.cache, 1.0)


class Reward(Strict):
    name: str
    terms: list[Term] = [Term()]
    overlong: Overlong | None = None

    def value(self, verdicts: Sequence[Verdict], tokens: int) -> float:
        """The reward of one response.

        Args:
            verdicts: one a term, in their order.
            tokens: the response's length, thinking included.
        """
        total = 0.0
        for term, verdict in zip(self.terms, verdicts, strict=True):
            score = verdict.score if term.graded else float(verdict.correct)
            total += term.weight * score + term.offset
        return total + (self.overlong.penalty(tokens) if self.overlong else 0.0)
