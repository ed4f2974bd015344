"""Whose turn it is: requests wait in one queue a client, and the clients take turns.

The engine gets a little more than it can run at once, so that it sees what comes; who floods the server waits
behind its own requests, not others behind them.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict, deque
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from localrl.serve.problems import TooBusy

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

LONGEST_RETRY_S = 60


class Admission:
    """
    Args:
        room: samples that the engine may have at once.
        most_waiting: requests that may wait for their turn.
    """

    def __init__(self, room: Callable[[], int], most_waiting: int) -> None:
        self._room, self._most_waiting = room, most_waiting
        self._queues: OrderedDict[str, deque[tuple[asyncio.Future[None], int]]] = OrderedDict()
        self.inside = 0
        """Samples that the engine has."""
        self.waiting = 0
        """Requests that wait for their turn."""
        self._seconds = 1.0
        """A request's usual time in the engine."""

    @asynccontextmanager
    async def turn(self, client: str, samples: int) -> AsyncIterator[None]:
        """Wait for the client's turn; inside, the engine may be given so many samples.

        Raises:
            TooBusy: too many wait already.
        """
        if self.waiting >= self._most_waiting:
            raise TooBusy(self._retry_after_s())
        ticket: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queues.setdefault(client, deque()).append((ticket, samples))
        self.waiting += 1
        self._admit()
        try:
            await ticket
        except asyncio.CancelledError:
            self._leave(client, ticket, samples)
            raise
        began = time.monotonic()
        try:
            yield
        finally:
            self._seconds += 0.1 * (time.monotonic() - began - self._seconds)
            self.inside -= samples
            self._admit()

    def _admit(self) -> None:
        """Let requests in while there is room, the client first that was served longest ago."""
        while self._queues and self.inside < self._room():
            client, queue = next(iter(self._queues.items()))
            ticket, samples = queue.popleft()
            self._queues.move_to_end(client)
            if not queue:
                del self._queues[client]
            self.waiting -= 1
            if not ticket.cancelled():
                self.inside += samples
                ticket.set_result(None)

    def _leave(self, client: str, ticket: asyncio.Future[None], samples: int) -> None:
        """A request is gone before it began."""
        queue = self._queues.get(client, deque())
        if (ticket, samples) in queue:
            queue.remove((ticket, samples))
            self.waiting -= 1
            if not queue:
                del self._queues[client]
        elif not ticket.cancelled():
            self.inside -= samples
            self._admit()

    def _retry_after_s(self) -> int:
        return max(1, min(LONGEST_RETRY_S, round(self._seconds * self.waiting / max(1, self._room()))))
