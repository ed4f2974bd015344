"""One OpenAI-compatible server: what it serves, how it is asked, and what its stream says.

A server may be broken, overloaded or hostile, so all that arrives is bounded and validated here, and ends
either as chunks or as a `RequestFailed` that says in one line what was wrong.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from enum import Enum, auto
from typing import Annotated, Any

import aiohttp
from pydantic import BaseModel, Field, ValidationError

from localrl.engine import address
from localrl.engine.protocol import Group

LONGEST_LINE = 1 << 20
"""Bytes of one line of a stream; a chunk of text is a few hundred."""
LARGEST_ANSWER = 4 << 20
"""Bytes of an answer that is no stream."""
CONNECT_S = 10.0
PROBE_S = 60.0
"""Some servers list their models only between two requests."""
DRAIN_S = 0.5
"""How long the end of a finished stream is waited for, so that its connection can be used again."""
PROBLEM_S = 10.0
"""How long a server may take to say what is wrong."""
LONGEST_QUOTE = 400
"""Characters of what a server said that are shown."""
BOM = b"\xef\xbb\xbf"
DENIALS = {
    401: " (the key is taken from LOCALRL_API_KEY or OPENAI_API_KEY)",
    402: "",
    403: " (the key is taken from LOCALRL_API_KEY or OPENAI_API_KEY)",
    404: " (check the model's name and the path of --endpoint)",
    405: " (check the path of --endpoint)",
    410: "",
    501: "",
}
"""Answers that waiting does not change, and what to do about them."""
NEUTRAL = {"top_k", "min_p", "repetition_penalty", "stream_options", "seed"}
"""Fields that are left out for a server that does not know them, if that changes nothing."""

Count = Annotated[int, Field(ge=0)]


class Failure(Enum):
    """What a failed request says about the server."""

    REJECTED = auto()
    """This request cannot work: the server says so."""
    BUSY = auto()
    """The server has too much to do."""
    BROKEN = auto()
    """The answer makes no sense, or the server ends it in the middle."""
    TORN = auto()
    """The connection broke under the answer."""
    SILENT = auto()
    """Nothing came for too long."""
    DOWN = auto()
    """The server is not there, or cannot serve us now."""
    DENIED = auto()
    """The server does not serve us, however long we wait."""


class RequestFailed(Exception):
    def __init__(self, failure: Failure, reason: str, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.failure, self.reason, self.retry_after = failure, reason, retry_after


class Usage(BaseModel):
    class Prompt(BaseModel):
        cached_tokens: Count | None = None

    class Completion(BaseModel):
        reasoning_tokens: Count | None = None

    prompt_tokens: Count = 0
    completion_tokens: Count | None = 0
    prompt_tokens_details: Prompt | None = None
    completion_tokens_details: Completion | None = None

    @property
    def cached(self) -> int:
        details = self.prompt_tokens_details
        return (details.cached_tokens if details else None) or 0

    @property
    def reasoning(self) -> int | None:
        details = self.completion_tokens_details
        return details.reasoning_tokens if details else None


class Choice(BaseModel):
    """What one chunk adds to one of the texts of a request."""

    class Delta(BaseModel):
        content: str | None = None
        reasoning_content: str | None = None
        reasoning: str | None = None

    index: Count = 0
    delta: Delta | None = None
    text: str | None = None
    finish_reason: str | None = None

    @property
    def answer(self) -> str:
        return (self.delta.content if self.delta else self.text) or ""

    @property
    def thinking(self) -> str:
        return (self.delta.reasoning_content or self.delta.reasoning if self.delta else None) or ""


class Chunk(BaseModel):
    choices: list[Choice] = []
    usage: Usage | None = None
    error: Any = None


class Served(BaseModel):
    """One entry of `/models`."""

    id: str
    owned_by: str = ""
    max_model_len: Count | None = None


class _Models(BaseModel):
    data: list[Served]


@dataclass(eq=False)
class Endpoint:
    """A server at a base URL such as `http://host:8000/v1`."""

    url: str
    key: str = ""
    model: str = ""
    """The model's name there, once `models` was asked."""
    kind: str = ""
    """Who says to own the model: `vllm`, `sglang`, `llamacpp`, ..."""
    left_out: set[str] = field(default_factory=set)
    """Fields that this server does not know."""

    def __post_init__(self) -> None:
        self.url = address.checked(self.url)

    def __str__(self) -> str:
        return self.url

    @property
    def shares_prefill(self) -> bool:
        """Whether `n` samples of one request share the prompt, with a seed of their own each.

        vLLM gives sample i the seed `seed + i`. Others ignore `n`, or give all the same seed.
        """
        return self.kind == "vllm"

    def quoted(self, reason: str) -> str:
        """What went wrong, in a few printable words without the key: servers repeat what they were sent."""
        hidden = reason.replace(self.key, "***") if self.key else reason
        return hidden if len(hidden) <= LONGEST_QUOTE else hidden[:LONGEST_QUOTE] + "…"

    async def models(self, session: aiohttp.ClientSession) -> list[Served]:
        """What is served here; empty where the server cannot say. Raises RequestFailed."""
        try:
            served = await self._models(session)
        except RequestFailed as failed:
            raise RequestFailed(failed.failure, self.quoted(failed.reason)) from failed
        for model in served:
            model.owned_by = self.quoted(printable(model.owned_by.encode()))
        return served

    async def _models(self, session: aiohttp.ClientSession) -> list[Served]:
        try:
            async with asyncio.timeout(PROBE_S), self._ask(session, "GET", "/models", None) as response:
                body = await _read(response)
                if response.status not in (200, 404):
                    raise self._failure(response, body)
                return _Models.model_validate_json(body).data
        except TimeoutError as error:
            raise RequestFailed(Failure.DOWN, f"no answer within {PROBE_S:g} s") from error
        except ValidationError:
            return []  # mlx_lm.server says nothing when there is no hub cache
        except aiohttp.ClientError as error:
            raise RequestFailed(Failure.DOWN, _connection_error(error)) from error

    async def stream(
        self, session: aiohttp.ClientSession, group: Group, seeds: list[int]
    ) -> AsyncIterator[Chunk | None]:
        """Ask for one sample a seed; the chunks as they come, and None when the server says that it is done.

        Raises RequestFailed.
        """
        body = self.body(group, seeds)
        path = "/chat/completions" if "messages" in body else "/completions"
        begun = False
        try:
            async with self._ask(session, "POST", path, body) as response:
                if response.status != 200:
                    self._learn(await self._problem(response), body)
                begun = True
                async for chunk in _chunks(response):
                    yield chunk
        except aiohttp.ClientError as error:
            answered = begun or isinstance(error, aiohttp.ClientResponseError)
            raise RequestFailed(
                Failure.TORN if answered else Failure.DOWN, _connection_error(error)
            ) from error
        except TimeoutError as error:
            raise RequestFailed(Failure.DOWN, "no connection") from error

    def body(self, group: Group, seeds: list[int]) -> dict[str, Any]:
        """The request. Every setting is sent, since servers have defaults of their own."""
        sampling = group.sampling
        body: dict[str, Any] = {
            "model": self.model,
            "stream": True,
            "stream_options": {"include_usage": True},
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            # SGLang takes 0 for an error, llama.cpp's servers take -1 for one.
            "top_k": sampling.top_k or (-1 if self.kind in ("vllm", "sglang") else 0),
            "min_p": sampling.min_p,
            "max_tokens": sampling.max_tokens,
            "seed": seeds[0],
        }
        if self.kind in ("vllm", "sglang"):  # they take defaults from the model's generation_config.json
            body["repetition_penalty"] = 1.0
        if len(seeds) > 1:
            body["n"] = len(seeds)
            body["stream_options"]["continuous_usage_stats"] = True
        if group.ignore_end:
            body["ignore_eos"] = True
        messages = [message for message in group.prompt if not isinstance(message, (int, str))]
        if messages:
            body["messages"] = [message.model_dump() for message in messages]
        else:
            body["prompt"] = group.prompt if isinstance(group.prompt, str) else list(group.prompt)
        return {name: value for name, value in body.items() if name not in self.left_out}

    def _ask(self, session: aiohttp.ClientSession, method: str, path: str, body: Any) -> Any:
        # No compression: a bound on bytes would mean nothing. No redirects: they would carry the key away.
        headers = {"Accept-Encoding": "identity"}
        if self.key:
            headers["Authorization"] = f"Bearer {self.key}"
        return session.request(method, self.url + path, json=body, headers=headers, allow_redirects=False)

    async def _problem(self, response: aiohttp.ClientResponse) -> RequestFailed:
        try:
            async with asyncio.timeout(PROBLEM_S):
                return self._failure(response, await _read(response))
        except TimeoutError:
            return self._failure(response, b"")

    def _failure(self, response: aiohttp.ClientResponse, body: bytes) -> RequestFailed:
        status = response.status
        advice = DENIALS.get(status, "")
        if 300 <= status < 400:
            elsewhere = printable(response.headers.get("Location", "").encode())
            advice = f" (redirects are not followed; name what is meant with --endpoint: {elsewhere})"
        reason = f"HTTP {status}{advice}: {said(body)}"
        if status in (429, 503):
            return RequestFailed(Failure.BUSY, reason, _seconds(response.headers.get("Retry-After")))
        if status in (400, 413, 422):
            return RequestFailed(Failure.REJECTED, reason)
        denied = status in DENIALS or 300 <= status < 400
        return RequestFailed(Failure.DENIED if denied else Failure.DOWN, reason)

    def _learn(self, failed: RequestFailed, body: dict[str, Any]) -> None:
        """Leave out what the server does not know, if that changes nothing; the request is tried again."""
        unknown = {name for name in NEUTRAL & body.keys() if name in failed.reason}
        matters = {name for name in ("top_k", "min_p") if body.get(name, 0) > 0}
        if failed.failure is Failure.REJECTED and unknown and not unknown & matters:
            self.left_out |= unknown
            raise RequestFailed(Failure.BROKEN, failed.reason)
        raise failed


async def _chunks(response: aiohttp.ClientResponse) -> AsyncIterator[Chunk | None]:
    """Read server-sent events: `data:` lines of JSON, ended by `data: [DONE]`."""
    held = b""
    lines = _lines(response.content)
    async for line in lines:
        name, _, value = line.removeprefix(BOM).partition(b":")
        if name == b"data":
            value = held + value.strip()
            if value == b"[DONE]":
                yield None
                await _drain(response.content)
                return
            if (chunk := _parse(value)) is not None:
                yield chunk
            held = value + b"\n" if value and chunk is None else b""
        elif held and not line:
            raise _senseless(held)
        elif name.strip() not in (b"", b"event", b"id", b"retry"):
            raise RequestFailed(Failure.BROKEN, f"no stream but: {said(await _rest(line, lines))}")
        if len(held) > LONGEST_LINE:
            raise _senseless(held)
    if held:
        raise _senseless(held)


async def _rest(line: bytes, lines: AsyncIterator[bytes]) -> bytes:
    """A line and what comes with it, within bounds."""
    found = line
    try:
        async with asyncio.timeout(DRAIN_S):
            async for further in lines:
                found += b"\n" + further
                if len(found) > LONGEST_LINE:
                    break
    except (TimeoutError, aiohttp.ClientError, RequestFailed):
        pass  # what is there has to do
    return found


async def _lines(content: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    pending = b""
    async for block in content.iter_any():
        *whole, pending = (pending + block).split(b"\n")
        for line in whole:
            yield line.rstrip(b"\r")
        if len(pending) > LONGEST_LINE:
            raise RequestFailed(Failure.BROKEN, f"a line of more than {LONGEST_LINE >> 20} MiB")
    if pending:
        yield pending


def _parse(data: bytes) -> Chunk | None:
    """One event; None when it is not whole, since an event may have several lines."""
    if not data:
        return None
    try:
        chunk = Chunk.model_validate_json(data)
    except ValidationError as error:
        if error.errors()[0]["type"] == "json_invalid":
            return None
        raise _senseless(data) from error
    if chunk.error is not None:
        raise RequestFailed(Failure.BROKEN, f"an error: {said(data)}")
    return chunk


def _senseless(data: bytes) -> RequestFailed:
    return RequestFailed(Failure.BROKEN, f"a chunk that makes no sense: {printable(data)}")


async def _drain(content: aiohttp.StreamReader) -> None:
    """Read what is left, within bounds."""
    try:
        async with asyncio.timeout(DRAIN_S):
            async for _ in content.iter_any():
                pass
    except (TimeoutError, aiohttp.ClientError):
        pass  # the connection is closed instead of used again


async def _read(response: aiohttp.ClientResponse) -> bytes:
    """An answer that is no stream, cut at LARGEST_ANSWER."""
    body = b""
    async for block in response.content.iter_any():
        body += block
        if len(body) > LARGEST_ANSWER:
            break
    return body


def said(body: bytes) -> str:
    """What an error body says, in one printable line."""
    import json

    try:
        found = json.loads(body[:LARGEST_ANSWER])
    except (ValueError, RecursionError):
        return printable(body)
    for name in ("error", "detail", "message"):
        if isinstance(found, dict) and found.get(name):
            found = found[name]
    return printable(str(found).encode("utf-8", errors="replace"))


def printable(data: bytes) -> str:
    """The beginning of what a stranger sent, without what could control a terminal.

    It is longer than what is shown, so that a key at the end of that is found whole.
    """
    text = data[: 10 * LONGEST_QUOTE].decode("utf-8", errors="replace")
    return " ".join("".join(c if c.isprintable() else " " for c in text).split()) or "nothing"


def _seconds(header: str | None) -> float | None:
    """How long `Retry-After` asks to wait: a number of seconds, or the date of the end."""
    try:
        seconds = float(header or "")
    except ValueError:
        try:
            seconds = parsedate_to_datetime(header or "").timestamp() - time.time()
        except (ValueError, OverflowError):
            return None
    return seconds if seconds > 0 else None


def _connection_error(error: aiohttp.ClientError) -> str:
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return "the server closed the connection"
    if isinstance(error, aiohttp.ClientPayloadError):
        return "the connection broke in the middle of the answer"
    if isinstance(error, aiohttp.ClientResponseError):
        return f"the answer is no HTTP: {printable(error.message.encode())}"
    return f"the connection failed: {printable(str(error).encode() or type(error).__name__.encode())}"
