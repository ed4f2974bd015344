"""What a model's memory and speed follow from: layers, heads, widths and where its bytes are.

Read from a GGUF header, from an MLX folder's `config.json`, or from a card.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from localrl.catalog import gguf
from localrl.catalog.ggml import BY_NAME
from localrl.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from localrl.catalog.gguf_header import Header

BLOCK = 32
"""Values in one block of q8_0 and q4_0."""


@dataclass(frozen=True, slots=True)
class Shape:
    """One model at one quantisation. Widths are in elements, sizes in bytes."""

    name: str
    quantisation: str
    layers: int
    embedding: int
    feed_forward: int
    """Width of the part of the feed-forward that one token uses; for experts, of all that are used."""
    vocabulary: int
    context_length: int
    """Tokens that the model was trained for; 0 where unknown."""
    kv_widths: tuple[tuple[int, int], ...]
    """Widths of K and V for each layer that keeps them; MLA keeps one shared K and no V."""
    weight_bytes: int
    embedding_bytes: int
    """Of the token embedding, which llama.cpp leaves in main memory."""
    tied: bool
    """Whether the output layer is the token embedding again, which then is held twice."""
    active_bytes: int
    """Weights read to make one token."""
    state_bytes: int = 0
    """A sequence's recurrent state."""
    whole_blocks: bool = True
    """Whether a head fills whole blocks of 32 values, as a quantised cache needs."""

    def cache_bytes(self, cells: int, cache_type: str) -> int:
        """KV cache for `cells` tokens over all streams: (k + v) · bytes an element, summed over layers."""
        kind = BY_NAME[cache_type]
        return sum(kind.bytes(cells * key) + kind.bytes(cells * value) for key, value in self.kv_widths)

    def device_weights(self, *, separate: bool) -> int:
        """Weights that the computing device holds; a `separate` accelerator leaves the embedding outside."""
        if separate and not self.tied:
            return self.weight_bytes - self.embedding_bytes
        return self.weight_bytes


def of(path: Path) -> Shape:
    """The shape of a `.gguf` file or an MLX folder on this machine.

    Raises:
        UsageError: it is neither, or is damaged.
    """
    if not path.is_dir():
        return from_header(gguf.preflight(path))
    try:
        config = json.loads((path / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} has no readable config.json") from error
    return from_config(path.name, config, sum(file.stat().st_size for file in path.glob("*.safetensors")))


def from_header(header: Header) -> Shape:
    """The shape that a GGUF file describes; keys as llama.cpp reads them.

    Raises:
        UsageError: the header lacks what every language model has.
    """
    layers, width = header.number("block_count"), header.number("embedding_length")
    table = header.tensor("token_embd.weight")
    if not layers or not width or table is None:
        raise UsageError(f"{header.name} does not describe a language model")
    trunk = layers - header.number(
        "nextn_predict_layers"
    )  # llama.cpp skips those that predict further tokens
    loaded = [tensor for tensor in header.tensors if _layer(tensor.name) < trunk]
    weights = sum(tensor.bytes for tensor in loaded)
    experts, used = header.number("expert_count"), header.number("expert_used_count")
    in_experts = sum(tensor.bytes for tensor in loaded if "_exps." in tensor.name)
    tied = header.tensor("output.weight") is None
    read = weights - (0 if tied else table.bytes)
    feed_forward = max(header.per_layer("feed_forward_length", layers))
    if experts:
        read -= in_experts * (experts - used) // experts
        feed_forward = max(
            used * header.number("expert_feed_forward_length", feed_forward), feed_forward if used == 0 else 0
        )
    recurrent = _recurrent_layers(header, trunk)
    return Shape(
        name=header.text("general.name") or header.name,
        quantisation=header.quantisation,
        layers=trunk,
        embedding=width,
        feed_forward=feed_forward,
        vocabulary=header.vocabulary,
        context_length=header.context_length,
        kv_widths=_kv_widths(header, trunk, width, recurrent),
        weight_bytes=weights,
        embedding_bytes=table.bytes,
        tied=tied,
        active_bytes=read,
        state_bytes=len(recurrent) * _recurrent_bytes(header),
        whole_blocks=not any(size % BLOCK for size in _head_sizes(header, trunk, width)),
    )


def _layer(tensor: str) -> int:
    """The layer that a tensor belongs to, from its name `blk.N...`; -1 for those outside."""
    parts = tensor.split(".")
    return int(parts[1]) if parts[0] == "blk" and len(parts) > 1 and parts[1].isdigit() else -1


def _head_sizes(header: Header, layers: int, width: int) -> tuple[int, int]:
    """Widths of one head's key and value."""
    default = width // max(1, 1, *header.per_layer("attention.head_count", layers))
    return header.number("attention.key_length", default), header.number("attention.value_length", default)


def _kv_widths(header: Header, layers: int, width: int, recurrent: set[int]) -> tuple[tuple[int, int], ...]:
    heads = header.per_layer("attention.head_count", layers)
    kv_heads = header.per_layer("attention.head_count_kv", layers, default=0)
    key, value = _head_sizes(header, layers, width)
    mla = header.number("attention.key_length_mla") > 0
    return tuple(
        (key * kv, 0 if mla else value * kv)
        for layer, kv in enumerate(k or h for k, h in zip(kv_heads, heads, strict=True))
        if layer not in recurrent and kv
    )


def _recurrent_layers(header: Header, layers: int) -> set[int]:
    """Layers with a state of fixed size instead of a growing cache."""
    if not header.number("ssm.state_size"):
        return set()
    if interval := header.number(
        "full_attention_interval", 4 if header.architecture.startswith("qwen3") else 0
    ):
        return {layer for layer in range(layers) if (layer + 1) % interval}
    kv_heads = header.per_layer("attention.head_count_kv", layers)
    return {layer for layer in range(layers) if not kv_heads[layer]}


def _recurrent_bytes(header: Header) -> int:
    """One layer's convolution and state for one sequence, as f32 (llama.cpp's n_embd_r and n_embd_s)."""
    state, inner = header.number("ssm.state_size"), header.number("ssm.inner_size")
    convolution = max(0, header.number("ssm.conv_kernel") - 1) * (
        inner + 2 * header.number("ssm.group_count") * state
    )
    return 4 * (convolution + state * inner)


def from_config(name: str, config: Mapping[str, Any], weight_bytes: int) -> Shape:
    """The shape that an MLX folder's `config.json` and the size of its `.safetensors` describe.

    Raises:
        UsageError: the configuration is not one of a language model.
    """
    text = config.get("text_config")
    inner = text if isinstance(text, dict) else config

    def number(key: str, default: int = 0) -> int:
        value = inner.get(key)
        return value if isinstance(value, int) else default

    layers, width, vocabulary = number("num_hidden_layers"), number("hidden_size"), number("vocab_size")
    heads = number("num_attention_heads")
    if not (layers and width and vocabulary and heads):
        raise UsageError(f"{name}: config.json does not describe a language model")
    head_size = number("head_dim", width // heads)
    kv = number("num_key_value_heads", heads)
    each = (head_size * kv, head_size * kv)
    if rank := number("kv_lora_rank"):
        each = (rank + number("qk_rope_head_dim"), 0)
    interval = number("full_attention_interval", 1)
    attention = [layer for layer in range(layers) if (layer + 1) % interval == 0]
    quantisation = config.get("quantization")
    bits = quantisation.get("bits", 16) if isinstance(quantisation, dict) else 16
    experts = number("num_experts") or number("n_routed_experts") or number("num_local_experts")
    used = number("num_experts_per_tok")
    expert_width = number("moe_intermediate_size", number("intermediate_size"))
    embedding_bytes = vocabulary * width * bits // 8
    in_experts = experts * layers * 3 * width * expert_width * bits // 8
    tied = bool(config.get("tie_word_embeddings"))
    read = weight_bytes - (0 if tied else embedding_bytes)
    if experts:
        read -= min(in_experts, read) * (experts - used) // experts
    return Shape(
        name=name,
        quantisation=f"{bits}bit",
        layers=layers,
        embedding=width,
        feed_forward=used * expert_width if experts else number("intermediate_size"),
        vocabulary=vocabulary,
        context_length=number("max_position_embeddings"),
        kv_widths=(each,) * len(attention),
        weight_bytes=weight_bytes,
        embedding_bytes=embedding_bytes,
        tied=tied,
        active_bytes=read,
    )
