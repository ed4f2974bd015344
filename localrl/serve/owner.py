"""The one thread that owns the engine: requests reach it over a queue, events leave it for the event loop."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
import time
from typing import TYPE_CHECKING

from localrl.engine.client import EngineClient, Restarted
from localrl.engine.protocol import Finished, GroupRequest, Metrics, Started, Text
from localrl.engine.wire import Tokenized
from localrl.errors import LocalrlError, Stopped, Unavailable
from localrl.runs.session import new_log

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from localrl.engine.client import ClientEvent
    from localrl.engine.protocol import EngineSettings, ModelInfo

    Job = Callable[[EngineClient], None]

WAIT_S = 1.0
"""How often the thread looks whether the model has been idle for long enough to be unloaded."""


class Reply:
    """The events of one request's groups, until all their samples have finished."""

    def __init__(self, groups: Sequence[GroupRequest]) -> None:
        self.groups = groups
        self.events: asyncio.Queue[Started | Text | Finished | Restarted | LocalrlError] = asyncio.Queue()
        self.open = {sample.id for group in groups for sample in group.samples}

    async def __aiter__(self) -> AsyncIterator[Started | Text | Finished | Restarted]:
        """
        Raises:
            LocalrlError: the engine cannot be had.
        """
        while self.open:
            event = await self.events.get()
            if isinstance(event, LocalrlError):
                self.open.clear()
                raise event
            if isinstance(event, Finished):
                self.open.discard(event.sample)
            yield event


class EngineOwner:
    """Loads the model when it is asked for, and unloads it when nobody asked for long.

    All methods belong to the event loop's thread.
    """

    def __init__(self, settings: EngineSettings, idle_unload_s: float | None = None) -> None:
        self.settings = settings
        self.state = "unloaded"
        """`unloaded`, `loading` or `ready`."""
        self.info: ModelInfo | None = None
        """Known once the model has been loaded."""
        self.metrics = Metrics(parallel=settings.parallel or 8)
        self._idle_unload_s = idle_unload_s
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._client: EngineClient | None = None
        self._stopping = threading.Event()
        self._replies: dict[str, Reply] = {}
        """By sample."""
        self._asked: dict[str, asyncio.Future[Tokenized]] = {}
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self._thread.start()

    async def load(self) -> None:
        """Load the model now.

        Raises:
            LocalrlError: it cannot be loaded.
        """
        await self.tokens(GroupRequest("load", "", ()))

    def submit(self, groups: Sequence[GroupRequest]) -> Reply:
        reply = Reply(groups)
        self._replies |= dict.fromkeys(reply.open, reply)
        self._do(lambda client: self._submit(client, reply))
        return reply

    def _submit(self, client: EngineClient, reply: Reply) -> None:
        for group in reply.groups:
            if any(sample.id in self._replies for sample in group.samples):  # else its client has gone
                client.submit(group)

    def release(self, reply: Reply) -> None:
        """Nobody reads this reply any more: what still runs of it is cancelled."""
        for sample in reply.open:
            self._replies.pop(sample, None)
        if reply.open:
            self._do(lambda client: _cancel(client, reply))

    async def tokens(self, group: GroupRequest, special: bool = True) -> Tokenized:
        """The tokens of a prompt.

        Raises:
            LocalrlError: the engine cannot be had.
        """
        name = f"{group.id}-{time.monotonic_ns()}"
        answer: asyncio.Future[Tokenized] = self._loop.create_future()
        self._asked[name] = answer
        self._do(lambda client: client.tokenize(name, group, special))
        try:
            return await answer
        finally:
            self._asked.pop(name, None)

    async def close(self) -> None:
        """End the thread and the worker; requests in flight fail."""
        self._stopping.set()
        self._do(None)
        await asyncio.to_thread(self._thread.join)

    def _do(self, job: Job | None) -> None:
        self._jobs.put(job)
        if client := self._client:
            client.wake()

    # -- the event loop's side of what the thread says

    def _take(self, events: list[ClientEvent]) -> None:
        for event in events:
            if isinstance(event, Metrics):
                self.metrics = event
            elif isinstance(event, Tokenized):
                if (answer := self._asked.pop(event.id, None)) and not answer.done():
                    answer.set_result(event)
            elif isinstance(event, Restarted):
                self._lose_asked(Unavailable("the engine died and was started again"))
                for reply in set(self._replies.values()):
                    reply.events.put_nowait(event)
            else:
                if asker := self._replies.get(event.sample):
                    asker.events.put_nowait(event)
                if isinstance(event, Finished):
                    self._replies.pop(event.sample, None)

    def _fail(self, error: LocalrlError) -> None:
        """The engine is gone: whoever waits for it is told why, and the next request loads it again."""
        self._lose_asked(error)
        for reply in set(self._replies.values()):
            reply.events.put_nowait(error)
        self._replies.clear()

    def _lose_asked(self, error: LocalrlError) -> None:
        asked, self._asked = self._asked, {}
        for answer in asked.values():
            if not answer.done():
                answer.set_exception(error)

    def _now(self, state: str, info: ModelInfo | None = None) -> None:
        self.state, self.info = state, info or self.info
        if state == "unloaded":
            self.metrics = Metrics(parallel=self.metrics.parallel)

    # -- the thread

    def _run(self) -> None:
        while not self._stopping.is_set() and (job := self._jobs.get()) is not None:
            self._tell(self._now, "loading")
            try:
                with EngineClient(self.settings, new_log(), self._stopping) as self._client:
                    self._tell(self._now, "ready", self._client.info)
                    self._work(self._client, job)
            except Stopped:
                break
            except LocalrlError as error:
                while not self._jobs.empty():
                    self._jobs.get()
                self._tell(self._fail, error)
            finally:
                self._client = None
                self._tell(self._now, "unloaded")
        self._tell(self._fail, Unavailable("the server is being stopped"))

    def _work(self, client: EngineClient, job: Job | None) -> None:
        """Do jobs and pass events on, until there is nothing to do for long, or the server stops."""
        job(client) if job else None
        busy = time.monotonic()
        while not self._stopping.is_set():
            with contextlib.suppress(queue.Empty):
                while job := self._jobs.get_nowait():
                    job(client)
                    busy = time.monotonic()
            if client.in_flight:
                busy = time.monotonic()
            elif self._idle_unload_s is not None and time.monotonic() - busy >= self._idle_unload_s:
                return
            if events := client.events(timeout=WAIT_S):
                self._tell(self._take, events)

    def _tell(self, what: Callable[..., None], *arguments: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop was closed
            self._loop.call_soon_threadsafe(what, *arguments)


def _cancel(client: EngineClient, reply: Reply) -> None:
    for group in reply.groups:
        client.cancel(group.id)
