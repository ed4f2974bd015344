"""`localrl bench` on servers that fail: what a person reads, and what the run keeps."""

from __future__ import annotations

import json
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
