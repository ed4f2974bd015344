"""Samples counted by problem: the groups that every statistic of a run starts from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from localrl.verdict import INCOMPLETE, VERIFIER_FAILED

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from localrl.sample import SampleRow


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


def groups(rows: Iterable[SampleRow]) -> Groups:
    """Count judged samples by eval and problem."""
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
