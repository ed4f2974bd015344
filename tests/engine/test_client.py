"""The worker process answers, dies, comes back, and never loses or doubles a sample."""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from localrl import isolated
from localrl.chat import Message
from localrl.engine.client import QUEUED_STEPS, STEPS_TOGETHER, ClientEvent, EngineClient, Restarted
from localrl.engine.protocol import (
    EngineSettings,
    Finished,
    FinishReason,
    GroupRequest,
    Metrics,
    SampleRequest,
    Text,
)
from localrl.engine.wire import Tokenized
from localrl.errors import Stopped, Unavailable, UsageError
from localrl.sampling import Sampling
from tests.processes import WORKER, children

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.process


HOUR_S = 3600.0


def engine(
    folder: Path, parallel: int = 4, stopping: threading.Event | None = None, **script: Any
) -> EngineClient:
    (folder / "script.json").write_text(json.dumps(script))
    return EngineClient(
        EngineSettings(backend="scripted", model=str(folder / "script.json"), parallel=parallel),
        log=folder / "worker.log",
        stopping=stopping,
    )


def group(name: str, k: int = 1, max_tokens: int = 100) -> GroupRequest:
    prompt = (Message(role="user", content="how much is it"),)
    samples = tuple(SampleRequest(f"{name}.{i}", i) for i in range(k))
    return GroupRequest(name, prompt, samples, Sampling(max_tokens=max_tokens))


def collect(client: EngineClient, seconds: float = 30.0) -> tuple[dict[str, Finished], int]:
    """Everything until nothing is in flight: ends by sample, and the number of restarts."""
    ends: dict[str, Finished] = {}
    restarts = 0
    deadline = time.monotonic() + seconds
    while client.in_flight:
        assert time.monotonic() < deadline, "the engine hangs"
        for event in client.events(timeout=1.0):
            if isinstance(event, Finished):
                assert event.sample not in ends, "a sample ended twice"
                ends[event.sample] = event
            restarts += isinstance(event, Restarted)
    return ends, restarts


def test_a_group_goes_in_and_every_sample_comes_out(tmp_path: Path) -> None:
    with engine(tmp_path, texts=["one two three", "four"]) as client:
        assert client.info.backend == "scripted"
        client.submit(group("g", k=4))
        ends, _ = collect(client)
    assert [ends[f"g.{i}"].text for i in range(4)] == ["one two three", "four"] * 2
    assert [ends[f"g.{i}"].shared_tokens for i in range(4)] == [0, 4, 4, 4]


def test_a_slow_caller_takes_several_steps_at_once_in_their_order_and_a_death_after_them(
    tmp_path: Path,
) -> None:
    with engine(tmp_path, parallel=1, texts=["one two three four five"], real_s=0.05) as client:
        for i in range(4):
            client.submit(group(f"g{i}"))
        time.sleep(1.0)
        waiting = client._inbox.qsize()
        first = client.events()
        steps = sum(isinstance(event, Metrics) for event in first)
        assert 1 + STEPS_TOGETHER >= steps >= min(waiting, 1 + STEPS_TOGETHER) > 2
        client._process.kill()
        later: list[ClientEvent] = []
        while not any(isinstance(event, Restarted) for event in later):
            later += client.events(timeout=5.0)
        ends, _ = collect(client)
        told = [event.sample for event in [*first, *later] if isinstance(event, Finished)]
        assert sorted([*told, *ends]) == [f"g{i}.0" for i in range(4)]


def test_a_prompt_s_tokens_are_told_while_samples_run_and_waiting_can_be_ended(tmp_path: Path) -> None:
    with engine(tmp_path, texts=["one " * 500], real_s=0.01) as client:
        client.submit(group("g", max_tokens=500))
        client.tokenize("words", replace(group("t"), prompt="two or two"))
        client.tokenize("numbers", replace(group("t"), prompt=(7,)))
        told: dict[str, Tokenized] = {}
        while len(told) < 2:
            told |= {event.id: event for event in client.events(5.0) if isinstance(event, Tokenized)}
        client.cancel("g")
        collect(client)
        threading.Timer(0.05, client.wake).start()
        assert client.events(HOUR_S) == []
    assert told["words"].pieces == ("two", "or", "two")
    assert told["words"].tokens[0] == told["words"].tokens[2] != told["words"].tokens[1]
    assert (told["numbers"].tokens, told["numbers"].pieces) == ((7,), ("<7>",))


def test_a_killed_worker_comes_back_and_every_sample_ends_once(tmp_path: Path) -> None:
    dice = random.Random(7)
    with engine(tmp_path, texts=["a b c d e f g h"], real_s=0.002) as client:
        for i in range(40):
            client.submit(group(f"g{i}", k=2))
        time.sleep(0.02 + dice.random() * 0.05)
        os.kill(client.worker_pid, signal.SIGKILL)
        ends, restarts = collect(client)
    assert restarts == 1
    assert len(ends) == 80
    assert {end.reason for end in ends.values()} == {FinishReason.STOP}


def test_a_worker_that_is_killed_while_it_loads_again_is_replaced_too(tmp_path: Path) -> None:
    with engine(tmp_path, texts=["a b c"], real_s=0.01) as client:
        for i in range(4):
            client.submit(group(f"g{i}", k=2))
        first = client.worker_pid
        (tmp_path / "script.json").write_text(json.dumps({"texts": ["a b c"], "load_s": HOUR_S}))

        def kill_the_second() -> None:
            while client.worker_pid == first:
                time.sleep(0.005)
            (tmp_path / "script.json").write_text(json.dumps({"texts": ["a b c"]}))
            os.kill(client.worker_pid, signal.SIGKILL)

        killer = threading.Thread(target=kill_the_second)
        killer.start()
        os.kill(first, signal.SIGKILL)
        ends, restarts = collect(client)
        killer.join()
    assert restarts == 1
    assert len(ends) == 8
    assert {end.reason for end in ends.values()} == {FinishReason.STOP}


def test_a_prompt_that_kills_the_worker_fails_alone(tmp_path: Path) -> None:
    with engine(tmp_path, parallel=1, texts=["fine", "poison"], die_on=["poison"]) as client:
        for i in range(3):
            client.submit(group(f"g{i}", k=1))
        client.submit(GroupRequest("bad", "x", (SampleRequest("bad.1", 1),)))
        client.submit(group("last"))
        ends, restarts = collect(client)
    assert restarts == 4
    assert ends.pop("bad.1").reason is FinishReason.ERROR
    assert {end.text for end in ends.values()} == {"fine"}


def test_a_group_that_was_at_work_is_not_blamed_for_a_worker_that_is_killed_again_and_again(
    tmp_path: Path,
) -> None:
    with engine(tmp_path, texts=["a b c d e f g h i j"], real_s=0.05) as client:
        for i in range(4):
            client.submit(group(f"g{i}", k=2))
        killed: list[int] = []
        events: list[ClientEvent] = []
        while len(killed) < 5:
            fresh = client.events(timeout=1.0)
            if client.worker_pid not in killed and any(isinstance(event, Text) for event in fresh):
                killed.append(client.worker_pid)
                os.kill(client.worker_pid, signal.SIGKILL)
            events += fresh
        ends, restarts = collect(client)
    assert restarts + sum(isinstance(event, Restarted) for event in events) == 5
    assert {end.reason for end in ends.values()} == {FinishReason.STOP}
    assert len(ends) == 8


def test_an_engine_that_dies_of_everything_is_given_up(tmp_path: Path) -> None:
    with engine(tmp_path, texts=["poison"], die_on=["poison"]) as client:
        for i in range(9):
            client.submit(group(f"g{i}"))
        with pytest.raises(Unavailable, match="dies of every prompt"):
            collect(client)


def test_a_prompt_that_is_no_unicode_is_refused_instead_of_never_answered(tmp_path: Path) -> None:
    prompt = (Message(role="user", content="half a pair: \ud800"),)
    asked = GroupRequest("g", prompt, (SampleRequest("g.0", 0),))
    with engine(tmp_path) as client, pytest.raises(UsageError, match="no Unicode"):
        client.submit(asked)


def test_cancelling_and_pausing_take_effect_while_it_runs(tmp_path: Path) -> None:
    with engine(tmp_path, texts=["word " * 100_000], real_s=0.001) as client:
        client.submit(group("g", k=2, max_tokens=90_000))
        client.events(timeout=5)
        client.pause()
        while client.events(timeout=0.3):
            pass
        client.cancel("g.0")
        client.pause(paused=False)
        end = next(event for _ in range(1000) for event in client.events(1) if isinstance(event, Finished))
        assert (end.sample, end.reason) == ("g.0", FinishReason.CANCELLED)
        assert client.in_flight == 1


def test_what_is_cancelled_while_it_waits_for_a_suspect_ends_at_once(tmp_path: Path) -> None:
    with engine(tmp_path, texts=["word " * 100_000], real_s=0.001) as client:
        client.submit(group("alone", max_tokens=90_000))
        client.submit(group("held", k=2, max_tokens=90_000))
        client.submit(group("part", k=2, max_tokens=90_000))
        for _ in range(2):
            os.kill(client.worker_pid, signal.SIGKILL)
            while not any(isinstance(event, Restarted) for event in client.events(timeout=5)):
                pass
        client.submit(group("late", max_tokens=90_000))
        client.pause()  # the one that runs alone will not end
        for name in ("held", "part.1", "late"):
            client.cancel(name)
        ended: list[Finished] = []
        while len(ended) < 4:
            found = client.events(timeout=30)
            assert found, "it waits for the one that runs alone"
            ended += [event for event in found if isinstance(event, Finished)]
        assert [(end.sample, end.reason) for end in ended] == [
            (name, FinishReason.CANCELLED) for name in ("held.0", "held.1", "part.1", "late.0")
        ]
        assert client.in_flight == 2


def test_a_worker_that_comes_back_does_not_run_what_was_cancelled(tmp_path: Path) -> None:
    with engine(tmp_path, texts=["word " * 100_000], real_s=0.001) as client:
        client.submit(group("g", k=2, max_tokens=90_000))
        client.events(timeout=5)
        os.kill(client.worker_pid, signal.SIGKILL)
        client._process.wait()
        client.cancel("g")
        ends, restarts = collect(client)
    assert restarts == 1
    assert {end.reason for end in ends.values()} == {FinishReason.CANCELLED}


def test_nothing_is_left_of_a_client_that_is_closed_while_more_steps_wait_than_the_queue_holds(
    tmp_path: Path,
) -> None:
    before = threading.active_count()
    with engine(tmp_path, parallel=1) as client:
        for i in range(QUEUED_STEPS):  # the start and the end of each come in a step of their own
            client.submit(group(f"g{i}"))
        while not client._inbox.full():
            time.sleep(0.01)
    assert threading.active_count() == before


def test_loading_ends_when_the_model_is_not_wanted_any_longer(tmp_path: Path) -> None:
    stopping = threading.Event()
    threading.Timer(0.2, stopping.set).start()
    with pytest.raises(Stopped):
        engine(tmp_path, stopping=stopping, load_s=HOUR_S)
    assert not children(WORKER)


def test_loading_again_after_a_death_ends_when_nobody_waits(tmp_path: Path) -> None:
    with engine(tmp_path, texts=["word " * 100_000], real_s=0.001) as client:
        client.submit(group("g", max_tokens=90_000))
        (tmp_path / "script.json").write_text(json.dumps({"load_s": HOUR_S}))
        os.kill(client.worker_pid, signal.SIGKILL)
        threading.Timer(0.2, client.stopping.set).start()
        with pytest.raises(Stopped):
            collect(client)
    assert not children(WORKER)


def test_a_model_that_cannot_be_loaded_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="script"):
        EngineClient(EngineSettings(backend="scripted", model="/nowhere"), log=tmp_path / "log")


def test_a_worker_that_dies_while_loading_is_unavailable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(isolated, "command", lambda module: [sys.executable, "-c", "raise SystemExit(3)"])
    with pytest.raises(Unavailable, match="died"):
        EngineClient(EngineSettings(backend="scripted", model="x"), log=tmp_path / "log")


def test_the_worker_ends_when_the_app_is_gone(tmp_path: Path) -> None:
    client = engine(tmp_path, texts=["word " * 100_000], real_s=0.001)
    client.submit(group("g", max_tokens=90_000))
    client.events(timeout=5)
    assert client._process.stdin is not None
    client._process.stdin.close()
    assert client._process.wait(timeout=60) == 0
    client.close()


def test_an_adapter_is_taken_and_taken_again_by_a_worker_that_is_started_again(tmp_path: Path) -> None:
    adapter = tmp_path / "adapter"
    adapter.write_text('{"steps": 1000000}')
    (tmp_path / "script.json").write_text('{"texts": ["learned", "old", "old", "old"]}')
    settings = EngineSettings(backend="scripted", model=str(tmp_path / "script.json"))
    with EngineClient(settings, tmp_path / "log") as engine:

        def said(name: str) -> set[str]:
            engine.submit(GroupRequest(name, "?", tuple(SampleRequest(f"{name}{i}", i) for i in range(1, 4))))
            found: list[str] = []
            while len(found) < 3:
                found += [event.text for event in engine.events(timeout=5) if isinstance(event, Finished)]
            return set(found)

        assert said("a") == {"old"}
        engine.set_adapter(adapter)
        assert said("b") == {"learned"}
        engine._process.kill()
        assert said("c") == {"learned"}
        engine.set_adapter(None)
        assert said("d") == {"old"}


def test_a_file_that_is_no_adapter_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "script.json").write_text("{}")
    settings = EngineSettings(backend="scripted", model=str(tmp_path / "script.json"))
    with EngineClient(settings, tmp_path / "log") as engine:
        engine.set_adapter(tmp_path / "script.json")
        with pytest.raises(UsageError, match=r"script\.json is no adapter"):
            engine.events(timeout=5)
