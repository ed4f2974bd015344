"""What a trainer takes, and how it is made smaller where memory is short."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from localrl.catalog import gguf
from localrl.errors import Unavailable
from localrl.train import memory
from localrl.train.trainer import TrainerSettings
from tests.engine.tiny import write_gguf

if TYPE_CHECKING:
    from localrl.catalog.gguf_header import Header

SETTINGS = TrainerSettings("", rank=4, prompt_tokens=16, sample_tokens=16)


@pytest.fixture(scope="module")
def header(tmp_path_factory: pytest.TempPathFactory) -> Header:
    return gguf.preflight(write_gguf(tmp_path_factory.mktemp("model") / "tiny.gguf", kind="Q4_0"))


def test_with_less_memory_the_trainer_takes_less_until_nothing_fits(header: Header) -> None:
    found = [memory.plan(header, SETTINGS, free=64 << 30, device="cuda")]
    assert (found[0].packed, found[0].checkpoint, found[0].micro_tokens) == (False, False, 8192)
    while (found[-1].packed, found[-1].checkpoint, found[-1].micro_tokens) != (True, True, 512):
        found.append(memory.plan(header, SETTINGS, free=found[-1].total - 1, device="cuda"))
        assert found[-1].total < found[-2].total
    with pytest.raises(Unavailable, match="lower --max-tokens"):
        memory.plan(header, SETTINGS, free=found[-1].total - 1, device="cuda")


def test_what_the_settings_say_is_kept(header: Header) -> None:
    settings = TrainerSettings("", rank=4, packed=True, checkpoint=True, micro_tokens=77)
    found = memory.plan(header, settings, free=64 << 30, device="cpu")
    assert (found.packed, found.checkpoint, found.micro_tokens) == (True, True, 77)


def test_weights_and_adapter_follow_from_the_file(header: Header) -> None:
    packed = memory.plan(header, TrainerSettings("", rank=4, packed=True), free=64 << 30, device="cpu")
    dense = memory.plan(header, TrainerSettings("", rank=4, packed=False), free=64 << 30, device="cpu")
    assert (packed.weights, dense.weights) == (header.weight_bytes, 4 * header.parameters)
    q, kv, o, up = 64 + 64, 64 + 32, 64 + 64, 64 + 128
    assert packed.adapter == 16 * 2 * 4 * (q + 2 * kv + o + 3 * up)
