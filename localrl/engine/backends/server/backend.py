"""OpenAI-compatible servers as one backend: vLLM, SGLang, llama-server, Ollama, LM Studio, mlx_lm.server.

Several endpoints share the work. A step lets the network run for a moment and returns what came; between
steps nothing is read, so a slow reader slows the servers down instead of filling the memory.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
import time
from collections import deque
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import aiohttp

from localrl import __version__
from localrl.engine.backends.server.completion import SLACK, Reply, longest_prompt
from localrl.engine.backends.server.discovery import find_model
from localrl.engine.backends.server.endpoint import CONNECT_S, Endpoint
from localrl.engine.backends.server.load_balancing import Share, Sharing
from localrl.engine.backends.server.responses import Failure, RequestFailed, Usage, printable
from localrl.engine.metrics import ServerMetrics
from localrl.engine.parallel import Parallel
from localrl.engine.protocol import (
    Event,
    Finished,
    FinishReason,
    GroupRequest,
    Metrics,
    ModelInfo,
    SampleRequest,
)
from localrl.errors import Unavailable, UsageError

if TYPE_CHECKING:
    from localrl.engine.backends.server.responses import Chunk
    from localrl.engine.protocol import EngineSettings

STEP_S = 0.02
STREAMS_PER_ENDPOINT = 256
"""Bound of the search for the best number of streams."""
START_PER_ENDPOINT = 8
SAMPLES_PER_REQUEST = 32
EMPTY_CHUNKS = 1000
"""In a row, and one for each token of `max_tokens`: special tokens have no text."""
TEMPLATE_TOKENS = 16384
"""What a chat template may add to a prompt."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How much a server may disappoint, in seconds and tries."""

    first_token_s: float = 900.0
    """Prompts may wait in the server's own queue."""
    next_token_s: float = 120.0
    broken_tries: int = 5
    """Answers without sense, for one sample."""
    silent_tries: int = 2
    """Answers that stop coming, for one sample."""
    tries: int = 10
    """Requests of any outcome, for one sample."""
    first_retry_s: float = 0.25
    longest_retry_s: float = 8.0
    outage_s: float = 120.0
    """Without any endpoint; then the engine gives up."""
    kept_s: float = 2 * CONNECT_S
    """A request that is open for so long was neither turned away nor lost on the way."""


@dataclass(slots=True, eq=False)
class _Job:
    """Samples of one group that are asked for in one request."""

    group: GroupRequest
    samples: list[SampleRequest]
    """Those that have not finished."""
    submitted: float
    tries: int = 0
    broken: int = 0
    silent: int = 0
    empty: int = 0
    """Chunks of this request that brought no text."""
    not_before: float = 0.0
    share: Share[Endpoint] | None = None
    replies: dict[int, Reply] = field(default_factory=dict)
    """By their number in the request, once it is under way."""
    usage: Usage | None = None
    heard: float = 0.0
    """When the last text came, or the request began."""
    task: asyncio.Task[None] | None = None

    def open(self) -> list[Reply]:
        """Replies whose samples have not finished."""
        return [reply for reply in self.replies.values() if reply.sample in self.samples]


class ServerBackend:
    """Runs samples on the endpoints of the settings. Raises what `load` says."""

    def __init__(self, settings: EngineSettings, patience: Patience = Patience()) -> None:
        self._patience = patience
        key = _key()
        self._endpoints = [Endpoint(url, key) for url in dict.fromkeys(settings.endpoints)]
        self._loop = asyncio.new_event_loop()
        self._session = self._loop.run_until_complete(_open_session())
        self._sharing = Sharing([Share(endpoint) for endpoint in self._endpoints])
        self._waiting: deque[_Job] = deque()
        self._running: list[_Job] = []
        try:
            context = self._loop.run_until_complete(
                find_model(self._session, self._endpoints, settings.model)
            )
        except BaseException:
            self.close()
            raise
        count = len(self._endpoints)
        self._parallel = Parallel(settings.parallel, START_PER_ENDPOINT * count, STREAMS_PER_ENDPOINT * count)
        self._meter = ServerMetrics(self._parallel)
        self._resting: list[_Job] = []
        self._events: list[Event] = []
        self._crash: BaseException | None = None
        self._last_error = ""
        self._starts_thinking: set[Endpoint] = set()
        self._well = time.monotonic()
        self.info = self._describe(context)

    # -- Backend: submit, cancel, step, close

    @property
    def busy(self) -> bool:
        return bool(self._waiting or self._resting or self._running or self._events)

    def submit(self, group: GroupRequest) -> None:
        now = time.monotonic()
        together = group.sampling.temperature > 0 and all(e.shares_prefill for e in self._endpoints)
        size = min(SAMPLES_PER_REQUEST, self._parallel.limit) if together else 1
        samples = list(group.samples)
        for start in range(0, len(samples), size):
            self._waiting.append(_Job(group, samples[start : start + size], now))

    def cancel(self, name: str) -> None:
        for job in [*self._waiting, *self._resting]:
            for sample in [s for s in job.samples if name in (s.id, job.group.id)]:
                job.samples.remove(sample)
                self._events.append(Finished(sample.id, FinishReason.CANCELLED, ""))
        self._waiting = deque(job for job in self._waiting if job.samples)
        self._resting = [job for job in self._resting if job.samples]
        for job in list(self._running):
            for reply in job.open():
                if name in (reply.sample.id, job.group.id):
                    self._finish(job, reply, FinishReason.CANCELLED)
            if not job.samples and job.task is not None:
                job.task.cancel()

    def step(self) -> list[Event]:
        """Let the network run for a moment.

        Raises:
            Unavailable: no endpoint has answered for a long time.
        """
        self._begin_step()
        self._dispatch()
        if not self._events:
            self._loop.run_until_complete(asyncio.sleep(STEP_S))
        if self._crash is not None:
            raise self._crash
        self._measure()
        events, self._events = self._events, []
        return [*events, self._metrics()] if events else []

    def close(self) -> None:
        self._waiting.clear()  # or the end of what runs would begin more
        for job in self._running:
            job.samples = []
        self._loop.run_until_complete(_shut_down(asyncio.all_tasks(self._loop), self._session))
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()

    # -- what runs where

    def _dispatch(self) -> None:
        """Send waiting requests off while there are streams and endpoints for them."""
        now = time.monotonic()
        while self._waiting:
            job = self._waiting[0]
            if self._streams and self._streams + len(job.samples) > self._parallel.limit:
                return
            share = self._sharing.choose(now, job.share)
            if share is None:
                return
            self._waiting.popleft()
            self._start(job, share, now)

    @property
    def _streams(self) -> int:
        return sum(len(job.samples) for job in self._running)

    def _start(self, job: _Job, share: Share[Endpoint], now: float) -> None:
        inside = share.endpoint in self._starts_thinking
        job.replies = {
            i: Reply(sample, job.group, job.submitted, inside) for i, sample in enumerate(job.samples)
        }
        job.share, job.heard, job.usage, job.empty = share, now, None, 0
        share.outstanding += len(job.samples)
        self._running.append(job)
        job.task = self._loop.create_task(self._run(job, share))
        job.task.add_done_callback(self._note_crash)

    async def _run(self, job: _Job, share: Share[Endpoint]) -> None:
        """One request from beginning to end; whatever happens, its samples finish or wait for another try."""
        taken, failed = len(job.samples), None
        try:
            seeds = [sample.seed for sample in job.samples]
            async with aclosing(share.endpoint.stream(self._session, job.group, seeds)) as chunks:  # type: ignore[type-var]
                async for chunk in chunks:
                    if chunk is None:
                        _end_in_order(job)
                        self._finish_ended(job)
                        self._dispatch()  # the connection's end need not be waited for
                    else:
                        self._take(job, chunk)
                    if not job.samples and chunk is not None and job.usage is None:
                        break  # stopped by ourselves: the server need not go on
            self._finish_ended(job)
            if job.samples:
                failed = RequestFailed(Failure.BROKEN, "the stream ended before the text did")
        except RequestFailed as error:
            failed = error
        except asyncio.CancelledError:
            self._finish_ended(job)
            if job.samples:
                failed = RequestFailed(Failure.SILENT, "no text for too long")
        finally:
            share.outstanding -= taken
            self._running.remove(job)
        if failed is None:
            share.succeeded()
            self._well = time.monotonic()
        else:
            if failed.failure is not Failure.BROKEN:
                self._finish_ended(job)  # only its count is missing
            self._failed(job, share, failed)
        self._dispatch()

    def _note_crash(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._crash = error

    # -- what came

    def _take(self, job: _Job, chunk: Chunk) -> None:
        now = time.monotonic()
        job.empty += 1
        if chunk.usage is not None:
            self._take_usage(job, chunk.usage, [choice.index or 0 for choice in chunk.choices])
        for choice in chunk.choices:
            reply = job.replies.get(choice.index or 0)
            if reply is None:
                raise RequestFailed(Failure.BROKEN, f"text number {choice.index} was not asked for")
            if reply.sample not in job.samples or reply.ended is not None:
                continue
            before = reply.fragments
            texts = reply.push(choice, now)
            if reply.fragments > before:
                job.heard, job.empty = now, 0
                self._meter.generated += 1
                if not before:
                    self._events.append(reply.started())
            assert job.share is not None
            self._events += [replace(each, text=job.share.endpoint.hidden(each.text)) for each in texts]
            if reply.ended is FinishReason.LOOP or (reply.ended and not choice.finish_reason):
                self._finish(job, reply, reply.ended)  # ended by ourselves
            elif reply.ended and len(job.replies) > 1:
                self._finish(job, reply, reply.ended)
        if job.empty > EMPTY_CHUNKS + job.group.sampling.max_tokens:
            raise RequestFailed(Failure.BROKEN, f"{job.empty} chunks without text")

    def _take_usage(self, job: _Job, usage: Usage, choices: list[int]) -> None:
        """Counts of one text, where it comes with the text or the request has only one."""
        most = job.group.sampling.max_tokens
        completion = usage.completion_tokens or 0
        if completion > (most + SLACK) * (1 if choices else len(job.replies)):
            raise RequestFailed(Failure.BROKEN, f"it counts {completion} tokens where max_tokens is {most}")
        prompt = usage.prompt_tokens or 0
        if prompt > TEMPLATE_TOKENS and prompt > TEMPLATE_TOKENS + longest_prompt(job.group):
            raise RequestFailed(Failure.BROKEN, f"it counts {prompt} tokens of a prompt that is shorter")
        job.usage = usage
        if len(choices) == 1 and choices[0] in job.replies:
            job.replies[choices[0]].tokens = usage.completion_tokens
        elif not choices:
            self._finish_ended(job)

    def _finish_ended(self, job: _Job) -> None:
        for reply in job.open():
            if reply.ended is not None:
                self._finish(job, reply, reply.ended)

    def _finish(self, job: _Job, reply: Reply, reason: FinishReason) -> None:
        usage = job.usage
        if usage is not None and len(job.replies) > 1:
            usage = usage.model_copy(update={"completion_tokens": reply.tokens})
        *texts, end = reply.finish(reason, usage)
        assert isinstance(end, Finished)
        assert job.share is not None
        hidden = job.share.endpoint.hidden
        self._meter.generated += end.thinking_tokens + end.answer_tokens - reply.fragments
        self._meter.prefilled += end.prompt_tokens - end.shared_tokens
        if end.starts_thinking:
            self._starts_thinking.add(job.share.endpoint)
        self._events += [replace(each, text=hidden(each.text)) for each in (*texts, end)]
        job.samples.remove(reply.sample)

    def _failed(self, job: _Job, share: Share[Endpoint], failed: RequestFailed) -> None:
        """Try the samples that are left again, or let them go."""
        now = time.monotonic()
        share.failed(failed, now)
        error = self._last_error = f"{share.endpoint}: {share.endpoint.quoted(failed.reason)}"
        print(error, file=sys.stderr, flush=True)
        if all(each.hopeless for each in self._sharing.shares):
            self._crash = Unavailable(error)
        self._meter.generated -= sum(reply.fragments for reply in job.open())
        job.tries += failed.failure is not Failure.BUSY
        job.broken += failed.failure in (Failure.BROKEN, Failure.TORN)
        job.silent += failed.failure is Failure.SILENT
        if failed.failure is Failure.REJECTED:
            self._give_up(job, FinishReason.REFUSED, error)
        elif failed.failure is Failure.FINAL or self._tried_enough(job):
            self._give_up(job, FinishReason.ERROR, error)
        elif job.samples:
            patience = self._patience
            rest = min(patience.first_retry_s * 2 ** (job.tries - 1), patience.longest_retry_s)
            job.not_before = now + rest * random.uniform(0.75, 1.25)
            job.replies = {}
            self._resting.append(job)

    def _tried_enough(self, job: _Job) -> bool:
        patience = self._patience
        return (
            job.broken >= patience.broken_tries
            or job.silent >= patience.silent_tries
            or job.tries >= patience.tries
        )

    def _give_up(self, job: _Job, reason: FinishReason, error: str) -> None:
        self._events += [Finished(sample.id, reason, "", error=error) for sample in job.samples]
        job.samples = []

    # -- time

    def _begin_step(self) -> None:
        """Wake what has rested, and end what has been silent for too long."""
        now = time.monotonic()
        pause = self._meter.begin(now)
        self._well += pause  # while paused nobody listens, so nobody is late
        for job in self._running:
            job.heard += pause
            begun = any(reply.fragments for reply in job.replies.values())
            limit = self._patience.next_token_s if begun else self._patience.first_token_s
            if job.task is not None and now - job.heard > limit:
                job.task.cancel()
        due = [job for job in self._resting if job.not_before <= now]
        self._resting = [job for job in self._resting if job.not_before > now]
        self._waiting += due
        if not self.busy or self._served(now):
            self._well = now
        elif now - self._well > self._patience.outage_s:
            said = f"; the last said: {self._last_error}" if self._last_error else ""
            raise Unavailable(f"no endpoint has served for {self._patience.outage_s:g} s{said}")

    def _served(self, now: float) -> bool:
        """Whether an endpoint is well, or works on a request of ours although it turns others away."""
        return any(share.well for share in self._sharing.shares) or any(
            now - job.heard > self._patience.kept_s or any(reply.fragments for reply in job.replies.values())
            for job in self._running
        )

    def _measure(self) -> None:
        decoding = sum(1 for job in self._running for reply in job.open() if reply.fragments)
        self._meter.measure(time.monotonic(), decoding, self._streams)

    def _metrics(self) -> Metrics:
        waiting = sum(len(job.samples) for job in [*self._waiting, *self._resting])
        return self._meter.metrics(self._streams, waiting)

    def _describe(self, context: int) -> ModelInfo:
        kinds = sorted({endpoint.kind or "unknown" for endpoint in self._endpoints})
        models = [endpoint.quoted(printable(endpoint.model.encode())) for endpoint in self._endpoints]
        return ModelInfo(
            backend="server",
            version=__version__,
            context=context,
            description=models[0],
            settings={
                "endpoints": " ".join(endpoint.url for endpoint in self._endpoints),
                "served_model": " ".join(sorted(set(models))),
                "server": " ".join(kinds),
                "samples_share_a_request": all(e.shares_prefill for e in self._endpoints),
            },
        )


def _end_in_order(job: _Job) -> None:
    """[DONE] after a count below the limit ends a text although no reason was given."""
    counted = job.usage.completion_tokens if job.usage else None
    for reply in job.open():
        below = counted is not None and 0 < counted < job.group.sampling.max_tokens
        if below and reply.fragments and reply.ended is None and len(job.replies) == 1:
            reply.ended = FinishReason.STOP


def _key() -> str:
    """The API key.

    Raises:
        UsageError: it cannot be sent.
    """
    name = next((name for name in ("LOCALRL_API_KEY", "OPENAI_API_KEY") if os.environ.get(name)), "")
    key = os.environ.get(name, "").strip()
    if not (key.isascii() and key.isprintable()):
        raise UsageError(f"{name} holds characters that no key has", hint="set it again")
    return key


async def _open_session() -> aiohttp.ClientSession:
    timeout = aiohttp.ClientTimeout(total=None, connect=CONNECT_S, sock_connect=CONNECT_S)
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0),
        timeout=timeout,
        auto_decompress=False,
        cookie_jar=aiohttp.DummyCookieJar(),
    )


async def _shut_down(tasks: set[asyncio.Task[None]], session: aiohttp.ClientSession) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await session.close()
