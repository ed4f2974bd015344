"""Presence, frequency and repetition penalties, on the few logits that they change.

llama.cpp's own sampler looks every token of the vocabulary up in a table. Here the tokens that were seen are
kept in arrays with what each costs, so that a draw takes microseconds more however large the vocabulary is.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from localrl.sampling import Sampling


class Penalties:
    """The tokens that one sample has seen, and what they cost.

    Args:
        prompt: seen, but not said: only `repetition_penalty` looks at these.
        said: tokens of the text so far, when it goes on.
    """

    def __init__(self, sampling: Sampling, prompt: Sequence[int] = (), said: Sequence[int] = ()) -> None:
        self._presence, self._frequency = sampling.presence_penalty, sampling.frequency_penalty
        self._repetition = np.float32(sampling.repetition_penalty)
        self._places: dict[int, int] = {}
        self._said: set[int] = set()
        self._ids = np.empty(256, np.intp)
        self._costs = np.empty(256, np.float32)
        """What is subtracted from each logit."""
        for token in prompt if sampling.repetition_penalty != 1 else ():
            self._place(token)
        for token in said:
            self.take(token)

    def take(self, token: int) -> None:
        """Count a token that was said."""
        place = self._place(token)
        self._costs[place] += self._frequency
        if token not in self._said:
            self._said.add(token)
            self._costs[place] += self._presence

    @contextmanager
    def applied(self, logits: NDArray[np.float32]) -> Iterator[None]:
        """Change the logits in place, and put them back at the end: others draw from them too."""
        seen = len(self._places)
        ids = self._ids[:seen]
        before = logits.take(ids)
        after = before
        if self._repetition != 1:
            after = np.where(before > 0, before / self._repetition, before * self._repetition)
        logits[ids] = after - self._costs[:seen]
        try:
            yield
        finally:
            logits[ids] = before

    def _place(self, token: int) -> int:
        """Where a token stands; a new one at the end."""
        place = self._places.get(token)
        if place is None:
            place = self._places[token] = len(self._places)
            if place == len(self._ids):
                self._ids, self._costs = np.resize(self._ids, 2 * place), np.resize(self._costs, 2 * place)
            self._ids[place], self._costs[place] = token, 0.0
        return place
