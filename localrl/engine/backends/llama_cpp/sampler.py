"""Drawing tokens with llama.cpp's samplers, given only the candidates that their filters can let pass.

llama.cpp's own chain copies and orders the whole vocabulary for every token. With 152,000 entries (Qwen) that
takes a few tenths of a millisecond for top-k and several milliseconds for top-p alone, times the streams:
more than the forward pass on a fast device. Here the greatest of every 32 logits is looked at first, which
tells what cannot pass; the filters then do on a few dozen candidates what they would have done on all.
"""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Any

import llama_cpp as lib
import numpy as np

from localrl.engine.backends.llama_cpp.penalties import Penalties

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from localrl.sampling import Sampling

    Logits = NDArray[np.float32]
    Ids = NDArray[np.intp]

HEIGHT = 32
"""Logits of which the greatest stands for all: a column of the vocabulary laid out in so many rows."""
LIKELY = (64, 1024)
"""Columns of the likeliest tokens in which top-p is looked for, before all are ordered."""
RANDOM_SEED = 0xFFFFFFFF
"""What llama.cpp takes as "any seed"."""


class Candidates:
    """The vocabulary in columns, and llama.cpp's array of candidates, in memory that lasts."""

    def __init__(self, vocabulary: int) -> None:
        self.tokens = np.arange(vocabulary)
        self.width = vocabulary // HEIGHT
        self.past = self.tokens[HEIGHT * self.width :]
        """Tokens past the last whole column."""
        self._rows = self.width * np.arange(HEIGHT)[:, None]
        self._data = np.zeros(vocabulary, dtype=[("id", np.int32), ("logit", np.float32), ("p", np.float32)])
        self._pointer = self._data.ctypes.data_as(ctypes.POINTER(lib.llama_token_data))

    def filled(self, ids: Any, logits: Any) -> Any:
        """A `llama_token_data_array` over `ids` (tokens) with their logits, in no order."""
        count = len(logits)
        self._data["id"][:count], self._data["logit"][:count], self._data["p"][:count] = ids, logits, 0.0
        return lib.llama_token_data_array(self._pointer, count, -1, False)

    def logits(self, count: int) -> Any:
        """Those of the first `count` candidates, as llama.cpp left them."""
        return self._data["logit"][:count]

    def columns(self, values: Logits) -> Logits:
        return values[: HEIGHT * self.width].reshape(HEIGHT, self.width)

    def column(self, index: int) -> Ids:
        """The tokens of a column, or those past the last."""
        return (index + self._rows[:, 0]) if index < self.width else self.past

    def at_least(self, bound: Any, logits: Logits, maxima: Logits) -> Ids:
        """All tokens whose logit is at least `bound`, given the columns' maxima."""
        ids = (np.flatnonzero(maxima >= bound) + self._rows).ravel()
        if len(self.past):
            ids = np.concatenate([ids, self.past])
        passing: Ids = ids[logits[ids] >= bound]
        return passing


class Sampler:
    """The filters and the random numbers of one sample: penalties, top_k, top_p, min_p, temperature, draw.

    `close` frees what llama.cpp holds. A seed gives the tokens that llama.cpp's own chain would draw; without
    any filter other ones, from the same distribution.
    """

    def __init__(
        self,
        sampling: Sampling,
        seed: int,
        candidates: Candidates,
        prompt: Sequence[int] = (),
        said: Sequence[int] = (),
    ) -> None:
        """
        Args:
            prompt, said: tokens before the first that is drawn; of use to penalties.
        """
        self._sampling = sampling
        self._penalties = Penalties(sampling, prompt, said) if sampling.penalises else None
        self._candidates = candidates
        self._top_k = lib.llama_sampler_init_top_k(sampling.top_k)
        self._top_p = lib.llama_sampler_init_top_p(sampling.top_p, 1)
        self._rest = lib.llama_sampler_chain_init(lib.llama_sampler_chain_default_params())
        parts = [lib.llama_sampler_init_min_p(sampling.min_p, 1)] if sampling.min_p > 0 else []
        parts.append(lib.llama_sampler_init_temp(sampling.temperature))
        parts.append(lib.llama_sampler_init_dist(min(seed, RANDOM_SEED - 1)))
        for part in parts:
            lib.llama_sampler_chain_add(self._rest, part)

    def draw(self, logits: Logits) -> int:
        """The next token, from the logits of the whole vocabulary."""
        if self._penalties is None:
            return self._draw_from(logits)
        with self._penalties.applied(logits):
            token = self._draw_from(logits)
        self._penalties.take(token)
        return token

    def _draw_from(self, logits: Logits) -> int:
        sampling = self._sampling
        if sampling.temperature == 0.0:
            return int(logits.argmax())
        if not (sampling.top_k or sampling.top_p < 1 or sampling.min_p):
            return self._in_two_draws(logits)
        few = self._few(logits)
        if few is None or not len(few):
            return self._draw(self._candidates.tokens, logits, cut=False)
        return self._draw(few, logits[few], cut=not sampling.top_k)

    def close(self) -> None:
        for sampler in (self._top_k, self._top_p, self._rest):
            lib.llama_sampler_free(sampler)

    def _draw(self, ids: Ids, logits: Logits, cut: bool) -> int:
        """Let llama.cpp filter and draw; `cut` says that top-p has been applied."""
        array = self._candidates.filled(ids, logits)
        if self._sampling.top_k:
            lib.llama_sampler_apply(self._top_k, ctypes.byref(array))
        if self._sampling.top_p < 1 and not cut:
            lib.llama_sampler_apply(self._top_p, ctypes.byref(array))
        lib.llama_sampler_apply(self._rest, ctypes.byref(array))
        return int(array.data[array.selected].id)

    def _in_two_draws(self, logits: Logits) -> int:
        """Without filters: first the column, by the sum of its probabilities, then the token in it."""
        candidates, temperature = self._candidates, self._sampling.temperature
        greatest = logits.max()
        if not np.isfinite(greatest):
            return int(logits.argmax())
        weights = np.exp((logits - greatest) * np.float32(1 / temperature))
        sums = np.append(candidates.columns(weights).sum(axis=0), weights[candidates.past].sum())
        with np.errstate(divide="ignore"):
            columns = np.log(sums) * np.float32(temperature)  # by which llama.cpp divides
        ids = candidates.column(self._draw(candidates.tokens[: len(columns)], columns, cut=True))
        return self._draw(ids, logits[ids], cut=True)

    def _few(self, logits: Logits) -> Ids | None:
        """Tokens among which are all that the filters let pass; None where that may be anything."""
        sampling, candidates = self._sampling, self._candidates
        if sampling.top_k > candidates.width // 2 or not candidates.width:
            return None
        maxima = candidates.columns(logits).max(axis=0)
        if not np.isfinite(maxima.max()):
            return np.array([logits.argmax()])
        if sampling.top_k:
            return candidates.at_least(_nth_greatest(maxima, sampling.top_k), logits, maxima)
        if sampling.top_p < 1:
            return _top_p(sampling.top_p, logits, maxima, candidates)
        # A little lower, for llama.cpp computes the bound in its own way. It keeps the order of the tokens.
        return np.sort(candidates.at_least(logits.max() + np.log(sampling.min_p) - 1e-3, logits, maxima))


def _nth_greatest(values: Logits, n: int) -> np.float32:
    return np.partition(values, len(values) - n)[len(values) - n]  # type: ignore[no-any-return]


def _top_p(top_p: float, logits: Logits, maxima: Logits, candidates: Candidates) -> Ids | None:
    """The fewest most likely tokens that have `top_p` of the probability together; None if they are many."""
    greatest = logits.max()
    total = 0.0
    for columns in LIKELY:
        if columns > len(maxima) // 2:
            return None
        bound = _nth_greatest(maxima, columns)
        ids = candidates.at_least(bound, logits, maxima)
        ids = ids[np.argsort(-logits[ids], kind="stable")]
        cumulated = np.cumsum(np.exp(logits[ids] - greatest), dtype=np.float64)
        # Nothing left out exceeds the bound, nor the maximum of its column.
        left_out = HEIGHT * float(np.exp(np.minimum(maxima, bound) - greatest).sum(dtype=np.float64))
        left_out += HEIGHT * float(np.exp(bound - greatest))
        end, most = np.searchsorted(cumulated, top_p * (cumulated[-1] + np.array([0.0, left_out])))
        if end != most:
            total = total or float(np.exp(logits - greatest).sum(dtype=np.float64))
            end = np.searchsorted(cumulated, top_p * total)
        if end < len(ids):
            return ids[: end + 1]
    return None
