"""Which of several servers gets the next request: the one with the least to do, of those that are well.

A server that fails rests, longer each time, and is then tried with one request before it gets more. One that
says it has too much to do, or cuts texts off, gets fewer at once, and slowly more again.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeVar

from localrl.engine.backends.server.responses import Failure, RequestFailed

if TYPE_CHECKING:
    from collections.abc import Sequence

FIRST_REST_S = 0.5
LONGEST_REST_S = 30.0
LONGEST_WAIT_S = 60.0
"""Of what a server asks for that has too much to do."""
DENIALS = 3
"""So often in a row a server may say that it does not serve us; a proxy says so while its server starts."""
ROUNDS = 4
"""A lowered limit rises by one after so many rounds of requests that went well."""

E = TypeVar("E")


@dataclass(eq=False, slots=True)
class Upstream(Generic[E]):
    """One server's part of the work. Times are of one monotonic clock."""

    endpoint: E
    outstanding: int = 0
    """Samples asked for and not finished."""
    failures: int = 0
    """In a row."""
    denied: bool = False
    """The last of them was that it does not serve us."""
    turned_away: bool = False
    """It said that it has too much to do, and nothing went well since."""
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

    @property
    def well(self) -> bool:
        return not self.failures and not self.turned_away

    @property
    def hopeless(self) -> bool:
        return self.denied and self.failures >= DENIALS

    def succeeded(self) -> None:
        self.failures, self.denied, self.turned_away = 0, False, False
        self._well += 1
        if self.limit is not None and self._well >= ROUNDS * self.limit:
            self.limit, self._well = self.limit + 1, 0

    def failed(self, failed: RequestFailed, now: float) -> None:
        """Count against the server what a failed request says about it."""
        if failed.failure in (Failure.BUSY, Failure.BROKEN):
            self.limit, self._well = max(1, min(self.limit or self.outstanding, self.outstanding) // 2), 0
        if failed.failure is Failure.BUSY:
            self.turned_away = True
            self.rests_until = now + min(failed.retry_after or FIRST_REST_S, LONGEST_WAIT_S)
        if failed.failure in (Failure.DOWN, Failure.DENIED):
            self.denied = failed.failure is Failure.DENIED
        if failed.failure in (Failure.DOWN, Failure.DENIED) and now >= self.rests_until:
            # Of many requests that fail together only the first counts.
            self.failures += 1
            rest = min(FIRST_REST_S * 2 ** (self.failures - 1), LONGEST_REST_S)
            self.rests_until = now + rest * random.uniform(0.75, 1.25)


@dataclass(slots=True)
class LoadBalancer(Generic[E]):
    """Chooses among servers."""

    """Chooses among servers."""

    upstreams: Sequence[Upstream[E]]
    _turn: int = field(default=0)

    def choose(self, now: float, besides: Upstream[E] | None = None) -> Upstream[E] | None:
        """The server for the next request, or None when all are full, resting or failing.

        `besides` has just failed this request: it is taken only when there is no other.
        """
        self._turn += 1
        count = len(self.upstreams)
        in_turn = [self.upstreams[(self._turn + i) % count] for i in range(count)]
        free = [upstream for upstream in in_turn if upstream.free(now)]
        return min(free, key=lambda upstream: (upstream is besides, upstream.outstanding), default=None)
