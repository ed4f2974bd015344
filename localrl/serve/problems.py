"""What a client is told when its request cannot be answered, in the shape of OpenAI's API."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from aiohttp import web

from localrl import jsontext


class RequestProblem(Exception):
    """A request that is refused or failed.

    400 it makes no sense, or asks for what is not supported     401 the key is wrong
    403 the Host is none of ours       404 no such path or model  408 it did not arrive in time
    413 it is too large                415 it is no JSON          429 too many wait
    503 the engine is not to be had
    """

    def __init__(
        self, status: int, message: str, *, param: str | None = None, code: str | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.param, self.code = status, param, code
        self.headers: dict[str, str] = {}

    @property
    def body(self) -> dict[str, Any]:
        kind = "invalid_request_error" if self.status < 500 else "server_error"
        kind = {429: "rate_limit_error", 401: "authentication_error"}.get(self.status, kind)
        code = self.code or HTTPStatus(self.status).phrase.lower().replace(" ", "_")
        return {"error": {"message": str(self), "type": kind, "param": self.param, "code": code}}

    def response(self) -> web.Response:
        return json_response(self.body, self.status, self.headers)


class TooBusy(RequestProblem):
    """More requests wait than may."""

    def __init__(self, retry_after_s: int) -> None:
        super().__init__(429, f"too many requests wait; try again in {retry_after_s} s")
        self.headers["Retry-After"] = str(retry_after_s)


def json_response(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(
        text=jsontext.dumps(value), status=status, headers=headers, content_type="application/json"
    )
