"""Strangers stay outside, and what they send never breaks the server."""

from __future__ import annotations

import contextlib
import random
import socket
import threading
import time
from typing import TYPE_CHECKING

import psutil
import pytest

from localrl.errors import UsageError
from localrl.serve import guard, server
from localrl.serve.options import ServeOptions, read_key
from tests.serve.serving import Client, served

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.process
KEY = "a-secret-of-many-letters"


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    folder = tmp_path_factory.mktemp("served")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LOCALRL_HOME", str(folder / "home"))
        patch.setattr(guard, "BODY_S", 1.0)
        patch.setattr(server, "HEADERS_S", 1.0)
        options = {"key": KEY, "allowed_hosts": ("desk.example",), "origins": ("http://page.example",)}
        with served(folder, "word " * 400, real_s=0.002, options=options) as client:
            yield client


def test_another_address_is_served_only_with_a_key() -> None:
    with pytest.raises(UsageError, match="api-key-file"):
        ServeOptions(host="0.0.0.0")
    assert ServeOptions(host="0.0.0.0", key=KEY).key == KEY
    assert KEY not in repr(ServeOptions(key=KEY))


@pytest.mark.parametrize("text", ["", "short", "two words here", "ключ-ключ-ключ"])
def test_a_file_without_a_key_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "key").write_text(text)
    with pytest.raises(UsageError, match="holds no key"):
        read_key(tmp_path / "key")


@pytest.mark.parametrize("given", ["", "Bearer wrong", f"Basic {KEY}", f"Bearer {KEY}x", "Bearer ключ"])
def test_without_the_key_nothing_is_told(client: Client, given: str) -> None:
    answer = client.ask("GET", "/v1/models", Authorization=given.encode().decode("latin-1"))
    assert (answer.status, answer.json["error"]["code"]) == (401, "invalid_api_key")
    assert KEY.encode() not in answer.body
    assert client.ask("GET", "/health").status == 200


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:1", 200),
        ("localhost", 200),
        ("LOCALHOST.:8080", 200),
        ("[::1]:8080", 200),
        ("desk.example", 200),
        ("evil.example", 403),
        ("localhost.evil.example", 403),
        ("192.168.1.5", 403),
        ("", 403),
    ],
)
def test_only_our_own_names_are_answered(client: Client, host: str, status: int) -> None:
    assert client.ask("GET", "/v1/models", Host=host, Authorization=f"Bearer {KEY}").status == status


def test_only_pages_that_were_named_may_read_answers(client: Client) -> None:
    for origin, allowed in (("http://page.example", True), ("http://evil.example", False)):
        for method in ("GET", "OPTIONS"):
            answer = client.ask(method, "/v1/models", Origin=origin, Authorization=f"Bearer {KEY}")
            assert ("Access-Control-Allow-Origin" in answer.headers) is allowed


def raw(client: Client, data: bytes, *, wait: bool = True) -> int:
    """Send bytes as they are; the status that comes back, or 0 where the connection was closed."""
    with (
        contextlib.suppress(OSError),
        socket.create_connection(("127.0.0.1", client.port), timeout=20) as peer,
    ):
        peer.sendall(data)
        if wait:
            head = peer.recv(64)
            return int(head.split()[1]) if head.startswith(b"HTTP/1.") else 0
    return 0


HEAD = f"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {KEY}\r\n".encode()
JSON = HEAD + b"Content-Type: application/json\r\n"


def sized(body: bytes) -> bytes:
    return JSON + b"Content-Length: %d\r\n\r\n" % len(body) + body


HOSTILE = {
    "half a head": (b"POST /v1/chat", 408),
    "half a body": (JSON + b"Content-Length: 100\r\n\r\n{", 408),
    "a length that is none": (JSON + b"Content-Length: many\r\n\r\n{}", 400),
    "two lengths": (JSON + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}", 400),
    "100 MB promised": (JSON + b"Content-Length: 104857600\r\n\r\n" + b" " * (17 << 20), 413),
    "deep JSON": (sized(b"[" * 200_000), 400),
    "deep JSON in a field": (sized(b'{"messages":' + b"[" * 5000 + b"]" * 5000 + b"}"), 400),
    "no UTF-8": (sized(b'{"model": "\xff"}'), 400),
    "NaN": (sized(b'{"temperature": NaN}'), 400),
    "a huge number": (sized(b'{"n": 1' + b"0" * 200_000 + b"}"), 400),
    "a list": (sized(b"[]"), 400),
    "nothing": (sized(b""), 400),
    "no JSON": (HEAD + b"Content-Type: text/plain\r\nContent-Length: 2\r\n\r\n{}", 415),
    "a long header": (HEAD + b"X: " + b"x" * 100_000 + b"\r\n\r\n", 400),
    "another protocol": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc", 400),
    "a path that is none": (HEAD.replace(b"/v1/chat/completions", b"/../../etc/passwd") + b"\r\n", 404),
}


@pytest.mark.slow
def test_hostile_requests_are_refused_one_by_one_and_leave_nothing_behind(client: Client) -> None:
    dice = random.Random(0)
    key = {"Authorization": f"Bearer {KEY}"}
    good = sized(b'{"messages":[{"role":"user","content":"x"}],"stream":true}')
    ours = psutil.Process()
    raw(client, good)
    before = (ours.num_fds(), threading.active_count())
    for name, (data, status) in HOSTILE.items():
        assert raw(client, data) == status, name
    for _ in range(60):  # gone in every state
        data = dice.choice([good, *(data for data, _ in HOSTILE.values())])
        raw(client, data[: dice.randrange(len(data) + 1)][: 1 << 20], wait=dice.random() < 0.2)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        text = client.ask("GET", "/metrics", **key).body.decode()
        idle = all(f"localrl_{name} 0.0" in text for name in ("running", "waiting_requests", "queued"))
        if idle and ours.num_fds() <= before[0] + 1 and threading.active_count() <= before[1]:
            break
        time.sleep(0.1)
    assert idle
    assert ours.num_fds() <= before[0] + 1
    assert threading.active_count() <= before[1]
    assert client.ask("POST", "/v1/completions", {"prompt": "x"}, **key).status == 200
