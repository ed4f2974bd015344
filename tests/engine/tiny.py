"""A tiny llama model that talks: random weights, leaning to lower-case words so that texts look like text.

Every embedding holds a common direction, and the output weights of the tokens that it should say lean that
way. What it says depends on the last token, a little on all before it, and on the seed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

SPECIAL = ["<pad>", "<s>", "</s>", "<|user|>", "<|assistant|>"]
END = 2
TEMPLATE = "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{% endfor %}<|assistant|>"
SAID = "abcdefgh .\n"
LAYERS, EMBEDDING, HEADS, KV_HEADS, FEED_FORWARD = 2, 64, 2, 1, 128
HEAD_SIZE = EMBEDDING // HEADS


def byte_characters() -> list[str]:
    """GPT-2's printable stand-ins for the 256 bytes, in the order of the bytes."""
    printable = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = (byte for byte in range(256) if byte not in printable)
    stand_in = {byte: 256 + i for i, byte in enumerate(others)}
    return [chr(stand_in.get(byte, byte)) for byte in range(256)]


def write_gguf(
    path: Path,
    ends: float = 0.0,
    context: int = 4096,
    *,
    template: str | dict[str, str] | None = TEMPLATE,
    add_bos: bool = False,
    architecture: str = "llama",
    kind: str = "F32",
    rope_factors: bool = False,
) -> Path:
    """Write the model. `ends` leans the end token: 0 never ends by itself, 1 as likely as any letter.

    Args:
        architecture: also `qwen2`, whose q, k and v have biases, and `qwen3`, which normalises q and k.
        kind: of the matrices, such as `Q4_0`.
        rope_factors: turn some pairs of a head more slowly, as Llama 3.1 does.
    """
    import gguf

    characters = byte_characters()
    merges = [("a", "b"), ("c", "d"), ("e", "f")]
    tokens = [*SPECIAL, *characters, *("".join(pair) for pair in merges)]
    rng = np.random.default_rng(0)
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_name("tiny")
    writer.add_block_count(LAYERS)
    writer.add_context_length(context)
    writer.add_embedding_length(EMBEDDING)
    writer.add_feed_forward_length(FEED_FORWARD)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_rope_dimension_count(HEAD_SIZE)
    writer.add_rope_freq_base(10_000.0)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(tokens)
    writer.add_token_types([3] * len(SPECIAL) + [1] * (len(tokens) - len(SPECIAL)))
    writer.add_token_merges([" ".join(pair) for pair in merges])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(END)
    writer.add_add_bos_token(add_bos)
    if isinstance(template, dict):
        writer.add_chat_template([{"name": name, "template": text} for name, text in template.items()])
    elif template is not None:
        writer.add_chat_template(template)

    direction = np.full(EMBEDDING, EMBEDDING**-0.5, np.float32)
    lean = np.full(len(tokens), -1.0, np.float32)
    lean[[len(SPECIAL) + ord(character) for character in SAID]] = 1.0
    lean[END] = 2 * ends - 1

    def random(*shape: int) -> Any:
        return rng.standard_normal(shape, dtype=np.float32)

    def add(name: str, data: Any) -> None:
        stored = gguf.GGMLQuantizationType[kind if data.ndim > 1 else "F32"]
        writer.add_tensor(name, gguf.quants.quantize(data.astype(np.float32), stored), raw_dtype=stored)

    add("token_embd.weight", 0.3 * random(len(tokens), EMBEDDING) + direction)
    add("output_norm.weight", np.ones(EMBEDDING))
    if rope_factors:
        add("rope_freqs.weight", np.linspace(1, 8, HEAD_SIZE // 2))
    add("output.weight", 0.25 * random(len(tokens), EMBEDDING) + 3.0 * lean[:, None] * direction)
    for layer in range(LAYERS):
        block = f"blk.{layer}."
        add(f"{block}attn_norm.weight", np.ones(EMBEDDING))
        add(f"{block}attn_q.weight", 0.2 * random(EMBEDDING, EMBEDDING))
        add(f"{block}attn_k.weight", 0.2 * random(KV_HEADS * HEAD_SIZE, EMBEDDING))
        add(f"{block}attn_v.weight", 0.02 * random(KV_HEADS * HEAD_SIZE, EMBEDDING))
        add(f"{block}attn_output.weight", 0.02 * random(EMBEDDING, EMBEDDING))
        add(f"{block}ffn_norm.weight", np.ones(EMBEDDING))
        add(f"{block}ffn_gate.weight", 0.02 * random(FEED_FORWARD, EMBEDDING))
        add(f"{block}ffn_up.weight", 0.02 * random(FEED_FORWARD, EMBEDDING))
        add(f"{block}ffn_down.weight", 0.02 * random(EMBEDDING, FEED_FORWARD))
        for name, width in (("q", EMBEDDING), ("k", KV_HEADS * HEAD_SIZE), ("v", KV_HEADS * HEAD_SIZE)):
            if architecture == "qwen2":
                add(f"{block}attn_{name}.bias", 0.1 * random(width))
            if architecture == "qwen3" and name != "v":
                add(f"{block}attn_{name}_norm.weight", 1 + 0.1 * random(HEAD_SIZE))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
