"""Will the trainer fit beside the engine: how it keeps the weights, and how many tokens a pass may take.

Memory = weights + adapter with its gradient and AdamW's two moments + activations + the output layer. Weights
and adapter follow exactly from the file; activations are counted as the forward pass of `train.torch.model`
keeps them (of smollm2-135m 1.97 MB a token; 1.99 were measured). All in bytes unless a name says otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from localrl import formats
from localrl.catalog import fit, gguf, shape
from localrl.errors import Unavailable
from localrl.machine import hardware
from localrl.train.architecture import LINEAR, of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from localrl.catalog.gguf_header import Header
    from localrl.engine.protocol import EngineSettings
    from localrl.train.architecture import Architecture
    from localrl.train.trainer import TrainerSettings

F32 = 4
OPTIMISER = 4 * F32
"""A trained value, its gradient and AdamW's two moments."""
LIBRARY = 450 << 20
"""What torch itself takes."""
OUTPUT_SLICE = 8192
"""Vocabulary entries at a time: `train.torch.output.SLICE`."""
DENSE_SHARE = 0.25
"""Weights are kept as numbers where they take no more than this of the memory: that is faster."""
PASSES = {"cpu": (256,), "cuda": (8192, 4096, 2048, 1024, 512)}
"""Tokens of a pass, the most first: a processor gains nothing from more."""


@dataclass(frozen=True, slots=True)
class TrainerFit:
    """How a trainer is set up, and what it takes."""

    packed: bool
    checkpoint: bool
    micro_tokens: int
    weights: int
    adapter: int
    passes: int
    """Activations and output layer of the largest pass."""

    @property
    def total(self) -> int:
        return LIBRARY + self.weights + self.adapter + self.passes

    def __str__(self) -> str:
        kept = "in the file's blocks" if self.packed else "as numbers"
        again = ", activations computed twice" if self.checkpoint else ""
        passes = f"passes of {self.micro_tokens:,} tokens {formats.size(self.passes)}{again}"
        weights = f"weights {kept} {formats.size(self.weights)}"
        total, adapter = formats.size(self.total), formats.size(self.adapter)
        return f"the trainer takes up to {total}: {weights}, adapter {adapter}, {passes}"


def plan(header: Header, settings: TrainerSettings, *, free: int, device: str) -> TrainerFit:
    """Choose the fastest way that fits; what the settings say is kept.

    Args:
        free: bytes beside the engine.
        device: `cpu` or `cuda`.

    Raises:
        UsageError: this model cannot be trained.
        Unavailable: nothing fits, with what to lower.
    """
    architecture = of(header)
    adapter = OPTIMISER * architecture.adapter_weights(settings.rank)
    for packed, checkpoint, tokens in _ways(settings, device):
        weights = _weights(header, device, packed=packed)
        passes = _pass(architecture, settings, tokens, device, checkpoint=checkpoint)
        found = TrainerFit(packed, checkpoint, tokens, weights, adapter, passes)
        if found.total <= free and (packed or weights <= DENSE_SHARE * free or settings.packed is False):
            return found
    raise Unavailable(
        f"training needs {formats.size(found.total)} beside the engine; {formats.size(free)} are free",
        hint="lower --max-tokens, --rank or --ctx, or take a smaller model",
    )


def beside(engine: EngineSettings, settings: TrainerSettings) -> TrainerFit:
    """What a trainer will be beside an engine that is not loaded yet.

    Raises:
        UsageError, Unavailable: as `plan`.
    """
    header, machine = gguf.preflight(Path(engine.model)), hardware.here()
    used = fit.plan(
        shape.from_header(header),
        machine,
        tokens_per_stream=engine.tokens_per_stream,
        context=engine.context,
        streams=engine.parallel or fit.STREAMS,
    )
    device = "cuda" if machine.kind == "cuda" else "cpu"
    return plan(header, settings, free=machine.usable_bytes - used.memory.total, device=device)


def _ways(settings: TrainerSettings, device: str) -> Iterator[tuple[bool, bool, int]]:
    """Packed, checkpoint and tokens of a pass: the fastest first, the smallest last."""
    for packed in (False, True) if settings.packed is None else (settings.packed,):
        for checkpoint in (False, True) if settings.checkpoint is None else (settings.checkpoint,):
            for tokens in PASSES[device] if settings.micro_tokens is None else (settings.micro_tokens,):
                yield packed, checkpoint, tokens


def _weights(header: Header, device: str, *, packed: bool) -> int:
    if packed:
        return header.weight_bytes
    kept = F32 if device == "cpu" else F32 // 2
    return kept * header.parameters


def _pass(a: Architecture, settings: TrainerSettings, tokens: int, device: str, *, checkpoint: bool) -> int:
    """The most that a forward and backward pass keeps at once; a single long sample may exceed `tokens`."""
    tokens = max(tokens, settings.prompt_tokens + settings.sample_tokens)
    number = F32 if device == "cpu" else F32 // 2
    queries, keys = a.heads * a.head_size, a.kv_heads * a.head_size
    a_token = number * (4 * a.embedding + 6 * queries + 6 * keys + 5 * a.feed_forward)
    a_token += number * len(LINEAR) * settings.rank + 3 * F32 * a.embedding
    copies = settings.samples * settings.prompt_tokens  # a prompt's keys and values stand before each sample
    block = tokens * a_token + copies * 2 * number * keys
    slice_bytes = 3 * F32 * min(OUTPUT_SLICE, a.vocabulary) * tokens + F32 * OUTPUT_SLICE * a.embedding
    dequantised = F32 * max(outputs * inputs for outputs, inputs in map(a.shape, LINEAR))
    if checkpoint:
        return a.layers * tokens * F32 * a.embedding + block + slice_bytes + dequantised
    return a.layers * block + slice_bytes + dequantised
