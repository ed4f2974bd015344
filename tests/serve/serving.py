"""A server on the scripted backend, and what a client needs."""

from __future__ import annotations

import contextlib
import http.client
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from localrl.serve import server
from localrl.serve.background import BackgroundServer
from localrl.serve.options import ServeOptions
from tests.scripted import write_script

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def chunks(self) -> list[Any]:
        """Of a stream that ended well."""
        lines = [line for line in self.body.decode().split("\n\n") if line]
        assert lines[-1] == "data: [DONE]"
        return [json.loads(line.removeprefix("data: ")) for line in lines[:-1]]


@dataclass(frozen=True)
class Client:
    """Asks the server at a port."""

    port: int

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        raw = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        given = {"Content-Type": "application/json"} if body is not None else {}
        given |= {name.replace("_", "-"): value for name, value in headers.items()}
        with contextlib.closing(connection):
            connection.request(method, path, raw, given)
            got = connection.getresponse()
            return Answer(got.status, dict(got.getheaders()), got.read())

    def chat(self, **body: Any) -> Answer:
        messages = [{"role": "user", "content": "how much is it"}]
        return self.ask("POST", "/v1/chat/completions", {"messages": messages, **body})

    def complete(self, **body: Any) -> Answer:
        return self.ask("POST", "/v1/completions", {"prompt": "how much is it", **body})


@contextlib.contextmanager
def served(
    folder: Path,
    *texts: str,
    parallel: int = 4,
    options: dict[str, Any] | None = None,
    adapter: str | None = None,
    **script: Any,
) -> Iterator[Client]:
    path = write_script(folder, *texts, **script)
    choice, settings = server.make(str(path), backend="scripted", parallel=parallel, adapter=adapter)
    background = BackgroundServer(choice, settings, ServeOptions(**{"port": 0, **(options or {})}))
    background.start()
    try:
        status = background.status
        assert status
        yield Client(int(status.address.rpartition(":")[2]))
    finally:
        background.stop()


def metric(client: Client, name: str) -> float:
    """A gauge or counter without labels."""
    lines = client.ask("GET", "/metrics").body.decode().splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith(f"{name} "))
