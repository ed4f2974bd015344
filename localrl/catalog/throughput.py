"""How fast a plan will decode: an estimate, and called one.

One stream reads every active weight and its own cache for each token, so its ceiling is bandwidth over bytes
read; devices reach a part of it. Many streams share the reading of the weights. The parts and the gains were
measured by others: llama.cpp's `benches/` (DGX Spark and M2 Ultra, 7B Q8 at 4 to 32 streams), the RTX 4090's
82 % on a 14B model, 73 % of an M2 Ultra with MLX; for the CPU, SmolLM2's two-fold gain at 16 streams. Cards
with more bandwidth than their kernels use are bounded by what an H200 was measured at.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from localrl.catalog.shape import Shape
    from localrl.machine.devices import Kind
    from localrl.machine.hardware import Machine

REACHED: dict[Kind, float] = {"cuda": 0.82, "metal": 0.75, "cpu": 0.6}
"""Part of the memory bandwidth that decoding one stream reaches."""
REACHED_SPARSE = 0.54
"""The same for large mixtures of experts (R1 671B on an M3 Ultra)."""
SPARSE = 0.25
"""Models that read less than this part of their weights for a token count as sparse."""
GAINS: dict[Kind, dict[int, float]] = {
    "cuda": {1: 1, 4: 3.6, 8: 6.7, 16: 11.4, 32: 20},
    "metal": {1: 1, 4: 2.8, 8: 3.3, 16: 4.1, 32: 7.8},
    "cpu": {1: 1, 16: 2},
}
"""Tokens a second of so many streams together, against one stream's."""
KERNELS: dict[int, float] = {1: 1.12e12, 8: 0.43e12, 16: 0.42e12, 32: 0.31e12}
"""Bytes a second of 4-bit weights that CUDA's kernels work through at so many streams (H200, 7B)."""
LAYER_S = 45e-6
"""What a layer takes on CUDA, however small it is (H200, SmolLM2-135M: 709 to 809 tokens/s)."""


@dataclass(frozen=True, slots=True)
class Throughput:
    """Tokens a second: of one stream alone, and of all streams together."""

    single: float
    together: float


def expect(shape: Shape, machine: Machine, streams: int, tokens: int, cache_type: str) -> Throughput | None:
    """Throughput at half the length `tokens`, or None where the bandwidth is unknown."""
    if not machine.bandwidth:
        return None
    sparse = machine.kind != "cpu" and shape.active_bytes < SPARSE * shape.weight_bytes
    rate = machine.bandwidth * (REACHED_SPARSE if sparse else REACHED[machine.kind])
    cache = shape.cache_bytes(max(1, tokens // 2), cache_type) + shape.state_bytes
    weights = shape.active_bytes
    single = 1 / max((weights + cache) / rate, _kernels_s(shape, machine.kind, 1))
    step = (weights * streams / _between(GAINS[machine.kind], streams) + cache * streams) / rate
    step = max(step, _kernels_s(shape, machine.kind, streams))
    return Throughput(single, max(single, streams / step))


def _kernels_s(shape: Shape, kind: Kind, streams: int) -> float:
    """The least seconds of a step that the kernels need, whatever the memory gives."""
    if kind != "cuda":
        return 0.0
    return max(shape.active_bytes / _between(KERNELS, streams), shape.layers * LAYER_S)


def _between(points: dict[int, float], streams: int) -> float:
    """The value between measured points, on a log scale; the last beyond them."""
    measured = sorted(points.items())
    for (low, at_low), (high, at_high) in pairwise(measured):
        if low <= streams <= high:
            share = math.log(streams / low) / math.log(high / low)
            return float(at_low * (at_high / at_low) ** share)
    return float(measured[-1][1])
