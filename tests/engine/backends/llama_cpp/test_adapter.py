"""Adapters in llama.cpp: after a swap or a death the engine is as one that never knew another adapter."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import numpy as np
import pytest

from localrl.engine.backends.llama_cpp.device import LlamaDevice
from localrl.engine.client import EngineClient, Restarted
from localrl.engine.protocol import EngineSettings, Finished, GroupRequest, SampleRequest
from localrl.engine.scheduler import Scheduler
from localrl.errors import UsageError
from localrl.sampling import Sampling
from localrl.train.adapter import Adapter
from tests.engine import tiny

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

PROMPTS = ["the first of two prompts " * 4, "the first of two prompts " * 3 + "that differ"]
GREEDY = Sampling(temperature=0.0, max_tokens=16)


def write_adapter(path: Path, seed: int, architecture: str = "llama", rank: int = 4) -> Path:
    """Random factors on every attention layer of the tiny model."""
    random = np.random.default_rng(seed)
    shapes = {"attn_q": tiny.EMBEDDING, "attn_v": tiny.KV_HEADS * tiny.HEAD_SIZE}
    factors = {
        f"blk.{layer}.{name}": (
            random.normal(0, 0.3, (rank, tiny.EMBEDDING)).astype(np.float32),
            random.normal(0, 0.3, (outputs, rank)).astype(np.float32),
        )
        for layer in range(tiny.LAYERS)
        for name, outputs in shapes.items()
    }
    Adapter(architecture, 8.0, factors).write(path)
    return path


def groups() -> list[GroupRequest]:
    return [
        GroupRequest(f"g{i}", text, (SampleRequest(f"g{i}.0", 1),), GREEDY, loop_guard=False, logprobs=0)
        for i, text in enumerate(PROMPTS)
    ]


def load(model: Path) -> Scheduler:
    return Scheduler(LlamaDevice(EngineSettings(model=str(model), context=1024, cache_type="f16")), 4)


def said(backend: Scheduler) -> list[list[tuple[int, float]]]:
    """The greedy tokens of each prompt with their log-probabilities, one prompt after the other."""
    found: list[list[tuple[int, float]]] = []
    for group in groups():
        backend.submit(group)
        while backend.busy:
            found += [tokens_of(event) for event in backend.step() if isinstance(event, Finished)]
    return found


def tokens_of(end: Finished) -> list[tuple[int, float]]:
    return [(each.id, each.logprob or 0.0) for each in end.logprobs]


def same(a: list[list[tuple[int, float]]], b: list[list[tuple[int, float]]]) -> bool:
    return all(
        [token for token, _ in x] == [token for token, _ in y]
        and np.allclose([value for _, value in x], [value for _, value in y], atol=1e-3)
        for x, y in zip(a, b, strict=True)
    )


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.write_gguf(tmp_path_factory.mktemp("model") / "tiny.gguf")


def test_after_a_swap_log_probabilities_are_those_of_a_fresh_engine(model: Path, tmp_path: Path) -> None:
    adapters = [None, *(str(write_adapter(tmp_path / f"{seed}.gguf", seed)) for seed in (1, 2))]
    fresh = []
    for adapter in adapters:
        backend = load(model)
        backend.set_adapter(adapter)
        fresh.append(said(backend))
        backend.close()
    assert not any(same(fresh[i], fresh[j]) for i, j in ((0, 1), (1, 2), (2, 0)))
    backend = load(model)
    for index in (0, 1, 0, 2, 1, 1):
        backend.set_adapter(adapters[index])
        assert same(said(backend), fresh[index])
    backend.close()


def test_a_worker_that_died_comes_back_with_its_adapter(model: Path, tmp_path: Path) -> None:
    first, second = (write_adapter(tmp_path / f"{seed}.gguf", seed) for seed in (1, 2))
    backend = load(model)
    backend.set_adapter(str(second))
    expected = said(backend)
    backend.close()
    settings = EngineSettings(model=str(model), context=1024, cache_type="f16", adapter=str(first))
    with EngineClient(settings, tmp_path / "log") as engine:
        engine.set_adapter(second)
        os.kill(engine.worker_pid, signal.SIGKILL)
        found, restarts = [], 0
        for group in groups():
            engine.submit(group)
            while engine.in_flight:
                events = engine.events(timeout=60)
                restarts += sum(isinstance(event, Restarted) for event in events)
                found += [tokens_of(event) for event in events if isinstance(event, Finished)]
    assert restarts == 1
    assert same(found, expected)


def test_what_is_no_adapter_of_this_model_is_refused_in_one_line(model: Path, tmp_path: Path) -> None:
    other = Adapter(
        "llama", 8.0, {"blk.0.attn_q": (np.ones((2, 32), np.float32), np.ones((32, 2), np.float32))}
    )
    other.write(tmp_path / "shape.gguf")
    write_adapter(tmp_path / "qwen.gguf", 1, architecture="qwen2")
    backend = load(model)
    for path, words in (
        (model, "no LoRA adapter; make one"),
        (tmp_path / "qwen.gguf", "for 'qwen2', not for 'llama'"),
        (tmp_path / "shape.gguf", "no adapter of this model"),
        (tmp_path / "none.gguf", "cannot read"),
    ):
        with pytest.raises(UsageError, match=words):
            backend.set_adapter(str(path))
    backend.close()
