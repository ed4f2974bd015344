"""Who holds which KV cells: place a prompt, share its beginning, set a stream aside, bring it back.

What nobody computes on any more may be of use again: the preamble of many problems, the talk that goes on. It
is kept in cells while they are few, because attention looks at every one of them, and in host memory beyond.
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from localrl.engine.kv_cache.cells import CellPool

if TYPE_CHECKING:
    from collections.abc import Sequence

    from localrl.engine.device import Device

GROWTH = 16
"""Cells kept free for each stream when another one is admitted, so that none is set aside at once."""
SHORTEST_SHARE = 16
"""Prefixes shorter than this are computed again rather than shared."""
KEPT_PROMPTS = 4
COPY_BYTES_PER_S = 2e9
"""First guess of how fast cells are copied to host memory; measured from then on."""


@dataclass(slots=True, eq=False)
class Holder:
    """Tokens that have, or want, cells: a prompt, or a running stream."""

    tokens: list[int]
    sequence: int = -1
    """The device's number for it; -1 while it holds no cells."""
    filled: int = 0
    """How many of the tokens are computed."""

    @property
    def missing(self) -> int:
        return len(self.tokens) - self.filled


@dataclass(frozen=True, slots=True)
class _Stored:
    """The computed cells of some tokens, in host memory."""

    tokens: list[int]
    state: Any


class Memory:
    """All cells of one device, and everyone who holds some."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self._pool = CellPool(device.cells, device.max_sequences)
        self._residents: dict[int, Holder] = {}
        self._kept: deque[Holder] = deque()
        self._stored: deque[_Stored] = deque()
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

    def place(self, holder: Holder, streams: int, prefill_rate: float) -> int | None:
        """Give a holder a sequence, and the cells of whoever computed the same beginning.

        Returns the number of tokens shared, or None when there is no room beside `streams` running streams.
        `prefill_rate` is in tokens per second, 0 while unknown.
        """
        source, shared = self._longest_prefix(holder.tokens)
        if self._recall(holder.tokens, shared, streams, prefill_rate):
            source, shared = self._longest_prefix(holder.tokens)
        if not self.reserve(len(holder.tokens) - shared, streams, spare=source):
            return None
        self._settle(holder)
        if source is not None:
            self.fork(source, holder, shared)
        self._store_idle(prefill_rate)
        return shared

    def worth_waiting(self, tokens: list[int]) -> bool:
        """Whether somebody is about to compute a beginning of `tokens` that nobody has computed yet."""
        if not self._device.partial:
            return False
        known = self._longest_prefix(tokens)[1]
        for holder in self._residents.values():
            limit = min(len(holder.tokens), len(tokens) - 1)
            if holder.missing and limit >= known + SHORTEST_SHARE:
                coming = common_prefix(holder.tokens, tokens, limit)
                if coming >= max(known, holder.filled) + SHORTEST_SHARE:
                    return True
        return False

    def fork(self, source: Holder, target: Holder, tokens: int) -> None:
        """Let `target` begin with the cells of the first tokens of `source`."""
        if target.sequence < 0:
            self._settle(target)
        if self._device.own_cells:
            self._pool.append(target.sequence, tokens)
        else:
            self._pool.share(source.sequence, target.sequence, tokens)
        self._device.share(source.sequence, target.sequence, tokens)
        target.filled = tokens
        if source in self._kept:  # used again: now the last to go
            self._kept.remove(source)
            self._kept.append(source)

    def computed(self, holder: Holder, tokens: int) -> None:
        """The device has computed further tokens of a holder."""
        self._pool.append(holder.sequence, tokens)
        holder.filled += tokens

    def release(self, holder: Holder) -> None:
        """Take a holder's cells away, if it has any."""
        if holder.sequence < 0:
            return
        self._device.remove(holder.sequence)
        self._pool.remove(holder.sequence)
        del self._residents[holder.sequence]
        holder.sequence, holder.filled = -1, 0

    def reserve(self, tokens: int, streams: int, spare: Holder | None = None) -> bool:
        """Whether cells and a sequence can be had for `tokens` more, with room for others to grow.

        Kept prompts are dropped for it, except `spare`. With nobody else there no room to grow is asked for,
        so that the longest prompt can start.
        """
        promised = sum(holder.missing for holder in self._residents.values())
        growth = GROWTH * (streams + 1) if streams or promised else 0
        while self._pool.free < tokens + promised + growth or not self._pool.idle_sequences:
            if not self.drop_kept(spare):
                return False
        return True

    def keep(self, holder: Holder, tokens: int | None = None, coming: Sequence[list[int]] = ()) -> None:
        """Nobody waits for this prompt, or text, any more: it stays as long as nobody needs its cells.

        Of its tokens only the first may be of use: the given number, or, where it is known which prompts are
        `coming`, as many as they begin with.
        """
        if self._device.partial:
            useful = holder.filled if tokens is None else min(tokens, holder.filled)
            if coming:
                useful = max(common_prefix(holder.tokens, other, min(useful, len(other))) for other in coming)
            if useful < SHORTEST_SHARE or self._is_kept(holder.tokens[:useful]):
                self.release(holder)
                return
            self._cut(holder, useful)
            for kept in [kept for kept in self._kept if holder.tokens[: kept.filled] == kept.tokens]:
                self._kept.remove(kept)
                self.release(kept)
        self._kept.append(holder)
        if len(self._kept) > KEPT_PROMPTS:
            self.drop_kept()

    def drop_kept(self, spare: Holder | None = None) -> bool:
        """Give up the kept prompt that was not used for longest; False when there is none."""
        for prompt in self._kept:
            if prompt is not spare:
                self._kept.remove(prompt)
                self.release(prompt)
                return True
        return False

    def preempt(self, holder: Holder, prefill_rate: float) -> Any:
        """Free a stream's cells; returns its saved state, or None where computing again is cheaper.

        `prefill_rate` is in tokens per second, 0 while unknown.
        """
        state = None
        if self._saving_is_cheaper(holder, prefill_rate):
            began = time.monotonic()
            state = self._device.save(holder.sequence)
            if (seconds := time.monotonic() - began) > 0:
                rate = holder.filled * self._device.state_bytes_per_token / seconds
                self._copy_rate += 0.3 * (rate - self._copy_rate)
        self.release(holder)
        return state

    def bring_back(self, holder: Holder, state: Any, streams: int) -> bool:
        """Put saved cells back; False, with nothing changed, when there is no room."""
        total = len(holder.tokens)
        if not self.reserve(total, streams):
            return False
        self._settle(holder)
        if not self._device.restore(holder.sequence, state):
            self.release(holder)
            return False
        # Restored cells are its own; those that a prompt still holds are shared again.
        sharing = self._device.partial and not self._device.own_cells
        source, shared = self._longest_prefix(holder.tokens) if sharing else (None, 0)
        if source is not None:
            self._pool.share(source.sequence, holder.sequence, shared)
            self._device.replace_prefix(source.sequence, holder.sequence, shared)
        self._pool.append(holder.sequence, total - shared)
        holder.filled = total
        return True

    def _is_kept(self, tokens: list[int]) -> bool:
        return any(kept.tokens[: min(kept.filled, len(tokens))] == tokens for kept in self._kept)

    def _cut(self, holder: Holder, tokens: int) -> None:
        if tokens < holder.filled:
            self._device.cut(holder.sequence, tokens)
            self._pool.cut(holder.sequence, tokens)
            holder.filled = tokens
        holder.tokens = holder.tokens[:tokens]

    def _store_idle(self, prefill_rate: float) -> None:
        """Move what is kept, least recently used first, to host memory until few idle cells are left."""
        if not self._device.partial:
            return
        while self._pool.held_only_by([kept.sequence for kept in self._kept]) > self._device.idle_cells:
            kept = self._kept.popleft()
            state = self.preempt(kept, prefill_rate)
            if state is not None:
                self._stored.append(_Stored(kept.tokens, state))
        while sum(len(stored.state) for stored in self._stored) > self._device.stored_bytes:
            self._stored.popleft()

    def _recall(self, tokens: list[int], known: int, streams: int, prefill_rate: float) -> bool:
        """Bring the stored text back that most of `tokens` begins with, if that beats computing it."""
        best, length = None, known + SHORTEST_SHARE - 1
        for stored in self._stored:
            common = common_prefix(stored.tokens, tokens, min(len(stored.tokens), len(tokens) - 1))
            if common > length:
                best, length = stored, common
        if best is None or len(best.state) / self._copy_rate * prefill_rate > length - known:
            return False
        self._stored.remove(best)
        holder = Holder(best.tokens)
        if not self.bring_back(holder, best.state, streams):
            return False
        self._cut(holder, length)
        self.keep(holder)
        return True

    def _settle(self, holder: Holder) -> None:
        holder.sequence = self._pool.create()
        self._residents[holder.sequence] = holder

    def _longest_prefix(self, tokens: list[int], besides: Holder | None = None) -> tuple[Holder | None, int]:
        """Who has computed most of the beginning of `tokens`; the last token is always left to compute."""
        best: tuple[Holder | None, int] = (None, SHORTEST_SHARE - 1)
        for holder in self._residents.values():
            limit = min(holder.filled, len(tokens) - 1)
            if holder is besides or limit <= best[1]:
                continue
            if self._device.partial or limit == holder.filled:
                length = common_prefix(holder.tokens, tokens, limit)
                if length > best[1] and (self._device.partial or length == holder.filled):
                    best = (holder, length)
        return best if best[0] else (None, 0)

    def _saving_is_cheaper(self, holder: Holder, prefill_rate: float) -> bool:
        """Compare copying the cells out and in with computing what no other sequence holds."""
        if holder.missing:
            return False  # it was itself being computed again
        if not prefill_rate:
            return True
        shared = self._longest_prefix(holder.tokens, besides=holder)[1]
        copied = 2 * holder.filled * self._device.state_bytes_per_token
        return copied / self._copy_rate < (holder.filled - shared) / prefill_rate


def common_prefix(a: list[int], b: list[int], limit: int) -> int:
    """Length of the common beginning of two lists, at most `limit`."""
    if a[:limit] == b[:limit]:
        return limit
    return next(i for i in range(limit) if a[i] != b[i])
