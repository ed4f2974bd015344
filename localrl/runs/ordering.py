"""In which order a run asks: first what is expected to take longest, so that no long sample ends alone.

Longest processing time first (Graham, SIAM J. Appl. Math. 17, 1969), over a window of the problems that come
next. Lengths are those of earlier runs; where none is known, longer prompts come first. Seeds depend on the
problem and not on its turn, and the store keeps an eval's own order.
"""

from __future__ import annotations

import heapq
import math
from typing import TYPE_CHECKING, Any, TypeVar

from localrl.catalog import assess
from localrl.store import aggregates

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from localrl.runs.plan import RunPlan
    from localrl.sample import Problem
    from localrl.store.runs import Run, Store

WINDOW = 1024
"""Samples among which the longest is looked for: 16 for each of 64 streams, beyond which more gain little."""
MOST_CHARACTERS = 64 << 20
"""Of the targets that wait in the window; the tests of one programming problem may have millions."""

T = TypeVar("T")


class Lengths:
    """What is known of the lengths of samples: from this run so far, else from the run most like it.

    Like it is a run of the same model and quantisation, of the same model, of any; complete, and the newest.
    """

    def __init__(self, store: Store, run: Run, plan: RunPlan) -> None:
        self._store, self._plan = store, plan
        others = [other for other in store.runs() if other.id != run.id]
        self._sources = [
            [(run, index), *_most_like(others, plan, part.spec.name)] for index, part in enumerate(plan.evals)
        ]
        self._of_evals = [self._mean(index) for index in range(len(plan.evals))]

    def of_eval(self, index: int) -> float:
        """Tokens that a sample of an eval is expected to have."""
        return self._of_evals[index] or assess.SHARE_USED * self._plan.evals[index].sampling.max_tokens

    def rank(self, index: int, problem: Problem) -> tuple[int, int]:
        """Grows with the work that a sample of this problem is expected to be; alike for similar ones.

        First the tokens it took before, in half octaves, then the prompt's characters, in octaves.
        """
        tokens = self._mean(index, problem.id) or self._of_evals[index] or 1.0
        prompt = sum(len(message.content) for message in problem.messages)
        return round(2 * math.log2(max(1.0, tokens))), prompt.bit_length()

    def _mean(self, index: int, problem: str | None = None) -> float | None:
        found = (aggregates.mean_tokens(self._store, *source, problem) for source in self._sources[index])
        return next((tokens for tokens in found if tokens is not None), None)


def _most_like(runs: Iterable[Run], plan: RunPlan, name: str) -> list[tuple[Run, int]]:
    """The run most like the planned one that has this eval, with the eval's position in it; or nothing."""

    def likeness(run: Run) -> tuple[bool, bool, bool]:
        theirs = run.manifest["plan"]
        same = theirs["model_name"] == plan.model_name
        return same and theirs["quantisation"] == plan.quantisation, same, run.status == "complete"

    having = [run for run in runs if name in run.evals]
    return [(best, best.position(name)) for best in [max(having, key=likeness, default=None)] if best]


def longest_first(
    found: Iterable[T], rank: Callable[[T], tuple[int, ...]], characters: Callable[[T], int], most: int
) -> Iterator[T]:
    """Reorder a stream by descending rank, holding `most` of it, or `MOST_CHARACTERS`, at a time.

    Those of the same rank stay in their order, so that prompts that begin alike remain neighbours.
    """
    heap: list[tuple[tuple[int, ...], int, T]] = []
    held = 0
    for turn, each in enumerate(found):
        heapq.heappush(heap, (tuple(-part for part in rank(each)), turn, each))
        held += characters(each)
        while len(heap) >= most or held > MOST_CHARACTERS:
            longest = heapq.heappop(heap)[2]
            held -= characters(longest)
            yield longest
    while heap:
        yield heapq.heappop(heap)[2]


def characters(value: Any) -> int:
    """About how long a JSON value is."""
    if isinstance(value, str):
        return len(value)
    if isinstance(value, dict):
        return sum(map(characters, value.values()))
    return sum(map(characters, value)) if isinstance(value, list) else 1
