"""A model of Qwen2.5-0.5B's shape with random weights and the starter's vocabulary, to measure speed.

    python benchmarks/random_model.py FILE.gguf

What it says means nothing, and it seldom ends by itself.
"""

from __future__ import annotations

import sys
from pathlib import Path

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Quantisation

from localrl.catalog.locate import locate

LAYERS, EMBEDDING, HEADS, KV_HEADS, FEED_FORWARD, CONTEXT = 24, 896, 14, 2, 4864, 32768
HEAD_SIZE = EMBEDDING // HEADS
QUANTISATION = Quantisation.Q4_1


def main(path: Path) -> None:
    vocabulary = gguf.GGUFReader(locate("smollm2-135m").path)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(LAYERS)
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(EMBEDDING)
    writer.add_feed_forward_length(FEED_FORWARD)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_rope_dimension_count(HEAD_SIZE)
    writer.add_layer_norm_rms_eps(1e-5)
    for name, field in vocabulary.fields.items():
        if name.startswith("tokenizer."):
            writer.add_key_value(name, field.contents(), field.types[0], *field.types[1:2])
    rng = np.random.default_rng(0)
    tokens = len(vocabulary.fields["tokenizer.ggml.tokens"].data)
    writer.add_vocab_size(tokens)

    def add(name: str, *shape: int) -> None:
        if len(shape) == 1:
            writer.add_tensor(f"{name}.weight", np.ones(shape, np.float32))
            return
        weights = rng.standard_normal(shape, dtype=np.float32) / shape[1] ** 0.5
        packed = gguf.quants.quantize(weights, QUANTISATION)
        writer.add_tensor(f"{name}.weight", packed, raw_dtype=QUANTISATION)

    add("token_embd", tokens, EMBEDDING)
    add("output_norm", EMBEDDING)
    for layer in range(LAYERS):
        block = f"blk.{layer}"
        add(f"{block}.attn_norm", EMBEDDING)
        add(f"{block}.attn_q", EMBEDDING, EMBEDDING)
        add(f"{block}.attn_k", KV_HEADS * HEAD_SIZE, EMBEDDING)
        add(f"{block}.attn_v", KV_HEADS * HEAD_SIZE, EMBEDDING)
        add(f"{block}.attn_output", EMBEDDING, EMBEDDING)
        add(f"{block}.ffn_norm", EMBEDDING)
        add(f"{block}.ffn_gate", FEED_FORWARD, EMBEDDING)
        add(f"{block}.ffn_up", FEED_FORWARD, EMBEDDING)
        add(f"{block}.ffn_down", EMBEDDING, FEED_FORWARD)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
