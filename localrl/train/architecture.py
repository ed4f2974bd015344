"""Which models can be trained, and what their forward pass needs, read from a GGUF header without torch."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from localrl.errors import UsageError

if TYPE_CHECKING:
    from localrl.catalog.gguf_header import Header

ROPE_OF_NEIGHBOURS = {"llama": True, "qwen2": False, "qwen3": False}
"""Architectures that can be trained, and whether llama.cpp rotates neighbouring values of a head (else those
half a head apart, as Hugging Face does: converting `llama` permutes the rows of q and k)."""
LINEAR = ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down")
"""The linear layers of a block, by GGUF's names: what an adapter adapts."""
_BLOCK = re.compile(
    rf"blk\.\d+\.(?:(?:{'|'.join(LINEAR)}|attn_norm|ffn_norm|attn_q_norm|attn_k_norm)\.weight"
    r"|attn_(?:q|k|v|output)\.bias)"
)
_OUTSIDE = {"token_embd.weight", "output_norm.weight", "output.weight", "rope_freqs.weight"}


@dataclass(frozen=True, slots=True)
class Architecture:
    """A dense transformer decoder with grouped-query attention, RMS norm, RoPE and SwiGLU."""

    name: str
    layers: int
    embedding: int
    heads: int
    kv_heads: int
    head_size: int
    feed_forward: int
    vocabulary: int
    norm_epsilon: float
    rope_base: float
    rope_scale: float
    """Positions are divided by it."""
    rope_of_neighbours: bool

    def shape(self, linear: str) -> tuple[int, int]:
        """Outputs and inputs of one of `LINEAR`."""
        queries, keys = self.heads * self.head_size, self.kv_heads * self.head_size
        return {
            "attn_q": (queries, self.embedding),
            "attn_k": (keys, self.embedding),
            "attn_v": (keys, self.embedding),
            "attn_output": (self.embedding, queries),
            "ffn_gate": (self.feed_forward, self.embedding),
            "ffn_up": (self.feed_forward, self.embedding),
            "ffn_down": (self.embedding, self.feed_forward),
        }[linear]

    @property
    def linear_weights(self) -> int:
        """Of all blocks."""
        shapes = (self.shape(linear) for linear in LINEAR)
        return self.layers * sum(outputs * inputs for outputs, inputs in shapes)

    def adapter_weights(self, rank: int) -> int:
        """Trained values of an adapter of this rank."""
        return self.layers * rank * sum(sum(self.shape(linear)) for linear in LINEAR)


def of(header: Header) -> Architecture:
    """
    Raises:
        UsageError: this model cannot be trained, in one line that says what about it.
    """
    name = header.architecture
    if name not in ROPE_OF_NEIGHBOURS:
        known = ", ".join(ROPE_OF_NEIGHBOURS)
        raise UsageError(f"the architecture {name!r} cannot be trained", hint=f"take a model of {known}")
    for tensor in header.tensors:
        if tensor.name not in _OUTSIDE and not _BLOCK.fullmatch(tensor.name):
            raise UsageError(f"{header.name} cannot be trained: it has the tensor {tensor.name}")
    embedding, heads = header.number("embedding_length"), header.number("attention.head_count")
    if not heads or not embedding:
        raise UsageError(f"{header.name} cannot be trained: its layers differ in their heads")
    head_size = header.number("attention.key_length", embedding // heads)
    found = Architecture(
        name=name,
        layers=header.number("block_count"),
        embedding=embedding,
        heads=heads,
        kv_heads=header.number("attention.head_count_kv", heads),
        head_size=head_size,
        feed_forward=header.number("feed_forward_length"),
        vocabulary=header.vocabulary,
        norm_epsilon=_real(header, "attention.layer_norm_rms_epsilon", 1e-5),
        rope_base=_real(header, "rope.freq_base", 10_000.0),
        rope_scale=_rope_scale(header),
        rope_of_neighbours=ROPE_OF_NEIGHBOURS[name],
    )
    if header.number("rope.dimension_count", head_size) != head_size:
        raise UsageError(f"{header.name} cannot be trained: RoPE turns only a part of its heads")
    _check_shapes(header, found)
    return found


def _real(header: Header, key: str, default: float) -> float:
    value = header.metadata.get(f"{header.architecture}.{key}", default)
    return float(value) if isinstance(value, int | float) else default


def _rope_scale(header: Header) -> float:
    kind = header.text(f"{header.architecture}.rope.scaling.type") or "none"
    if kind not in ("none", "linear"):
        raise UsageError(f"{header.name} cannot be trained: its RoPE is scaled by {kind!r}")
    return _real(header, "rope.scaling.factor", 1.0) if kind == "linear" else 1.0


def _check_shapes(header: Header, found: Architecture) -> None:
    tensors = {tensor.name: tensor for tensor in header.tensors}
    for layer in range(found.layers):
        for linear in LINEAR:
            name = f"blk.{layer}.{linear}.weight"
            outputs, inputs = found.shape(linear)
            if name not in tensors or tensors[name].shape != (inputs, outputs):
                raise UsageError(f"{header.name} cannot be trained: {name} is not {outputs} × {inputs}")
