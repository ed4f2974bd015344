"""What an OpenAI-compatible server sends: its chunks and lists, and how they are read off the connection.

A server may be broken, overloaded or hostile, so all that arrives is bounded and validated here, and ends
either as values or as a `RequestFailed` that says in one line what was wrong.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from enum import Enum, auto
from typing import TYPE_CHECKING, Annotated, Any

import aiohttp
from pydantic import BaseModel, BeforeValidator, Field, ValidationError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

LONGEST_LINE = 1 << 20
"""Bytes of one line of a stream; a chunk of text is a few hundred."""
LARGEST_ANSWER = 4 << 20
"""Bytes of an answer that is no stream."""
DRAIN_S = 0.5
"""How long the end of a finished stream is waited for, so that its connection can be used again."""
LONGEST_QUOTE = 400
"""Characters of what a server said that are shown."""
BOM = b"\xef\xbb\xbf"

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
    FINAL = auto()
    """The text ended in a way that asking again would not change."""


class RequestFailed(Exception):
    def __init__(self, failure: Failure, reason: str, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.failure, self.reason, self.retry_after = failure, reason, retry_after


class TokenUsage(BaseModel):
    class PromptDetails(BaseModel):
        cached_tokens: Count | None = None

    class CompletionDetails(BaseModel):
        reasoning_tokens: Count | None = None

    prompt_tokens: Count | None = 0
    completion_tokens: Count | None = 0
    prompt_tokens_details: PromptDetails | None = None
    completion_tokens_details: CompletionDetails | None = None

    @property
    def cached(self) -> int:
        details = self.prompt_tokens_details
        return (details.cached_tokens if details else None) or 0

    @property
    def reasoning(self) -> int | None:
        details = self.completion_tokens_details
        return details.reasoning_tokens if details else None


def _joined(content: Any) -> Any:
    """The text of content that is given as parts, `[{"type": "text", "text": ...}]`, or as one such part."""
    parts = [content] if isinstance(content, dict) else content
    if not isinstance(parts, list):
        return content
    return "".join(part["text"] for part in parts if isinstance(part, dict) and _is_text(part))


def _is_text(part: dict[str, Any]) -> bool:
    return part.get("type", "text") == "text" and isinstance(part.get("text"), str)


Content = Annotated[str | None, BeforeValidator(_joined)]


class ChunkChoice(BaseModel):
    """What one chunk adds to one of the texts of a request."""

    class Delta(BaseModel):
        content: Content = None
        reasoning_content: Content = None
        reasoning: Content = None

    index: Count | None = 0
    delta: Delta | None = None
    message: Delta | None = None
    """The whole text, from servers that send it in one piece although a stream was asked for."""
    text: str | None = None
    finish_reason: str | None = None

    @property
    def answer(self) -> str:
        said = self.delta or self.message
        return (said.content if said else self.text) or ""

    @property
    def thinking(self) -> str:
        said = self.delta or self.message
        return (said.reasoning_content or said.reasoning if said else None) or ""


class Chunk(BaseModel):
    choices: Annotated[list[ChunkChoice], BeforeValidator(lambda given: given or [])] = []
    usage: TokenUsage | None = None
    error: Any = None


class ServedModel(BaseModel):
    """One entry of `/models`."""

    id: str
    owned_by: str = ""
    max_model_len: Count | None = None


class Models(BaseModel):
    data: list[ServedModel]


async def chunks(response: aiohttp.ClientResponse) -> AsyncIterator[Chunk | None]:
    """Read server-sent events (WHATWG, "Server-sent events"), ended by `data: [DONE]`.

    An event ends at a blank line, but one whose first line is whole is taken at once: some servers send no
    blank lines. Comments of gateways (`: ping`, also as data) are passed over.
    """
    held: list[bytes] = []
    size = 0
    lines = _lines(response.content)
    async for line in lines:
        name, _, value = line.removeprefix(BOM).partition(b":")
        if name == b"data":
            value = value.strip()
            if value == b"[DONE]":
                yield None
                await _drain(response.content)
                return
            if not held and value.startswith(b":"):
                continue
            if not held and (chunk := _parse(value)) is not None:
                yield chunk
                continue
            held += [value] if value else []
            size += len(value)
        elif not line and held:
            yield _whole(held)
            held, size = [], 0
        elif name.lstrip().startswith((b"{", b"[")) and not held:
            async for chunk in _unstreamed(await _rest(line, lines)):
                yield chunk
            return
        elif name.strip() not in (b"", b"event", b"id", b"retry"):
            raise RequestFailed(Failure.BROKEN, f"no stream but: {error_text(await _rest(line, lines))}")
        if size > LONGEST_LINE:
            raise _senseless(held[0])
    if held:
        yield _whole(held)


def _whole(lines: list[bytes]) -> Chunk:
    data = b"\n".join(lines)
    chunk = _parse(data)
    if chunk is None:
        raise _senseless(data)
    return chunk


async def _unstreamed(body: bytes) -> AsyncIterator[Chunk | None]:
    """An answer in one piece, from a server that does not stream."""
    chunk = None
    with contextlib.suppress(RequestFailed):  # an error: its words are enough
        chunk = _parse(body)
    if chunk is None or not any(choice.message or choice.text for choice in chunk.choices):
        raise RequestFailed(Failure.BROKEN, f"no stream but: {error_text(body)}")
    yield chunk
    yield None


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
    """Lines that end with LF, CR or both; one that is too long is refused before it is held."""
    pending: list[bytes] = []
    size, after_return = 0, False
    async for block in content.iter_any():
        if after_return and block.startswith(b"\n"):
            block = block[1:]
        after_return = block.endswith(b"\r")
        first, *others = re.split(rb"\r\n|\n|\r", block)
        pending.append(first)
        size += len(first)
        for line in others:
            yield b"".join(pending)
            pending, size = [line], len(line)
        if size > LONGEST_LINE:
            raise RequestFailed(Failure.BROKEN, f"a line of more than {LONGEST_LINE >> 20} MiB")
    if size:
        yield b"".join(pending)


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
        raise RequestFailed(Failure.BROKEN, f"an error: {error_text(data)}")
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


async def read(response: aiohttp.ClientResponse) -> bytes:
    """An answer that is no stream, cut at LARGEST_ANSWER."""
    body = b""
    async for block in response.content.iter_any():
        body += block
        if len(body) > LARGEST_ANSWER:
            break
    return body


def error_text(body: bytes) -> str:
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
