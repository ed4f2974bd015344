"""`localrl bench` on servers that fail: what a person reads, and what the run keeps."""

from __future__ import annotations

import json
import shutil
import ssl
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.commands import Done, localrl
from tests.engine.backends.server.hostile_server import MODEL, Conversation, hostile

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.process


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCALRL_HOME", str(tmp_path))
    monkeypatch.setenv("LOCALRL_API_KEY", "sk-secret-123456")


def bench(*arguments: str) -> Done:
    return localrl("bench", *arguments, "--json")


def test_engine_errors_are_said_with_their_reason_and_tried_again_when_the_run_is_resumed() -> None:
    def fails(to: Conversation) -> None:
        to.begin(kind="application/json")
        to.send(b'{"error": "no memory is left"}')

    scripts = [fails] * 10
    with hostile(*scripts, Conversation.good) as server:
        done = bench(MODEL, "starter", "--limit", "2", "--endpoint", server.url)
        resumed = bench("--resume", "last")
    assert done.returncode == 1, done.stderr
    assert "the engine answered none of the samples" in done.stderr.splitlines()[-1]
    made = json.loads(done.stdout)["evals"][0]
    assert made["outcomes"]["engine_error"] == 2
    assert made["errors"] == [{"error": f"{server.url}: no stream but: no memory is left", "samples": 2}]
    assert "engine error for 2 samples" in done.stderr
    assert "no memory is left" in done.stderr
    assert "--resume" in done.stderr
    again = json.loads(resumed.stdout)["evals"][0]
    assert again["outcomes"]["engine_error"] == 0
    assert sum(again["outcomes"].values()) == 2
    assert "errors" not in again


def test_a_server_that_will_not_serve_us_ends_the_run_with_exit_3_and_its_words(tmp_path: Path) -> None:
    def denies(to: Conversation) -> None:
        to.begin(401, "application/json")
        to.send(b'{"error": "no such key: sk-secret-123456"}')

    with hostile(denies) as server:
        done = bench(MODEL, "starter", "--limit", "2", "--endpoint", server.url)
    assert done.returncode == 3
    last = done.stderr.splitlines()[-1]
    assert "HTTP 401 (the key is taken from LOCALRL_API_KEY" in last
    assert "no such key: ***" in last
    kept = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert b"sk-secret" not in kept


SECRET = "Bearer tok-secret-98765"


def test_headers_and_extra_fields_are_sent_and_no_headers_value_is_kept_or_shown(tmp_path: Path) -> None:
    seen: list[tuple[str | None, str | None, object]] = []

    def answers(to: Conversation) -> None:
        seen.append((to.headers.get("authorization"), to.headers.get("X-Team"), to.body.get("think")))
        to.good(f"My header is {SECRET}")

    asked = (MODEL, "starter", "--limit", "1", "--extra-body", '{"think": false}')
    secret = ("--header", f"authorization: {SECRET}", "--header=X-Team:blue")
    with hostile(answers) as server:
        done = bench(*asked, "--endpoint", server.url, *secret)
    assert done.returncode == 0, done.stderr
    assert set(seen) == {(SECRET, "blue", False)}
    made = json.loads(done.stdout)
    assert 'extra body {"think": false}' in made["evals"][0]["deviations"]
    kept = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert b"tok-secret" not in kept
    assert b"authorization:***" in kept
    assert "tok-secret" not in done.stdout + done.stderr


def test_headers_are_given_again_when_a_run_is_resumed() -> None:
    def denies(to: Conversation) -> None:
        if to.headers.get("X-Team") == "blue-team":
            return Conversation.good(to)
        to.begin(kind="application/json")
        return to.send(b'{"error": "who are you?"}')

    with hostile(denies) as server:
        refused = bench(MODEL, "starter", "--limit", "1", "--endpoint", server.url)
        resumed = bench("--resume", "last", "--header", "X-Team: blue-team")
    assert refused.returncode == 1
    assert json.loads(resumed.stdout)["evals"][0]["outcomes"]["engine_error"] == 0


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--header", "tok-secret"), "not NAME:VALUE"),
        (("--header", "X-Key: a\nb"), "not NAME:VALUE"),
        (("--header", "Host: elsewhere"), "Host is set by localrl"),
        (("--extra-body", "[1]"), "not a JSON object"),
        (("--extra-body", '{"temperature": 1}'), "'temperature' is set by localrl"),
        (("--ca-file", __file__), "holds no certificate"),
    ],
)
def test_what_a_server_cannot_be_asked_is_refused(flags: tuple[str, str], words: str) -> None:
    done = bench(MODEL, "starter", "--endpoint", "http://127.0.0.1:9/v1", *flags)
    assert done.returncode == 2
    assert words in done.stderr
    assert "tok-secret" not in done.stderr


def test_flags_for_servers_need_a_server() -> None:
    done = bench(MODEL, "starter", "--header", "X-Team: blue")
    assert done.returncode == 2
    assert "name one with --endpoint" in done.stderr


def test_a_certificate_that_is_not_trusted_is_told_from_a_server_that_is_down_and_can_be_named(
    tmp_path: Path,
) -> None:
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    openssl = shutil.which("openssl")
    if not openssl:
        pytest.skip("needs openssl")
    made = f"req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=x -keyout {key} -out {certificate}"
    subprocess.run(
        [openssl, *made.split(), "-addext", "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with hostile(Conversation.good, tls=context) as server:
        asked = (MODEL, "starter", "--limit", "1", "--endpoint", server.url.replace("http:", "https:"))
        refused, trusted = bench(*asked), bench(*asked, "--ca-file", str(certificate))
    assert refused.returncode == 3
    assert "its certificate is not trusted" in refused.stderr
    assert "SSL_CERT_FILE" in refused.stderr
    assert "is the server running" not in refused.stderr
    assert trusted.returncode == 0, trusted.stderr
