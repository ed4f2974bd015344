"""Make an MLX folder of a GGUF file (llama): both libraries then run the same weights."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

NAMES = {
    "token_embd": "model.embed_tokens",
    "output_norm": "model.norm",
    "output": "lm_head",
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}


def convert(source: Path, folder: Path, dtype: Any = np.float32) -> Path:
    """Write `config.json`, the weights (dequantised) and the tokenizer; returns the folder."""
    import gguf
    from safetensors.numpy import save_file

    reader = gguf.GGUFReader(source)
    folder.mkdir(parents=True)

    def value(name: str, default: Any = None) -> Any:
        field = reader.get_field(name)
        return field.contents() if field else default

    heads = value("llama.attention.head_count")
    kv_heads = value("llama.attention.head_count_kv", heads)
    weights = {}
    for tensor in reader.tensors:
        data = gguf.dequantize(tensor.data, tensor.tensor_type).reshape(tensor.shape[::-1])
        base, _, kind = tensor.name.rpartition(".")
        if base.endswith("attn_q"):
            data = _unpermute(data, heads)
        elif base.endswith("attn_k"):
            data = _unpermute(data, kv_heads)
        prefix = ""
        if base.startswith("blk."):
            _, layer, base = base.split(".", 2)
            prefix = f"model.layers.{layer}."
        weights[f"{prefix}{NAMES[base]}.{kind}"] = np.ascontiguousarray(data, dtype)
    save_file(weights, folder / "model.safetensors")
    tokens = value("tokenizer.ggml.tokens")
    config = {
        "model_type": "llama",
        "hidden_size": value("llama.embedding_length"),
        "num_hidden_layers": value("llama.block_count"),
        "intermediate_size": value("llama.feed_forward_length"),
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "rms_norm_eps": float(value("llama.attention.layer_norm_rms_epsilon")),
        "rope_theta": float(value("llama.rope.freq_base", 10_000.0)),
        "max_position_embeddings": value("llama.context_length"),
        "vocab_size": len(tokens),
        "tie_word_embeddings": "lm_head.weight" not in weights,
        "eos_token_id": value("tokenizer.ggml.eos_token_id"),
    }
    (folder / "config.json").write_text(json.dumps(config))
    _write_tokenizer(folder, value, tokens)
    return folder


def _unpermute(rows: Any, heads: int) -> Any:
    """GGUF's llama files interleave the two halves of each head's rows, as llama.cpp's rope wants them."""
    return rows.reshape(heads, rows.shape[0] // heads // 2, 2, -1).swapaxes(1, 2).reshape(rows.shape)


def _write_tokenizer(folder: Path, value: Any, tokens: list[str]) -> None:
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    merges = [tuple(merge.split(" ")) for merge in value("tokenizer.ggml.merges")]
    tokenizer = Tokenizer(models.BPE(vocab={token: i for i, token in enumerate(tokens)}, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    special = [
        token for token, kind in zip(tokens, value("tokenizer.ggml.token_type"), strict=True) if kind == 3
    ]
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in special])
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": tokens[value("tokenizer.ggml.bos_token_id")],
        "eos_token": tokens[value("tokenizer.ggml.eos_token_id")],
        "chat_template": value("tokenizer.chat_template"),
        "clean_up_tokenization_spaces": False,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
