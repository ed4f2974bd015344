"""Sequences in slots say what those in a unified cache say, wherever they are moved."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from localrl.engine.backends.llama_cpp.device import LlamaDevice
from localrl.engine.device import Batch
from localrl.engine.protocol import EngineSettings, Finished, FinishReason, GroupRequest, SampleRequest
from localrl.engine.scheduler import Scheduler
from localrl.sampling import Sampling
from tests.engine.tiny import write_gguf

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PROMPTS = [tuple(range(70 + i, 90 + 2 * i)) for i in range(6)]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_gguf(tmp_path_factory.mktemp("tiny") / "tiny.gguf", ends=0.2)


def device(model: Path, unified: bool, parallel: int | None = None, length: int = 256) -> LlamaDevice:
    settings = EngineSettings(
        model=str(model), parallel=parallel, context=2048, cache_type="f16", tokens_per_stream=length
    )
    return LlamaDevice(settings, unified=unified)


def logits(device: LlamaDevice, *runs: tuple[int, list[int], int]) -> list[np.ndarray]:
    """Compute (sequence, tokens, position) in one pass; the logits of each run's last token."""
    batch = Batch()
    for sequence, tokens, position in runs:
        batch.add(tokens, position, sequence, outputs=1)
    assert device.decode(batch)
    return [device.logits(row) for row in batch.outputs]


def history(device: LlamaDevice) -> Iterator[np.ndarray]:
    """Sequences that share, end in the middle and go on: the logits of every step."""
    prompt = list(PROMPTS[0])
    yield from logits(device, (0, prompt, 0))
    for sequence in (5, 2, 4):
        device.share(0, sequence, len(prompt) - sequence)
    yield from logits(device, *((s, [80 + s], len(prompt) - s) for s in (5, 2, 4)))
    device.truncate(0, 10)
    device.remove(2)
    for step in range(5):
        yield from logits(device, (4, [90 + step], len(prompt) - 3 + step), (0, [75 + step], 10 + step))
    device.share(4, 2, 7)
    yield from logits(device, (2, [99], 7), (5, [77, 78, 79], len(prompt) - 4))


def test_logits_are_those_of_one_pool(model: Path) -> None:
    pool, own = device(model, unified=True), device(model, unified=False)
    assert (pool.unified, own.unified) == (True, False)
    for expected, found in zip(history(pool), history(own), strict=True):
        assert np.allclose(found, expected, atol=1e-3)
    pool.close()
    own.close()


def ends(device: LlamaDevice, parallel: int | None, k: int) -> dict[str, Finished]:
    scheduler = Scheduler(device, parallel)
    sampling = Sampling(temperature=0.8, top_k=20, max_tokens=60)
    for i, prompt in enumerate(PROMPTS):
        samples = tuple(SampleRequest(f"{i}.{j}", seed=j) for j in range(k))
        scheduler.submit(GroupRequest(f"{i}", prompt, samples, sampling, loop_guard=False))
    found: dict[str, Finished] = {}
    while scheduler.busy:
        found.update({e.sample: e for e in scheduler.step() if isinstance(e, Finished)})
    scheduler.close()
    return found


@pytest.mark.slow
@pytest.mark.parametrize(("parallel", "k"), [(4, 1), (5, 7), (None, 3)])
def test_groups_end_with_the_texts_of_one_pool(model: Path, parallel: int | None, k: int) -> None:
    own = ends(device(model, False, parallel), parallel, k)
    pool = ends(device(model, True, parallel), parallel, k)
    assert len(own) == len(PROMPTS) * k
    assert all(e.reason in (FinishReason.STOP, FinishReason.LENGTH) for e in own.values())
    same = sum(own[name].text == pool[name].text for name in pool)
    assert same >= 0.9 * len(pool)
    if k > 1:
        shared = sum(e.shared_tokens for e in own.values())
        assert shared >= sum(len(prompt) for prompt in PROMPTS) * (k - 1)


def test_a_context_that_is_asked_for_is_used_whole(model: Path) -> None:
    wide = device(model, unified=False, parallel=4, length=256)
    assert not wide.unified
    assert (wide.longest, wide.cells) == (2048 // 6 // 256 * 256, 6 * 256)
    wide.close()
    one = LlamaDevice(
        EngineSettings(model=str(model), parallel=4, context=8192, tokens_per_stream=256), False
    )
    assert one.longest == 8192 // 6 // 256 * 256
    one.close()


def test_streams_that_do_not_fit_side_by_side_share_a_pool(model: Path) -> None:
    long = device(model, unified=False, length=1024)
    assert long.unified
    long.close()
    wide = device(model, unified=False, parallel=8)
    assert wide.unified
    wide.close()


@pytest.mark.slow
def test_a_text_ends_where_its_slot_does(model: Path) -> None:
    scheduler = Scheduler(device(model, unified=False), 4)
    sampling = Sampling(temperature=0.8, max_tokens=1000)
    scheduler.submit(
        GroupRequest("g", PROMPTS[0], (SampleRequest("s", 1),), sampling, loop_guard=False, ignore_end=True)
    )
    found: list[Finished] = []
    while scheduler.busy:
        found += [e for e in scheduler.step() if isinstance(e, Finished)]
    assert found[0].reason is FinishReason.CONTEXT
    assert found[0].prompt_tokens + found[0].answer_tokens == 256
    scheduler.close()


@pytest.mark.parametrize(
    ("settings", "unified"),
    [
        ({}, False),
        ({"aim": "latency"}, True),
        ({"longest_stream": None}, True),
        ({"longest_stream": 1500}, True),
        ({"parallel": 1}, True),
        ({"parallel": None}, False),
        ({"parallel": None, "context": 2048}, True),
    ],
    ids=["run", "person", "unknown length", "slot larger than the weights", "alone", "auto", "no room"],
)
def test_a_processor_does_with_slots_in_a_run_whose_streams_are_known_to_be_short(
    model: Path, settings: dict[str, Any], unified: bool
) -> None:
    usual: dict[str, Any] = {"parallel": 6, "longest_stream": 200, "aim": "throughput", "context": 16_384}
    made = LlamaDevice(EngineSettings(model=str(model), cache_type="f16", **{**usual, **settings}))
    assert made.unified is unified
    made.close()
