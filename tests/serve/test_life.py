"""A server outlives its worker, unloads what nobody uses, and says why it cannot answer."""

from __future__ import annotations

import concurrent.futures
import contextlib
import json
import signal
import socket
import time
from typing import TYPE_CHECKING

import psutil
import pytest

from localrl.errors import Unavailable
from tests.engine.tiny import write_gguf
from tests.processes import WORKER
from tests.serve.serving import Client, served

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.process


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCALRL_HOME", str(tmp_path / "home"))


def kill_worker() -> None:
    for child in workers():
        child.send_signal(signal.SIGKILL)


def workers() -> list[psutil.Process]:
    """The engines of this process that live; the screens' tests may have left one that ends."""
    found = []
    for child in psutil.Process().children():
        with contextlib.suppress(psutil.NoSuchProcess):  # a zombie is one too
            if WORKER in child.cmdline():
                found.append(child)
    return found


def test_what_was_not_sent_is_repeated_when_the_worker_dies_and_a_broken_stream_says_so(
    tmp_path: Path,
) -> None:
    with (
        served(tmp_path, "word " * 100, real_s=0.01) as client,
        concurrent.futures.ThreadPoolExecutor() as pool,
    ):
        whole, stream = pool.submit(client.chat), pool.submit(client.chat, stream=True)
        time.sleep(0.5)
        kill_worker()
        assert whole.result().json["choices"][0]["message"]["content"] == "word " * 100
        assert b"the engine died in the middle" in stream.result().body
        assert client.chat(max_tokens=2).status == 200


def test_an_idle_model_is_unloaded_and_loaded_again_when_asked_for(tmp_path: Path) -> None:
    with served(tmp_path, "ok", options={"idle_unload_s": 0.1, "on_demand": True}) as client:
        assert client.ask("GET", "/health").json["engine"] == "unloaded"
        for _ in range(2):
            assert client.chat().json["choices"][0]["message"]["content"] == "ok"
            deadline = time.monotonic() + 20
            while client.ask("GET", "/health").json["engine"] != "unloaded":
                assert time.monotonic() < deadline
                time.sleep(0.05)


def test_beyond_the_bound_requests_are_turned_away(tmp_path: Path) -> None:
    with (
        served(tmp_path, "word " * 500, parallel=1, real_s=0.002, options={"most_waiting": 1}) as client,
        concurrent.futures.ThreadPoolExecutor(20) as pool,
    ):
        answers = [pool.submit(client.chat, max_tokens=500) for _ in range(20)]
        found = [answer.result() for answer in answers]
        turned_away = [answer for answer in found if answer.status == 429]
        assert turned_away
        assert all(int(answer.headers["Retry-After"]) >= 1 for answer in turned_away)
        assert sum(answer.status == 200 for answer in found) == len(found) - len(turned_away) >= 10


def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(Unavailable, match=f"127.0.0.1:{port}"), served(tmp_path, options={"port": port}):
            pass


def test_a_prompt_that_kills_the_engine_is_answered_with_why(tmp_path: Path) -> None:
    with served(tmp_path, "one bad word", "fine", die_on=["bad"]) as client:
        answer = client.chat(seed=0)
        assert (answer.status, "died of this prompt" in answer.json["error"]["message"]) == (503, True)
        assert client.chat(seed=1).status == 200


WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {
            "type": "object",
            "properties": {"city": {"enum": ["ab", "cd"]}},
            "required": ["city"],
            "additionalProperties": False,
        },
    },
}


@pytest.mark.slow
def test_structured_output_and_forced_calls_hold_on_a_real_model(tmp_path: Path) -> None:
    from localrl.serve import server
    from localrl.serve.background import BackgroundServer
    from localrl.serve.options import ServeOptions

    others = workers()
    model = write_gguf(tmp_path / "tiny.gguf")
    choice, settings = server.make(str(model), parallel=2, context=2048)
    background = BackgroundServer(choice, settings, ServeOptions(port=0))
    background.start()
    try:
        assert background.status
        client = Client(int(background.status.address.rpartition(":")[2]))
        schema = {"type": "object", "properties": {"a": {"type": "boolean"}}, "required": ["a"]}
        wanted = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema, "strict": True}}
        said = client.chat(response_format=wanted, max_tokens=200).json["choices"][0]["message"]["content"]
        assert isinstance(json.loads(said)["a"], bool)
        for tool_choice in ("required", {"type": "function", "function": {"name": "weather"}}):
            (done,) = client.chat(tools=[WEATHER], tool_choice=tool_choice, max_tokens=300).json["choices"]
            assert done["finish_reason"] == "tool_calls"
            (call,) = done["message"]["tool_calls"]
            assert call["function"]["name"] == "weather"
            assert call["function"]["arguments"] in ('{"city": "ab"}', '{"city": "cd"}')
        assert client.chat(response_format={"type": "json_schema"}).status == 400
        assert client.chat(grammar="root ::= (").status == 400
        assert client.chat(tools=[WEATHER], tool_choice={"function": {"name": "no"}}).status == 400
    finally:
        background.stop()
        assert workers() == others
