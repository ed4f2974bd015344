"""Which of several servers gets the next request: the one with the least to do, of those that are well.

A server that fails rests, longer each time, and is then tried with one request before it gets more. One that
says it has too much to do, or cuts texts off, gets fewer at once, and slowly more again.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeVar

from localrl.engine.endpoint import Failure, RequestFailed

if TYPE_CHECKING:
    from collections.abc import Sequence

FIRST_REST_S = 0.5
LONGEST_REST_S = 30.0
ROUNDS = 4
"""A lowered limit rises by one after so many rounds of requests that went well."""

E = TypeVar("E")


@dataclass(eq=False, slots=True)
class Share(Generic[E]):
    """One server's part of the work. Times are of one monotonic clock."""

    endpoint: E
    outstanding: int = 0
    """Samples asked for and not finished."""
    failures: int = 0
    """In a row."""
    rests_until: float = 0.0
    limit: int | None = None
    """Most samples at once, once the server has shown that it has one."""
    _well: int = 0

    def free(self, now: float) -> bool:
        if now < self.rests_until:
            return False
        if self.failures:
            return not self.outstanding
        return self.limit is None or self.outstanding < self.limit

    def succeeded(self) -> None:
        self.failures = 0
        self._well += 1
        if self.limit is not None and self._well >= ROUNDS * self.limit:
            self.limit, self._well = self.limit + 1, 0

    def failed(self, failed: RequestFailed, now: float) -> None:
        """Count against the server what a failed request says about it."""
        if failed.failure in (Failure.BUSY, Failure.BROKEN):
            self.limit, self._well = max(1, min(self.limit or self.outstanding, self.outstanding) // 2), 0
        if failed.failure is Failure.BUSY:
            self.rests_until = now + min(failed.retry_after or FIRST_REST_S, LONGEST_REST_S)
        if failed.failure is Failure.DOWN and now >= self.rests_until:
            # Of many requests that fail together only the first counts.
            self.failures += 1
            rest = min(FIRST_REST_S * 2 ** (self.failures - 1), LONGEST_REST_S)
            self.rests_until = now + rest * random.uniform(0.75, 1.25)


@dataclass(slots=True)
class Sharing(Generic[E]):
    shares: Sequence[Share[E]]
    _turn: int = field(default=0)

    def choose(self, now: float, besides: Share[E] | None = None) -> Share[E] | None:
        """The server for the next request, or None when all are full, resting or failing.

        `besides` has just failed this request: it is taken only when there is no other.
        """
        self._turn += 1
        count = len(self.shares)
        in_turn = [self.shares[(self._turn + i) % count] for i in range(count)]
        free = [share for share in in_turn if share.free(now)]
        return min(free, key=lambda share: (share is besides, share.outstanding), default=None)
