"""The parts of an eval: `NAME:train`, which a training learns from, and `NAME:held-out`, which measures it.

A problem's part depends on the text of its question alone, so that a question that comes twice, as generators
make them, is never in both.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Literal, get_args

from localrl.tomlfile import Strict

if TYPE_CHECKING:
    from localrl.evals.spec import EvalSpec
    from localrl.sample import Problem

Part = Literal["held-out", "train"]
HELD_OUT_SHARE = 0.2


class Split(Strict):
    part: Part
    share: float = HELD_OUT_SHARE
    """Of the questions, how many are held out."""

    def holds(self, problem: Problem) -> bool:
        digest = hashlib.blake2b(problem.question.encode("utf-8", "replace"), digest_size=4).digest()
        held_out = int.from_bytes(digest, "big") < self.share * 2**32
        return held_out == (self.part == "held-out")


def parse(name: str) -> tuple[str, Split | None]:
    """`math500:held-out` -> `("math500", Split("held-out"))`; a name of a whole eval stays as it is."""
    base, _, part = name.rpartition(":")
    return next(((base, Split(part=known)) for known in get_args(Part) if known == part), (name, None))


def of(spec: EvalSpec, split: Split) -> EvalSpec:
    """One part of an eval, as a protocol of its own."""
    data = spec.data.model_copy(update={"split": split, "size": None})
    return spec.model_copy(update={"name": f"{spec.name}:{split.part}", "data": data, "published": []})
