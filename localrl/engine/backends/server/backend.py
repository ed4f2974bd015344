"""OpenAI-compatible servers as one backend: vLLM, SGLang, llama-server, Ollama, LM Studio, mlx_lm.server.

Several endpoints share the work. A step lets the network run for a moment and returns what came; between
steps nothing is read, so a slow reader slows the servers down instead of filling the memory.
"""

from __future__ import annotations

import asyncio
import os
import random
import ssl
import sys
import time
from collections import deque
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import aiohttp

from localrl import __version__
from localrl.engine.backends.server import continuation
from localrl.engine.backends.server.completion import SLACK, Completion, longest_prompt
from localrl.engine.backends.server.discovery import find_model
from localrl.engine.backends.server.endpoint import CONNECT_S, Endpoint
from localrl.engine.backends.server.load_balancing import LoadBalancer, Upstream
from localrl.engine.backends.server.responses import Failure, RequestFailed, TokenUsage, printable
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
from localrl.engine.queueing import refused
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
class _OpenRequest:
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
    upstream: Upstream[Endpoint] | None = None
    completions: dict[int, Completion] = field(default_factory=dict)
    """By their number in the request, once it is under way."""
    usage: TokenUsage | None = None
    heard: float = 0.0
    """When the last text came, or the request began."""
    task: asyncio.Task[None] | None = None

    @property
    def begun(self) -> bool:
        """Whether any text has come."""
        return any(completion.fragments for completion in self.completions.values())

    def open(self) -> list[Completion]:
        """Replies whose samples have not finished."""
        return [completion for completion in self.completions.values() if completion.sample in self.samples]


class ServerBackend:
    """Runs samples on the endpoints of the settings. Raises what `load` says."""

    def __init__(self, settings: EngineSettings, patience: Patience = Patience()) -> None:
        self._patience = patience
        key, trust = _key(), _trust(settings.server.ca_file)
        self._endpoints = [Endpoint(url, key, settings.server) for url in dict.fromkeys(settings.endpoints)]
        self._loop = asyncio.new_event_loop()
        self._session = self._loop.run_until_complete(_open_session(trust))
        self._balancer = LoadBalancer([Upstream(endpoint) for endpoint in self._endpoints])
        self._waiting: deque[_OpenRequest] = deque()
        self._running: list[_OpenRequest] = []
        try:
            context = self._loop.run_until_complete(
                find_model(self._session, self._endpoints, settings.model)
            )
        except BaseException:
            self.close()
            raise
        count = len(self._endpoints)
        first = settings.first_parallel or START_PER_ENDPOINT * count
        self._parallel = Parallel(settings.parallel, first, STREAMS_PER_ENDPOINT * count)
        self._meter = ServerMetrics(self._parallel)
        self._resting: list[_OpenRequest] = []
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
        if group.logprobs is not None or group.echo or group.grammar:
            self._events += refused(group, "servers are asked for neither log-probabilities nor grammars")
            return
        if group.thought and (others := [e for e in self._endpoints if e.kind not in continuation.KINDS]):
            kinds = ", ".join(e.kind or "an unknown server" for e in others)
            self._events += refused(group, f"{kinds}: answering from thinking of before is not known of it")
            return
        if group.control.budget and not all(endpoint.takes_budget for endpoint in self._endpoints):
            kinds = ", ".join(endpoint.kind or "an unknown server" for endpoint in self._endpoints)
            self._events += refused(group, f"{kinds}: closing the thinking at a budget is not known of it")
            return
        now = time.monotonic()
        together = group.sampling.temperature > 0 and all(e.shares_prefill for e in self._endpoints)
        size = min(SAMPLES_PER_REQUEST, self._parallel.limit) if together else 1
        samples = list(group.samples)
        for start in range(0, len(samples), size):
            self._waiting.append(_OpenRequest(group, samples[start : start + size], now))

    def cancel(self, name: str) -> None:
        for request in [*self._waiting, *self._resting]:
            for sample in [s for s in request.samples if name in (s.id, request.group.id)]:
                request.samples.remove(sample)
                self._events.append(Finished(sample.id, FinishReason.CANCELLED, ""))
        self._waiting = deque(request for request in self._waiting if request.samples)
        self._resting = [request for request in self._resting if request.samples]
        for request in list(self._running):
            for completion in request.open():
                if name in (completion.sample.id, request.group.id):
                    self._finish(request, completion, FinishReason.CANCELLED)
            if not request.samples and request.task is not None:
                request.task.cancel()

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
        for request in self._running:
            request.samples = []
        self._loop.run_until_complete(_shut_down(asyncio.all_tasks(self._loop), self._session))
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()

    # -- what runs where

    def _dispatch(self) -> None:
        """Send waiting requests off while there are streams and endpoints for them."""
        now = time.monotonic()
        while self._waiting:
            request = self._waiting[0]
            if self._streams and self._streams + len(request.samples) > self._parallel.limit:
                return
            upstream = self._balancer.choose(now, request.upstream)
            if upstream is None:
                return
            self._waiting.popleft()
            self._start(request, upstream, now)

    @property
    def _streams(self) -> int:
        return sum(len(request.samples) for request in self._running)

    def _start(self, request: _OpenRequest, upstream: Upstream[Endpoint], now: float) -> None:
        inside = upstream.endpoint in self._starts_thinking and request.group.thought is None
        request.completions = {
            i: Completion(sample, request.group, request.submitted, inside)
            for i, sample in enumerate(request.samples)
        }
        request.upstream, request.heard, request.usage, request.empty = upstream, now, None, 0
        upstream.outstanding += len(request.samples)
        self._running.append(request)
        request.task = self._loop.create_task(self._run(request, upstream))
        request.task.add_done_callback(self._note_crash)

    async def _run(self, request: _OpenRequest, upstream: Upstream[Endpoint]) -> None:
        """One request from beginning to end; whatever happens, its samples finish or wait for another try."""
        taken, failed = len(request.samples), None
        try:
            seeds = [sample.seed for sample in request.samples]
            async with aclosing(upstream.endpoint.stream(self._session, request.group, seeds)) as chunks:  # type: ignore[type-var]
                async for chunk in chunks:
                    if chunk is None:
                        _end_in_order(request)
                        self._finish_ended(request)
                        self._dispatch()  # the connection's end need not be waited for
                    else:
                        self._take(request, chunk)
                    if not request.samples and chunk is not None and request.usage is None:
                        break  # stopped by ourselves: the server need not go on
            self._finish_ended(request)
            if request.samples:
                failed = RequestFailed(Failure.BROKEN, "the stream ended before the text did")
        except RequestFailed as error:
            failed = error
        except asyncio.CancelledError:
            self._finish_ended(request)
            if request.samples:
                failed = RequestFailed(Failure.SILENT, "no text for too long")
        finally:
            upstream.outstanding -= taken
            self._running.remove(request)
        if failed is None:
            upstream.succeeded()
            self._well = time.monotonic()
        else:
            if failed.failure is not Failure.BROKEN:
                self._finish_ended(request)  # only its count is missing
            self._failed(request, upstream, failed)
        self._dispatch()

    def _note_crash(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._crash = error

    # -- what came

    def _take(self, request: _OpenRequest, chunk: Chunk) -> None:
        now = time.monotonic()
        request.empty += 1
        if chunk.usage is not None:
            self._take_usage(request, chunk.usage, [choice.index or 0 for choice in chunk.choices])
        for choice in chunk.choices:
            completion = request.completions.get(choice.index or 0)
            if completion is None:
                raise RequestFailed(Failure.BROKEN, f"text number {choice.index} was not asked for")
            if completion.sample not in request.samples or completion.ended is not None:
                continue
            before = completion.fragments
            texts = completion.push(choice, now)
            if completion.fragments > before:
                request.heard, request.empty = now, 0
                self._meter.generated += 1
                if not before:
                    self._events.append(completion.started())
            assert request.upstream is not None
            self._events += [
                replace(each, text=request.upstream.endpoint.hidden(each.text)) for each in texts
            ]
            if completion.ended is FinishReason.LOOP or (completion.ended and not choice.finish_reason):
                self._finish(request, completion, completion.ended)  # ended by ourselves
            elif completion.ended and len(request.completions) > 1:
                self._finish(request, completion, completion.ended)
        if request.empty > EMPTY_CHUNKS + request.group.sampling.max_tokens:
            raise RequestFailed(Failure.BROKEN, f"{request.empty} chunks without text")

    def _take_usage(self, request: _OpenRequest, usage: TokenUsage, choices: list[int]) -> None:
        """Counts of one text, where it comes with the text or the request has only one."""
        most = request.group.sampling.max_tokens
        completion = usage.completion_tokens or 0
        if completion > (most + SLACK) * (1 if choices else len(request.completions)):
            raise RequestFailed(Failure.BROKEN, f"it counts {completion} tokens where max_tokens is {most}")
        prompt = usage.prompt_tokens or 0
        if prompt > TEMPLATE_TOKENS and prompt > TEMPLATE_TOKENS + longest_prompt(request.group):
            raise RequestFailed(Failure.BROKEN, f"it counts {prompt} tokens of a prompt that is shorter")
        request.usage = usage
        if len(choices) == 1 and choices[0] in request.completions:
            request.completions[choices[0]].tokens = usage.completion_tokens
        elif not choices:
            self._finish_ended(request)

    def _finish_ended(self, request: _OpenRequest) -> None:
        for completion in request.open():
            if completion.ended is not None:
                self._finish(request, completion, completion.ended)

    def _finish(self, request: _OpenRequest, completion: Completion, reason: FinishReason) -> None:
        usage = request.usage
        if usage is not None and len(request.completions) > 1:
            usage = usage.model_copy(update={"completion_tokens": completion.tokens})
        *texts, end = completion.finish(reason, usage)
        assert isinstance(end, Finished)
        assert request.upstream is not None
        hidden = request.upstream.endpoint.hidden
        self._meter.generated += end.thinking_tokens + end.answer_tokens - completion.fragments
        self._meter.prefilled += end.prompt_tokens - end.shared_tokens
        if end.starts_thinking:
            self._starts_thinking.add(request.upstream.endpoint)
        self._events += [replace(each, text=hidden(each.text)) for each in (*texts, end)]
        request.samples.remove(completion.sample)

    def _failed(self, request: _OpenRequest, upstream: Upstream[Endpoint], failed: RequestFailed) -> None:
        """Try the samples that are left again, or let them go."""
        now = time.monotonic()
        upstream.failed(failed, now)
        error = self._last_error = f"{upstream.endpoint}: {upstream.endpoint.quoted(failed.reason)}"
        print(error, file=sys.stderr, flush=True)
        if all(each.hopeless for each in self._balancer.upstreams):
            self._crash = Unavailable(error)
        self._meter.generated -= sum(completion.fragments for completion in request.open())
        request.tries += failed.failure is not Failure.BUSY
        request.broken += failed.failure in (Failure.BROKEN, Failure.TORN)
        request.silent += failed.failure is Failure.SILENT
        if failed.failure is Failure.REJECTED:
            self._give_up(request, FinishReason.REFUSED, error)
        elif failed.failure is Failure.FINAL or self._tried_enough(request):
            self._give_up(request, FinishReason.ERROR, error)
        elif request.samples:
            patience = self._patience
            rest = min(patience.first_retry_s * 2 ** (request.tries - 1), patience.longest_retry_s)
            request.not_before = now + rest * random.uniform(0.75, 1.25)
            request.completions = {}
            self._resting.append(request)

    def _tried_enough(self, request: _OpenRequest) -> bool:
        patience = self._patience
        return (
            request.broken >= patience.broken_tries
            or request.silent >= patience.silent_tries
            or request.tries >= patience.tries
        )

    def _give_up(self, request: _OpenRequest, reason: FinishReason, error: str) -> None:
        self._events += [Finished(sample.id, reason, "", error=error) for sample in request.samples]
        request.samples = []

    # -- time

    def _begin_step(self) -> None:
        """Wake what has rested, and end what has been silent for too long."""
        now = time.monotonic()
        pause = self._meter.begin(now)
        self._well += pause  # while paused nobody listens, so nobody is late
        for request in self._running:
            request.heard += pause
            limit = self._patience.next_token_s if request.begun else self._patience.first_token_s
            if request.task is not None and now - request.heard > limit:
                request.task.cancel()
        due = [request for request in self._resting if request.not_before <= now]
        self._resting = [request for request in self._resting if request.not_before > now]
        self._waiting += due
        if not self.busy or self._served(now):
            self._well = now
        elif now - self._well > self._patience.outage_s:
            said = f"; the last said: {self._last_error}" if self._last_error else ""
            raise Unavailable(f"no endpoint has served for {self._patience.outage_s:g} s{said}")

    def _served(self, now: float) -> bool:
        """Whether an endpoint is well, or works on a request of ours although it turns others away."""
        return any(upstream.well for upstream in self._balancer.upstreams) or any(
            now - request.heard > self._patience.kept_s or request.begun for request in self._running
        )

    def _measure(self) -> None:
        completions = [completion for request in self._running for completion in request.open()]
        decoding = sum(1 for completion in completions if completion.fragments)
        self._meter.measure(time.monotonic(), decoding, self._streams)

    def _metrics(self) -> Metrics:
        waiting = sum(len(request.samples) for request in [*self._waiting, *self._resting])
        return replace(self._meter.metrics(), running=self._streams, waiting=waiting)

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


def _end_in_order(request: _OpenRequest) -> None:
    """[DONE] after a count below the limit ends a text although no reason was given."""
    counted = request.usage.completion_tokens if request.usage else None
    for completion in request.open():
        below = counted is not None and 0 < counted < request.group.sampling.max_tokens
        if below and completion.fragments and completion.ended is None and len(request.completions) == 1:
            completion.ended = FinishReason.STOP


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


def _trust(ca_file: str) -> ssl.SSLContext:
    """
    Raises:
        UsageError: the file holds no certificate.
    """
    context = ssl.create_default_context()
    try:
        if ca_file:
            context.load_verify_locations(ca_file)
    except OSError as error:  # ssl.SSLError is one
        raise UsageError(f"{ca_file} holds no certificate", hint="--ca-file takes a PEM file") from error
    return context


async def _open_session(trust: ssl.SSLContext) -> aiohttp.ClientSession:
    timeout = aiohttp.ClientTimeout(total=None, connect=CONNECT_S, sock_connect=CONNECT_S)
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, ssl=trust),
        timeout=timeout,
        auto_decompress=False,
        cookie_jar=aiohttp.DummyCookieJar(),
    )


async def _shut_down(tasks: set[asyncio.Task[None]], session: aiohttp.ClientSession) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await session.close()
