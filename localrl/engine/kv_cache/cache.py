"""The KV cache of one device: who holds which cells, prefix sharing and caching, preemption.

What nobody computes on any more may be of use again: the preamble of many problems, a conversation that goes
on. This prefix cache stays in cells while it is small, because attention looks at every one of them, and in
host memory beyond.
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from localrl.engine.kv_cache.cells import CellPool
from localrl.engine.kv_cache.slots import side_by_side

if TYPE_CHECKING:
    from collections.abc import Sequence

    from localrl.engine.device import BatchDevice

GROWTH = 16
"""Cells kept free for each stream when another one is admitted, so that none is preempted at once."""
SHORTEST_PREFIX = 16
"""Prefixes shorter than this are computed again rather than shared."""
MOST_PREFIXES = 4
"""Sequences in the prefix cache, without those in host memory."""
COPY_BYTES_PER_S = 2e9
"""First guess of how fast cells are copied to host memory; measured from then on."""


@dataclass(slots=True, eq=False)
class TokenSequence:
    """Tokens that have, or want, cells: a prompt, or a running stream."""

    tokens: list[int]
    seq_id: int = -1
    """The device's number for it; -1 while it holds no cells."""
    computed: int = 0
    """How many of the tokens are in the cache."""
    drafted: int = 0
    """Cells behind those, of a draft that is not accepted yet."""

    @property
    def missing(self) -> int:
        return len(self.tokens) - self.computed


@dataclass(frozen=True, slots=True)
class _Offloaded:
    """The cells of some tokens, in host memory."""

    tokens: list[int]
    state: Any


class KVCache:
    """All cells of one device, and every sequence that holds some.

    `streams` is the number of running streams, which need room to grow, and `prefill_rate` is in tokens per
    second, 0 while unknown, throughout.
    """

    def __init__(self, device: BatchDevice) -> None:
        self._device = device
        self._pool = CellPool(device.cells, device.max_sequences, device.unified)
        self._sequences: dict[int, TokenSequence] = {}
        self._prefixes: deque[TokenSequence] = deque()
        """The prefix cache: whose cells nobody computes on, least recently used first."""
        self._offloaded: deque[_Offloaded] = deque()
        """What left the prefix cache for host memory, oldest first."""
        self._copy_rate = COPY_BYTES_PER_S

    @property
    def capacity(self) -> int:
        return self._pool.capacity

    @property
    def used(self) -> int:
        return self._pool.used

    @property
    def free(self) -> int:
        return self._pool.free

    def allocate(
        self, wanted: TokenSequence, streams: int, prefill_rate: float, share: bool = True
    ) -> int | None:
        """Give a sequence its place, and, to `share`, the cells of whoever computed the same beginning.

        Returns the number of tokens shared, or None when there is no room.
        """
        source, shared = self._longest_prefix(wanted.tokens) if share else (None, 0)
        if share and self._reload(wanted.tokens, shared, streams, prefill_rate):
            source, shared = self._longest_prefix(wanted.tokens)
        if not self.reserve(len(wanted.tokens) - shared, streams, spare=source):
            return None
        self._create(wanted, last=True)
        if source is not None:
            self.fork(source, wanted, shared)
        self._offload_idle(prefill_rate)
        return shared

    def worth_waiting(self, tokens: list[int]) -> bool:
        """Whether somebody is about to compute a beginning of `tokens` that nobody has computed yet."""
        if not self._device.partial:
            return False
        known = self._longest_prefix(tokens)[1]
        for sequence in self._sequences.values():
            limit = min(len(sequence.tokens), len(tokens) - 1)
            if sequence.missing and limit >= known + SHORTEST_PREFIX:
                coming = common_prefix(sequence.tokens, tokens, limit)
                if coming >= max(known, sequence.computed) + SHORTEST_PREFIX:
                    return True
        return False

    def fork(self, source: TokenSequence, target: TokenSequence, tokens: int) -> None:
        """Let `target` begin with the cells of the first tokens of `source`."""
        if target.seq_id < 0:
            self._create(target)
        self._pool.share(source.seq_id, target.seq_id, tokens)
        self._device.share(source.seq_id, target.seq_id, tokens)
        target.computed = tokens
        if source in self._prefixes:  # used again: now the last to go
            self._prefixes.remove(source)
            self._prefixes.append(source)

    def branch(self, source: TokenSequence, target: TokenSequence) -> bool:
        """Let `target` begin with all cells of `source` where that takes none; False where it has to wait."""
        if not self._device.unified:
            return False
        while self._pool.full:
            if not self.evict():
                return False
        self.fork(source, target, source.computed)
        return True

    def hand_over(self, source: TokenSequence, target: TokenSequence) -> bool:
        """Give the cells of `source`, which has ended, to a sequence that begins like it; False if it has
        none."""
        if source.seq_id < 0:
            return False
        target.seq_id, target.computed = source.seq_id, source.computed
        self._sequences[target.seq_id] = target
        source.seq_id, source.computed = -1, 0
        shared = common_prefix(source.tokens, target.tokens, min(target.computed, len(target.tokens)))
        self._cut(target, shared)
        return True

    def append(self, sequence: TokenSequence, tokens: int, drafted: int = 0) -> None:
        """The device has computed further tokens of a sequence, and a draft behind them."""
        self._pool.append(sequence.seq_id, tokens + drafted)
        sequence.computed += tokens
        sequence.drafted = drafted

    def accept(self, sequence: TokenSequence) -> None:
        """The first token of the draft has become one of the sequence."""
        sequence.computed += 1
        sequence.drafted -= 1

    def drop_draft(self, sequence: TokenSequence) -> None:
        """Free the cells of what was not accepted."""
        if sequence.drafted:
            kept, sequence.computed = sequence.computed, sequence.computed + sequence.drafted
            sequence.drafted = 0
            self._cut(sequence, kept)

    def arrange(self, running: Sequence[TokenSequence]) -> None:
        """Bring the slots of running sequences side by side, where each has its own."""
        if self._device.unified:
            return
        slots = [sequence.seq_id for sequence in running]
        for source, target in side_by_side(slots, self._pool.idle, self._pool.sequences):
            self._device.move(source, target)
            self._pool.move(source, target)
            sequence = self._sequences[target] = self._sequences.pop(source)
            sequence.seq_id = target

    def release(self, sequence: TokenSequence) -> None:
        """Free a sequence's cells, if it has any."""
        if sequence.seq_id < 0:
            return
        self._device.remove(sequence.seq_id)
        self._pool.remove(sequence.seq_id)
        del self._sequences[sequence.seq_id]
        sequence.seq_id, sequence.computed = -1, 0

    def reserve(self, tokens: int, streams: int, spare: TokenSequence | None = None) -> bool:
        """Whether cells and a sequence can be had for `tokens` more, with room for others to grow.

        Evicts from the prefix cache for it, except `spare`. With nobody else there no room to grow is asked
        for, so that the longest prompt can start.
        """
        promised = sum(sequence.missing for sequence in self._sequences.values())
        growth = GROWTH * (streams + 1) if streams or promised else 0
        while self._pool.free < tokens + promised + growth or self._pool.full:
            if not self.evict(spare):
                return False
        return True

    def cache_prefix(
        self, sequence: TokenSequence, tokens: int | None = None, coming: Sequence[list[int]] = ()
    ) -> None:
        """Keep what nobody waits for any more, as long as nobody needs its cells.

        Of its tokens only the first may be of use: the given number, or, where it is known which prompts are
        `coming`, as many as they begin with.
        """
        if self._device.partial:
            useful = sequence.computed if tokens is None else min(tokens, sequence.computed)
            if coming:
                begin = sequence.tokens[:useful]
                useful = max(common_prefix(begin, other, min(useful, len(other))) for other in coming)
            if useful < SHORTEST_PREFIX or self._is_cached(sequence.tokens[:useful]):
                self.release(sequence)
                return
            self._truncate(sequence, useful)
            for held in [held for held in self._prefixes if sequence.tokens[: held.computed] == held.tokens]:
                self._prefixes.remove(held)
                self.release(held)
        self._prefixes.append(sequence)
        if len(self._prefixes) > MOST_PREFIXES:
            self.evict()

    def evict(self, spare: TokenSequence | None = None) -> bool:
        """Evict the least recently used of the prefix cache; False when it is empty."""
        for sequence in self._prefixes:
            if sequence is not spare:
                self._prefixes.remove(sequence)
                self.release(sequence)
                return True
        return False

    def clear(self) -> None:
        """Forget the prefix cache, in cells and in host memory: it was computed with other weights."""
        while self.evict():
            pass
        self._offloaded.clear()

    def preempt(self, sequence: TokenSequence, prefill_rate: float) -> Any:
        """Free a stream's cells; returns its saved state, or None where computing again is cheaper."""
        state = None
        if self._saving_is_cheaper(sequence, prefill_rate):
            began = time.monotonic()
            state = self._device.save(sequence.seq_id)
            if (seconds := time.monotonic() - began) > 0:
                rate = sequence.computed * self._device.state_bytes_per_token / seconds
                self._copy_rate += 0.3 * (rate - self._copy_rate)
        self.release(sequence)
        return state

    def restore(self, sequence: TokenSequence, state: Any, tokens: int, streams: int) -> bool:
        """Put the saved cells of its first tokens back; False, with nothing changed, when there is no room
        for all of it."""
        if not self.reserve(len(sequence.tokens), streams):
            return False
        self._create(sequence)
        if not self._device.restore(sequence.seq_id, state):
            self.release(sequence)
            return False
        # Restored cells are its own; those that a prompt still holds are shared again.
        sharing = self._device.partial and self._device.unified
        source, shared = self._longest_prefix(sequence.tokens[:tokens]) if sharing else (None, 0)
        if source is not None:
            self._pool.share(source.seq_id, sequence.seq_id, shared)
            self._device.replace_prefix(source.seq_id, sequence.seq_id, shared)
        self._pool.append(sequence.seq_id, tokens - shared)
        sequence.computed = tokens
        return True

    def _is_cached(self, tokens: list[int]) -> bool:
        return any(held.tokens[: min(held.computed, len(tokens))] == tokens for held in self._prefixes)

    def _truncate(self, sequence: TokenSequence, tokens: int) -> None:
        self._cut(sequence, tokens)
        sequence.tokens = sequence.tokens[:tokens]

    def _cut(self, sequence: TokenSequence, tokens: int) -> None:
        """Free the cells behind the first tokens of a sequence."""
        if tokens < sequence.computed:
            self._device.truncate(sequence.seq_id, tokens)
            self._pool.truncate(sequence.seq_id, tokens)
            sequence.computed = tokens

    def _offload_idle(self, prefill_rate: float) -> None:
        """Move the prefix cache, least recently used first, to host memory until few idle cells are left."""
        if not self._device.partial:
            return
        while self._pool.held_only_by([held.seq_id for held in self._prefixes]) > self._device.idle_cells:
            held = self._prefixes.popleft()
            state = self.preempt(held, prefill_rate)
            if state is not None:
                self._offloaded.append(_Offloaded(held.tokens, state))
        while sum(len(offloaded.state) for offloaded in self._offloaded) > self._device.offload_bytes:
            self._offloaded.popleft()

    def _reload(self, tokens: list[int], known: int, streams: int, prefill_rate: float) -> bool:
        """Bring back from host memory what most of `tokens` begins with, if that beats computing it."""
        best, length = None, known + SHORTEST_PREFIX - 1
        for offloaded in self._offloaded:
            common = common_prefix(offloaded.tokens, tokens, min(len(offloaded.tokens), len(tokens) - 1))
            if common > length:
                best, length = offloaded, common
        if best is None or len(best.state) / self._copy_rate * prefill_rate > length - known:
            return False
        self._offloaded.remove(best)
        sequence = TokenSequence(best.tokens)
        if not self.restore(sequence, best.state, len(best.tokens), streams):
            return False
        self._truncate(sequence, length)
        self.cache_prefix(sequence)
        return True

    def _create(self, sequence: TokenSequence, last: bool = False) -> None:
        """Give it a number: prompts take the last, away from the streams, which are computed side by side."""
        sequence.seq_id = self._pool.create(last)
        self._sequences[sequence.seq_id] = sequence

    def _longest_prefix(
        self, tokens: list[int], besides: TokenSequence | None = None
    ) -> tuple[TokenSequence | None, int]:
        """Who has computed most of the beginning of `tokens`; the last token is always left to compute."""
        best: tuple[TokenSequence | None, int] = (None, SHORTEST_PREFIX - 1)
        for sequence in self._sequences.values():
            limit = min(sequence.computed, len(tokens) - 1)
            if sequence is besides or limit <= best[1]:
                continue
            if self._device.partial or limit == sequence.computed:
                length = common_prefix(sequence.tokens, tokens, limit)
                if length > best[1] and (self._device.partial or length == sequence.computed):
                    best = (sequence, length)
        return best if best[0] else (None, 0)

    def _saving_is_cheaper(self, sequence: TokenSequence, prefill_rate: float) -> bool:
        """Compare copying the cells out and in with computing what no other sequence holds."""
        if not prefill_rate:
            return True
        shared = self._longest_prefix(sequence.tokens, besides=sequence)[1]
        copied = 2 * sequence.computed * self._device.state_bytes_per_token
        return copied / self._copy_rate < (sequence.computed - shared) / prefill_rate


def common_prefix(a: list[int], b: list[int], limit: int) -> int:
    """Length of the common beginning of two lists, at most `limit`."""
    if a[:limit] == b[:limit]:
        return limit
    return next(i for i in range(limit) if a[i] != b[i])
