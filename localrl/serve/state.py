"""What all handlers share: the model that is served, its owner, whose turn it is, and what was counted."""

from __future__ import annotations

import secrets
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aiohttp import web

from localrl import jsontext
from localrl.engine.client import Restarted
from localrl.engine.protocol import GroupRequest, SampleRequest
from localrl.errors import LocalrlError
from localrl.serve.choices import Choice
from localrl.serve.problems import RequestProblem

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from localrl.chat import ThinkingTags
    from localrl.sampling import Sampling
    from localrl.serve.admission import Admission
    from localrl.serve.body import Common
    from localrl.serve.calls import CallParser
    from localrl.serve.choices import ChoiceDelta
    from localrl.serve.metrics import RequestMetrics
    from localrl.serve.options import ServeOptions
    from localrl.serve.owner import EngineOwner, Reply


@dataclass(slots=True)
class Serving:
    """One served model."""

    name: str
    names: frozenset[str]
    """What a request may call it."""
    tags: ThinkingTags | None
    sampling: Sampling
    """Where a request does not say."""
    family: str
    options: ServeOptions
    owner: EngineOwner
    admission: Admission
    metrics: RequestMetrics
    created: int = field(default_factory=lambda: int(time.time()))
    _pieces: dict[int, bytes] = field(default_factory=dict)

    def check_model(self, name: str) -> None:
        """
        Raises:
            RequestProblem: another model is asked for.
        """
        if name and name.casefold() not in self.names:
            raise RequestProblem(
                404,
                f"no model {name[:100]!r} here; this is {self.name}",
                param="model",
                code="model_not_found",
            )

    async def pieces(self, tokens: set[int]) -> Callable[[int], bytes]:
        """The text of each of these tokens."""
        if unknown := tuple(tokens - self._pieces.keys()):
            told = await self.owner.tokens(GroupRequest("pieces", unknown, ()))
            if told.error:
                raise RequestProblem(400, told.error)
            self._pieces |= {t: p.encode("latin-1") for t, p in zip(told.tokens, told.pieces, strict=True)}
        return self._pieces.__getitem__

    @asynccontextmanager
    async def running(
        self, request: web.Request, body: Common, groups: Sequence[GroupRequest]
    ) -> AsyncIterator[Reply]:
        """Wait for the request's turn and give its groups to the engine; what is left of them is cancelled.

        Raises:
            TooBusy: too many wait.
        """
        samples = sum(len(group.samples) for group in groups)
        client = f"{request.remote} {body.user or ''} {request.headers.get('User-Agent', '')}"
        async with self.admission.turn(client, samples):
            reply = self.owner.submit(groups)
            try:
                yield reply
            finally:
                self.owner.release(reply)


SERVING = web.AppKey("serving", Serving)


def groups(
    prefix: str, prompts: Sequence[Any], body: Common, sampling: Sampling, **more: Any
) -> list[GroupRequest]:
    """One group a prompt, with `n` samples each."""
    count = body.n or 1
    return [
        GroupRequest(
            id=f"{prefix}/{number}",
            prompt=prompt,
            samples=tuple(
                SampleRequest(f"{prefix}/{number}.{i}", seed)
                for i, seed in enumerate(body.seeds(count, secrets.randbits(32)))
            ),
            sampling=sampling,
            stop=body.stops,
            loop_guard=False,  # a foreign client did not ask for it
            ignore_end=bool(body.ignore_eos),
            **more,
        )
        for number, prompt in enumerate(prompts)
    ]


async def deltas(
    reply: Reply, choices: list[Choice], make_parser: Callable[[], CallParser | None] = lambda: None
) -> AsyncIterator[ChoiceDelta | None]:
    """What comes, choice by choice; None when everything begins anew because the engine died.

    Raises:
        RequestProblem: the request cannot be answered.
    """
    order = [sample.id for group in reply.groups for sample in group.samples]
    by_sample = {name: index for index, name in enumerate(order)}
    choices[:] = [Choice(index, make_parser()) for index in range(len(order))]
    try:
        async for event in reply:
            if isinstance(event, Restarted):
                choices[:] = [c if c.end else Choice(c.index, make_parser()) for c in choices]
                yield None
            else:
                yield choices[by_sample[event.sample]].take(event)
    except LocalrlError as error:
        raise RequestProblem(503, str(error)) from error


class EventStream:
    """Server-sent events; nothing is sent before the first, so that a request can still be refused."""

    def __init__(self, request: web.Request, headers: dict[str, str] | None = None) -> None:
        self._request = request
        self._response: web.StreamResponse | None = None
        self._headers = {
            "Content-Type": "text/event-stream; charset=utf-8",
            "Cache-Control": "no-cache",
            "X-Accel-Buffering": "no",
            **(headers or {}),
        }

    @property
    def begun(self) -> bool:
        return self._response is not None

    async def send(self, *chunks: dict[str, Any]) -> None:
        await self._write("".join(f"data: {jsontext.dumps(chunk)}\n\n" for chunk in chunks))

    async def _write(self, text: str) -> None:
        if self._response is None:
            response = web.StreamResponse(headers=self._headers)
            await response.prepare(self._request)
            self._response = response
        await self._response.write(text.encode())

    async def end(self) -> web.StreamResponse:
        await self._write("data: [DONE]\n\n")
        assert self._response is not None
        await self._response.write_eof()
        return self._response

    async def fail(self, problem: RequestProblem) -> web.StreamResponse:
        """Say in the stream what went wrong, and end it."""
        await self.send(problem.body)
        assert self._response is not None
        await self._response.write_eof()
        return self._response


async def streamed(
    request: web.Request,
    reply: Reply,
    choices: list[Choice],
    write: Callable[[ChoiceDelta], AsyncIterator[dict[str, Any]]],
    last: Callable[[], list[dict[str, Any]]],
    make_parser: Callable[[], CallParser | None] = lambda: None,
) -> web.StreamResponse:
    """Send chunks as they come.

    Args:
        write: the chunks of one delta.
        last: those at the end.

    Raises:
        RequestProblem: before anything was sent.
    """
    stream = EventStream(request)
    try:
        async for delta in deltas(reply, choices, make_parser):
            if delta is None:
                if stream.begun:
                    raise RequestProblem(503, "the engine died in the middle of the answer; ask again")
                continue
            chunks = [chunk async for chunk in write(delta)]
            if chunks:
                await stream.send(*chunks)
        await stream.send(*last())
        return await stream.end()
    except RequestProblem as problem:
        if not stream.begun:
            raise
        return await stream.fail(problem)
