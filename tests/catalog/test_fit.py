"""What fits is predicted as llama.cpp then allocates it, and published figures are met."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from localrl.catalog import assess, fit, gguf, shape, throughput
from localrl.catalog import card as cards
from localrl.catalog.shape import Shape
from localrl.engine.backends.llama_cpp import allocation
from localrl.errors import UsageError
from localrl.machine import devices, hardware

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    TinyGguf = Callable[..., Path]

MIB = 1 << 20

SHAPES: dict[str, dict[str, Any]] = {
    "llama": {"vocabulary": 8192, "layers": 4, "embedding": 256, "heads": 8, "feed_forward": 512},
    "qwen2": {"vocabulary": 16384, "layers": 6, "embedding": 384, "heads": 6, "head_size": 64},
    "qwen3": {
        "vocabulary": 12000,
        "layers": 3,
        "embedding": 512,
        "kv_heads": 4,
        "head_size": 128,
        "tied": True,
    },
    "qwen3moe": {
        "vocabulary": 9000,
        "embedding": 256,
        "head_size": 64,
        "feed_forward": 192,
        "experts": 16,
        "experts_used": 4,
    },
    "gemma3": {
        "vocabulary": 9000,
        "layers": 6,
        "embedding": 256,
        "head_size": 64,
        "window": 128,
        "tied": True,
    },
}

SHAPES["qwen35"] = {"vocabulary": 9000, "layers": 8, "embedding": 256, "head_size": 64}
SHAPES["deepseek2"] = {"vocabulary": 9000, "layers": 3, "embedding": 256, "kv_heads": 1}

QWQ = Shape(
    name="QwQ-32B",
    quantisation="Q4_K_M",
    layers=64,
    embedding=5120,
    feed_forward=27_648,
    vocabulary=152_064,
    context_length=131_072,
    kv_widths=((1024, 1024),) * 64,
    weight_bytes=18_508 * MIB + 152_064 * 5120 * 144 // 256,
    embedding_bytes=152_064 * 5120 * 144 // 256,
    tied=False,
    active_bytes=18_508 * MIB,
)


def test_the_reason_counts_the_cells_of_the_cache_that_is_planned() -> None:
    plans = [fit.plan(QWQ, hardware.describe("rtx-4090"), tokens_per_stream=n) for n in (4096, 6144, 8192)]
    assert [plan.cache_type for plan in plans] == ["f16", "q8_0", "q4_0"]
    for plan in plans:
        assert plan.verdict == "fits"
        assert (
            plan.reason
            == f"{plan.cells[plan.cache_type]:,} tokens of {plan.cache_type} cache over all streams"
        )


@pytest.mark.process
@pytest.mark.parametrize("cache_type", ["f16", "q8_0", "q4_0"])
@pytest.mark.parametrize("name", ["starter", *SHAPES])
def test_the_prediction_is_what_llama_cpp_allocates(
    tiny_gguf: TinyGguf, starter_file: Path, name: str, cache_type: str
) -> None:
    path = starter_file if name == "starter" else tiny_gguf(f"fit-{name}", architecture=name, **SHAPES[name])
    described = shape.of(path)
    machine = hardware.cpu_only(hardware.describe(memory=8 << 30))
    sequences = fit.sequences(described)
    plan = fit.plan(
        described,
        machine,
        context=4096,
        cache_type=cache_type,
        measure=allocation.Measured(path, machine.kind, sequences),
    )
    question = allocation.Question(
        path=str(path),
        context=4096,
        cache_type=cache_type,
        sequences=sequences,
        outputs=min(sequences, fit.OUTPUT_ROWS),
        allocate=True,
    )
    real = allocation.measure(question)
    assert plan.memory.weights == pytest.approx(sum(real.weights.values()), rel=0.03)
    assert plan.memory.cache + plan.memory.state == pytest.approx(real.cache, rel=0.03)
    assert plan.memory.compute == pytest.approx(real.compute_on("cpu"), rel=0.03)


@pytest.mark.parametrize(("cache_type", "published"), [("f16", 16_900), ("q8_0", 31_900), ("q4_0", 60_000)])
def test_qwq_on_a_24_gb_rtx_4090_has_the_known_room(cache_type: str, published: int) -> None:
    machine = hardware.describe("rtx-4090")
    card = cards.load("qwq-32b").at("Q4_K_M")
    assert card is not None
    for model in (QWQ, card):
        plan = fit.plan(model, machine, tokens_per_stream=32_768)
        assert plan.cells[cache_type] == pytest.approx(published, rel=0.005)
        assert plan.memory.compute / MIB == pytest.approx(307, rel=0.003)
        assert plan.memory.weights / MIB == pytest.approx(18_508, rel=0.001)
        assert (plan.verdict, plan.cache_type, plan.gpu_layers) == ("tight", "q4_0", -1)


@pytest.mark.parametrize(
    ("widths", "layers", "f16", "q8_0", "q4_0"),
    [
        ((1024, 1024), 64, 262_144, 139_264, 73_728),
        ((1024, 1024), 48, 196_608, None, None),
        ((512, 512), 28, 57_344, None, None),
        ((256, 256), 28, 28_672, None, None),
        ((1024, 1024), 32, 131_072, None, None),
        ((1024, 1024), 80, 327_680, None, None),
        ((576, 0), 61, 70_272, None, None),
    ],
)
def test_bytes_a_token_are_the_published_ones(
    widths: tuple[int, int], layers: int, f16: int, q8_0: int | None, q4_0: int | None
) -> None:
    from dataclasses import replace

    model = replace(QWQ, kv_widths=(widths,) * layers)
    for kind, expected in (("f16", f16), ("q8_0", q8_0), ("q4_0", q4_0)):
        if expected:
            assert model.cache_bytes(1000, kind) == 1000 * expected


def test_a_model_too_large_names_the_reason_and_leaves_layers_out() -> None:
    plan = fit.plan(QWQ, hardware.describe("rtx-4070"))
    assert plan.verdict == "no"
    assert "exceed" in plan.reason
    assert 0 < plan.gpu_layers < QWQ.layers


def test_a_mac_is_told_how_to_raise_its_limit() -> None:
    plan = fit.plan(QWQ, hardware.describe("m4-pro 24GB"), tokens_per_stream=2048)
    assert plan.verdict in ("tight", "no")
    assert "iogpu.wired_limit_mb" in plan.reason


def test_more_memory_never_fits_less() -> None:
    rooms = [
        fit.plan(QWQ, hardware.describe(memory=size << 30)).cells["f16"] for size in (20, 24, 32, 48, 80)
    ]
    assert rooms == sorted(rooms)
    assert rooms[-1] > rooms[0]


def test_a_single_stream_is_bounded_by_bandwidth() -> None:
    machine = hardware.describe("rtx-4090")
    found = throughput.expect(QWQ, machine, streams=8, tokens=8192, cache_type="f16")
    assert found is not None
    assert 1008e9 / QWQ.active_bytes > found.single > 30
    assert found.single < found.together < 8 * found.single


def test_more_bandwidth_than_the_kernels_use_buys_nothing() -> None:
    def expected(bandwidth: float, streams: int) -> throughput.Throughput:
        machine = hardware.describe("h200", bandwidth=bandwidth)
        found = throughput.expect(QWQ, machine, streams=streams, tokens=8192, cache_type="f16")
        assert found is not None
        return found

    assert expected(1e12, 1).single < expected(2e12, 1).single <= expected(5e12, 1).single
    assert expected(5e12, 1).single == expected(9e12, 1).single
    assert expected(5e12, 1).single < expected(5e12, 8).together < expected(5e12, 32).together


def test_config_json_of_mlx_gives_the_same_shape() -> None:
    config = {
        "num_hidden_layers": 64,
        "hidden_size": 5120,
        "num_attention_heads": 40,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "intermediate_size": 27648,
        "vocab_size": 152064,
        "max_position_embeddings": 131072,
        "quantization": {"bits": 4, "group_size": 64},
    }
    found = shape.from_config("qwq", config, 18_433_000_000)
    assert found.cache_bytes(1, "f16") == 262_144
    assert found.quantisation == "4bit"


@pytest.mark.parametrize(
    ("words", "kind", "gib"),
    [
        ("rtx-4090", "cuda", 24),
        ("rtx4090", "cuda", 24),
        ("NVIDIA GeForce RTX 4070 Ti Super", "cuda", 16),
        ("m3-ultra 512GB", "metal", 512),
        ("Mac Studio M3 Ultra 512 GB", "metal", 512),
        ("M4 Pro 24 GB", "metal", 24),
    ],
)
def test_devices_are_known_by_their_common_names(words: str, kind: str, gib: int) -> None:
    machine = hardware.describe(words)
    assert (machine.kind, machine.memory_bytes >> 30) == (kind, gib)
    assert machine.usable_bytes < machine.memory_bytes


def test_an_unknown_device_names_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"did you mean 'rtx-4090'\?"):
        hardware.describe("rtx-4091")
    with pytest.raises(UsageError, match="how much memory has the M4 Pro"):
        hardware.describe("m4-pro")
    with pytest.raises(UsageError, match=r"did you mean 'm3-ultra'\?"):
        hardware.describe("m3-ulta 512GB")


@pytest.mark.parametrize("words", ["RTX 4090 laptop", "2x RTX 4090"])
def test_a_device_with_another_word_is_not_taken_for_the_plain_one(words: str) -> None:
    with pytest.raises(UsageError, match="no known device"):
        hardware.describe(words)


def test_a_notebook_card_does_not_get_the_bandwidth_of_its_namesake() -> None:
    assert devices.known("NVIDIA GeForce RTX 4090") is not None
    assert devices.known("NVIDIA GeForce RTX 4090 Laptop GPU") is None


def test_memory_without_its_unit_is_refused() -> None:
    with pytest.raises(UsageError, match="24 bytes of memory hold no model; write 24GiB"):
        hardware.describe(memory=hardware.parse_bytes("24"))


def test_a_whole_stream_goes_before_a_larger_quantisation() -> None:
    lines = assess.quantisations(cards.load("qwq-32b"), hardware.describe("rtx-4090"), assess.Workload())
    assert [line.shape.quantisation for line in lines[:2]] == ["Q4_K_M", "Q5_K_M"]


def test_this_machine_has_memory_and_cores() -> None:
    machine = hardware.probe()
    assert machine.usable_bytes > 0
    assert machine.cores >= 1


@pytest.mark.parametrize(("head_size", "whole"), [(16, False), (32, True), (128, True)])
def test_a_cache_is_quantised_only_where_heads_fill_whole_blocks(
    tiny_gguf: TinyGguf, head_size: int, whole: bool
) -> None:
    tiny = shape.from_header(gguf.preflight(tiny_gguf(f"head-{head_size}", head_size=head_size)))
    assert tiny.whole_blocks is whole
    assert [fit._cells_in(1 << 20, tiny, kind) > 0 for kind in ("f16", "q8_0", "q4_0")] == [
        True,
        whole,
        whole,
    ]
