"""Who may come in, and with what: Host, key, origin, kind and size of the body.

A page in somebody's browser can reach a server on loopback, by a name of its own that resolves to it (DNS
rebinding) or across origins. So the Host must be ours, bodies must be JSON, for which browsers ask first, and
no origin is allowed unless it was named.
"""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import socket
from typing import TYPE_CHECKING, Any

from aiohttp import web

from localrl import jsontext
from localrl.serve.problems import RequestProblem

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from localrl.serve.options import ServeOptions

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

MOST_BYTES = 16 << 20
"""Of a body."""
BODY_S = 30.0
"""How long a body may take to arrive."""
OPEN_PATHS = ("/health",)
"""Answered without a key."""


class Guard:
    """The checks that every request passes, as a middleware."""

    def __init__(self, options: ServeOptions) -> None:
        self._key, self._origins = options.key.encode(), options.origins
        self._hosts = {"localhost", options.host.casefold(), *map(str.casefold, options.allowed_hosts)}
        self._any_address = not is_loopback(options.host)
        if self._any_address:
            self._hosts.add(socket.gethostname().casefold())

    def check(self, request: web.Request) -> None:
        """
        Raises:
            RequestProblem: it may not come in.
        """
        if not self._is_ours(request.headers.get("Host", "")):
            raise RequestProblem(
                403, "this Host is not allowed; name it with --allow-host", code="host_not_allowed"
            )
        if request.method == "OPTIONS" or request.path in OPEN_PATHS or not self._key:
            return
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        if scheme.casefold() != "bearer" or not hmac.compare_digest(
            given.strip().encode("utf-8", "surrogateescape"), self._key
        ):
            raise RequestProblem(401, "the API key is missing or wrong", code="invalid_api_key")

    def _is_ours(self, host: str) -> bool:
        name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
        name = name.strip("[]").rstrip(".").casefold()
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return name in self._hosts
        return address.is_loopback or self._any_address or name in self._hosts

    def cors(self, request: web.Request, response: web.StreamResponse) -> None:
        """Let the origins read the answer that were named."""
        origin = request.headers.get("Origin", "")
        if origin and (origin in self._origins or "*" in self._origins):
            response.headers["Access-Control-Allow-Origin"] = origin
            response.headers["Vary"] = "Origin"
            response.headers["Access-Control-Allow-Headers"] = "Authorization, Content-Type"
            response.headers["Access-Control-Allow-Methods"] = "GET, POST"


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.casefold() == "localhost"


async def json_body(request: web.Request) -> Any:
    """The JSON that came.

    Raises:
        RequestProblem: it is none, too large or too late.
    """
    if request.content_type != "application/json":
        raise RequestProblem(415, "the body must have the Content-Type application/json")
    try:
        async with asyncio.timeout(BODY_S):
            raw = await request.read()
    except TimeoutError as error:
        raise RequestProblem(408, f"the body did not arrive within {BODY_S:g} s") from error
    except web.HTTPRequestEntityTooLarge as error:
        raise RequestProblem(413, f"the body has more than {MOST_BYTES >> 20} MiB") from error
    except (web.HTTPException, ValueError, OSError) as error:
        raise RequestProblem(400, "the body cannot be read") from error
    try:
        found = jsontext.loads(raw)
    except RecursionError as error:
        raise RequestProblem(400, "the JSON is nested too deeply") from error
    except ValueError as error:
        raise RequestProblem(400, f"the body is no JSON: {error}") from error
    if not isinstance(found, dict):
        raise RequestProblem(400, "the body is no JSON object")
    return found
