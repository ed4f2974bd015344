"""Will it fit, and with how much cache: the plan that the engine follows and `models fit` shows.

Memory = weights + KV cache + compute buffers. Weights and cache follow exactly from the model's shape; the
compute buffers are estimated from the two widest moments of a forward pass, or measured by llama.cpp itself
without allocating anything (`measure`). All in bytes unless a name says otherwise.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from localrl import formats
from localrl.catalog.ggml import CACHE_TYPES

if TYPE_CHECKING:
    from localrl.catalog.shape import Shape
    from localrl.machine.hardware import Machine

Verdict = Literal["fits", "tight", "no"]
Measure = Callable[[int, str, int], int]
"""(cells, cache type, gpu layers) -> bytes of compute buffers on the device, as llama.cpp says."""

BATCH_TOKENS = 512
"""Tokens in one forward pass of the engine."""
OUTPUT_ROWS = 256
"""Rows of logits that the engine asks for in one pass, one a sequence."""
STREAMS = 32
"""Streams that a plan makes room for where memory allows."""
ENOUGH_STREAMS = 4
"""With room for so many streams, a more exact cache is preferred to more streams."""
SEQUENCES = 256
"""llama.cpp's own limit of sequences, which the engine makes use of."""
RECURRENT_STREAMS = 16
"""The same for models whose every stream keeps a state of fixed size, used or not."""
SPARE_SEQUENCES = 10
"""Sequences that the engine makes beyond its streams: prompts that are shared."""
STEP = 256
"""llama.cpp rounds the number of cells up to a multiple of this."""
LEAST_CELLS = 2048
"""Less cache than this is of no use to a model that reasons."""


@dataclass(frozen=True, slots=True)
class MemoryUse:
    weights: int
    cache: int
    compute: int
    state: int = 0

    @property
    def total(self) -> int:
        return self.weights + self.cache + self.compute + self.state


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run a model with on a machine."""

    verdict: Verdict
    reason: str
    context: int
    """KV cells in all, over all streams."""
    cache_type: str
    gpu_layers: int
    """Layers on the accelerator, the output layer counted; -1 is all of them."""
    streams: int
    """Streams of the asked length that have room at once; at least 1."""
    memory: MemoryUse
    usable_bytes: int
    cells: dict[str, int]
    """For each cache type, the cells that would fit."""
    measured: bool
    """Whether llama.cpp itself gave the compute buffers."""


def plan(
    shape: Shape,
    machine: Machine,
    *,
    tokens_per_stream: int = 4096,
    context: int | None = None,
    cache_type: str | None = None,
    gpu_layers: int | None = None,
    streams: int = STREAMS,
    measure: Measure | None = None,
) -> Plan:
    """Choose context, cache type and layers; what the caller names is kept.

    Args:
        tokens_per_stream: the length that a stream must be able to reach, its prompt included.
        streams: how many of them to make room for, if memory allows.
        measure: asks llama.cpp for the size of its compute buffers.
    """
    separate = machine.kind == "cuda"
    layers = -1 if gpu_layers is None else gpu_layers
    weights = shape.device_weights(separate=separate)
    state = shape.state_bytes * sequences(shape)
    if state:
        streams = min(streams, RECURRENT_STREAMS)
    wanted = _round_up(streams * tokens_per_stream)

    left = machine.usable_bytes - weights - state
    cells = {kind: _room(shape, left, kind) for kind in CACHE_TYPES}
    chosen = cache_type or _cache_type(cells, tokens_per_stream)
    if measure:  # once, because it takes a second: at the size that the estimate chose
        asked = context or max(STEP, min(cells[chosen], wanted))
        buffers = measure(_round_up(asked), chosen, layers)
        cells = {kind: _cells_in(left - buffers, shape, kind) for kind in CACHE_TYPES}
        chosen = cache_type or _cache_type(cells, tokens_per_stream)
    usable = cells[chosen]
    size = context or max(STEP, min(usable, wanted) // STEP * STEP)
    compute = buffers if measure else compute_bytes(shape, size)
    memory = MemoryUse(weights, shape.cache_bytes(size, chosen), compute, state)
    if usable < LEAST_CELLS and gpu_layers is None and machine.kind != "cpu":
        layers = _layers_that_fit(shape, machine, memory)
        size = context or max(STEP, min(_round_up(tokens_per_stream), wanted))
    verdict, reason = _judge(shape, machine, cells, chosen, memory.total, tokens_per_stream)
    return Plan(
        verdict=verdict,
        reason=reason,
        context=size,
        cache_type=chosen,
        gpu_layers=layers,
        streams=max(1, min(streams, size // tokens_per_stream)),
        memory=memory,
        usable_bytes=machine.usable_bytes,
        cells=cells,
        measured=measure is not None,
    )


def sequences(shape: Shape) -> int:
    """The engine's `n_seq_max` for a model: fewer where each sequence keeps a state, used or not."""
    return RECURRENT_STREAMS + SPARE_SEQUENCES if shape.state_bytes else SEQUENCES


def compute_bytes(shape: Shape, cells: int, batch: int = BATCH_TOKENS, outputs: int = BATCH_TOKENS) -> int:
    """Compute buffers with flash attention: the wider of one layer's pass and the logits.

    As llama.cpp does where nobody says how many, it counts a row of logits for each token of the batch.

    logits: outputs · (vocabulary + embedding) · 4
    layer:  batch · (mask of f16 over the cells + 4 · (gate and up + two residual streams))
    """
    logits = outputs * (shape.vocabulary + shape.embedding) * 4
    layer = batch * (2 * cells + 4 * (2 * shape.feed_forward + 2 * shape.embedding))
    return max(logits, layer)


def _room(shape: Shape, left: int, kind: str) -> int:
    """Cells that fit; the compute buffers depend on them, so correct a first guess once."""
    guess = _cells_in(left - compute_bytes(shape, LEAST_CELLS), shape, kind)
    return _cells_in(left - compute_bytes(shape, guess), shape, kind)


def _cells_in(left: int, shape: Shape, kind: str) -> int:
    """How many tokens of cache `left` bytes hold; models without a cache are bounded by their training."""
    if kind != "f16" and not shape.whole_blocks:
        return 0
    thousand = shape.cache_bytes(1024, kind)
    if not thousand:
        return max(shape.context_length, LEAST_CELLS) * STREAMS if left > 0 else 0
    return max(0, left * 1024 // thousand)


def _cache_type(cells: dict[str, int], tokens_per_stream: int) -> str:
    """The most exact type with room for several streams; failing that for one; else the smallest."""
    for streams in (ENOUGH_STREAMS, 1):
        for kind in CACHE_TYPES:
            if cells[kind] >= streams * tokens_per_stream:
                return kind
    return [kind for kind in CACHE_TYPES if cells[kind] > 0 or kind == "f16"][-1]


def _layers_that_fit(shape: Shape, machine: Machine, memory: MemoryUse) -> int:
    """Layers that go to the accelerator when not all of them can."""
    a_layer = (shape.device_weights(separate=True) + memory.cache) // max(1, shape.layers)
    left = machine.usable_bytes - memory.compute - memory.state
    return max(0, min(shape.layers, left // max(1, a_layer)))


def _judge(
    shape: Shape, machine: Machine, cells: dict[str, int], chosen: str, total: int, tokens_per_stream: int
) -> tuple[Verdict, str]:
    best = max(cells.values())
    if best < LEAST_CELLS:
        over, usable = shape.weight_bytes - machine.usable_bytes, formats.size(machine.usable_bytes)
        what = (
            f"its weights alone exceed the usable {usable} by {formats.size(over)}"
            if over > 0
            else f"no room is left for a cache in the usable {usable}"
        )
        if machine.raisable_bytes > total:
            return "tight", f"{what}, unless the wired limit is raised: {raise_hint(machine)}"
        return "no", what
    if best < tokens_per_stream:
        return "tight", f"room for {best:,} tokens in all, less than one stream of {tokens_per_stream:,}"
    exact = next(kind for kind in CACHE_TYPES if cells[kind] >= tokens_per_stream)
    if exact != CACHE_TYPES[0]:
        return "tight", f"one stream of {tokens_per_stream:,} tokens only fits with a {exact} cache"
    return "fits", f"{cells[chosen]:,} tokens of {chosen} cache over all streams"


def raise_hint(machine: Machine) -> str:
    """The command that lets a Mac's GPU use more of its memory (macOS 15 and later)."""
    return f"sudo sysctl iogpu.wired_limit_mb={machine.raisable_bytes >> 20}"


def _round_up(cells: int) -> int:
    return -(-cells // STEP) * STEP
