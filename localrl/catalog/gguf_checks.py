"""What llama.cpp takes for granted about a header's numbers, checked before it sees the file.

Each check stands for a known way to make llama.cpp read or write out of bounds, or abort its process:
llama.cpp #25821 (layers), #26690 (types and lengths of the tokenizer's arrays), CVE-2025-49847 (token
lengths), CVE-2025-53630, CVE-2026-27940 and CVE-2026-33298 (sizes that overflow: `gguf` refuses those); or
was found by loading and running 823 changed models: types of tensors, numbers that are none, missing tokens.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from localrl.catalog.gguf_header import STRING, Counted, Header
from localrl.catalog.shards import SHARD
from localrl.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_LAYERS = 512
MAX_EXPERTS = 512
MAX_VOCABULARY = 1 << 24
NO_TOKENIZERS = ("", "none", "no_vocab")
"""Names of tokenizers with which llama.cpp loads a model, and ends its process at the first text."""
SCORED = ("llama", "t5")
"""Names of tokenizers that choose pieces by their scores: without them the vocabulary is another kind's."""
UNMERGED = ("bert", "plamo2", "plamo3", "rwkv", "t5", "test")
"""Names of tokenizers that merge nothing: with merges the vocabulary is another kind's, and what llama.cpp
makes of a text is nonsense, or its end. Old files of "llama" have merges that nothing reads."""
ROPE_SCALINGS = ("none", "linear", "yarn", "longrope")
UNCOMPUTABLE = ("i8", "i16", "i32", "i64", "f64")
"""Types of tensors in which ggml computes nothing; tables of token ids (`tid2eid`) are only looked up."""
UINT32, INT32, FLOAT32 = 4, 5, 6


def check_shards(parts: Sequence[Header]) -> Header:
    """Join the headers of a model's files into one; the first holds the metadata.

    Raises:
        UsageError: the files do not belong together.
    """
    first = parts[0]
    named = SHARD.fullmatch(first.name)
    promised = first.metadata.get("split.count", 1)
    if isinstance(promised, int) and promised > 1 and (not named or int(named["count"]) != promised):
        raise UsageError(
            f"{first.name} is one of {promised} parts, but its name does not say so",
            hint=f"keep the hub's name, which ends in -00001-of-{promised:05}.gguf",
        )
    if len(parts) == 1:
        return first
    for number, part in enumerate(parts):
        if part.metadata.get("split.no") != number or part.metadata.get("split.count") != len(parts):
            raise UsageError(
                f"{part.name} is not part {number + 1} of {len(parts)}", hint="pull the model again"
            )
    tensors = tuple(tensor for part in parts for tensor in part.tensors)
    total = first.metadata.get("split.tensors.count")
    if len({tensor.name for tensor in tensors}) != len(tensors) or total != len(tensors):
        raise UsageError(
            f"{first.name}: its parts hold {len(tensors)} tensors, not {total}", hint="pull the model again"
        )
    size = sum(part.file_bytes for part in parts)
    return replace(first, tensors=tensors, file_bytes=size, shards=len(parts))


def check_model(header: Header) -> None:
    """Refuse a header whose numbers llama.cpp would not survive.

    Raises:
        UsageError: says which number.
    """
    if header.kinds.get("general.architecture") != STRING or not header.architecture:
        raise _bad(header, "names no architecture")
    if header.tensor("token_embd.weight") is None:
        raise _bad(header, f"is no language model (architecture {header.architecture!r}, no token embedding)")
    _check_numbers(header)
    _check_scalars(header)
    _check_tensors(header)
    _check_tokenizer(header)


def _check_numbers(header: Header) -> None:
    architecture = header.architecture
    for key, low, high in (
        ("block_count", 1, MAX_LAYERS),
        ("embedding_length", 1, 1 << 24),
        ("context_length", 1, 1 << 31),
        ("vocab_size", 1, MAX_VOCABULARY),
        ("expert_count", 0, MAX_EXPERTS),
        ("expert_used_count", 0, MAX_EXPERTS),
        ("nextn_predict_layers", 0, MAX_LAYERS),
    ):
        name = f"{architecture}.{key}"
        value = header.metadata.get(name)
        if value is None and (low == 0 or key == "vocab_size"):
            continue
        if not isinstance(value, int) or not low <= value <= high:
            raise _bad(header, f"has {name} = {value!r}, outside {low} to {high}")
    layers = header.number("block_count")
    if header.number("nextn_predict_layers") >= layers:
        raise _bad(header, f"has no more than {layers} layers for its nextn_predict_layers")
    experts, used = header.number("expert_count"), header.number("expert_used_count")
    if used > experts or (experts and not used):
        raise _bad(header, f"uses {used} of {experts} experts")
    for key in ("attention.head_count", "attention.head_count_kv", "feed_forward_length"):
        value = header.metadata.get(f"{architecture}.{key}", 0)
        if isinstance(value, tuple) and len(value) < layers:
            raise _bad(header, f"has {len(value)} values of {architecture}.{key} for {layers} layers")
        numbers = value if isinstance(value, tuple) else (value,)
        if any(isinstance(n, Counted | str) or not 0 <= n <= 1 << 24 for n in numbers):
            raise _bad(header, f"has no usable {architecture}.{key}")


def _check_scalars(header: Header) -> None:
    for key, value in header.metadata.items():
        if not isinstance(value, float) or not key.startswith(f"{header.architecture}."):
            continue
        if not math.isfinite(value) or (key.endswith("epsilon") and value < 0):
            raise _bad(header, f"has {key} = {value}")
    key = f"{header.architecture}.rope.scaling.type"
    if (scaling := header.metadata.get(key, "none")) not in ROPE_SCALINGS:
        raise _bad(header, f"has {key} = {scaling!r}, not one of {', '.join(ROPE_SCALINGS)}")


def _check_tensors(header: Header) -> None:
    """Norms and biases are added as they are, and only as f32; matrices have types that are multiplied."""
    for tensor in header.tensors:
        kind = tensor.kind.name
        if kind in UNCOMPUTABLE and not (kind == "i32" and "tid2eid" in tensor.name):
            raise _bad(header, f"has {tensor.name} in {kind}, in which nothing is computed")
        if len(tensor.shape) == 1 and kind != "f32":
            raise _bad(header, f"has {tensor.name} in {kind}; norms and biases are f32")


def _check_tokenizer(header: Header) -> None:
    if not 1 <= header.vocabulary <= MAX_VOCABULARY:
        raise _bad(header, f"has {header.vocabulary} tokens")
    if (kind := header.text("tokenizer.ggml.model")) in NO_TOKENIZERS:
        raise _bad(header, f"has no tokenizer ({kind!r})")
    if kind in SCORED and "tokenizer.ggml.scores" not in header.metadata:
        raise _bad(header, f"has a tokenizer ({kind!r}) without scores")
    tokens = header.metadata.get("tokenizer.ggml.tokens")
    if kind == "llama" and not (isinstance(tokens, Counted) and tokens.spells_bytes):
        raise _bad(header, "has a tokenizer ('llama') without a token for every byte")
    if kind in UNMERGED and "tokenizer.ggml.merges" in header.metadata:
        raise _bad(header, f"has a tokenizer ({kind!r}) that knows no merges, and merges")
    arrays = {"tokens": {STRING}, "merges": {STRING}, "scores": {FLOAT32}, "token_type": {INT32, UINT32}}
    for name, kinds in arrays.items():
        key = f"tokenizer.ggml.{name}"
        value = header.metadata.get(key)
        if value is None:
            continue
        if not isinstance(value, Counted | tuple) or header.kinds[key] not in kinds:
            raise _bad(header, f"has {key} of the wrong type")
        if name == "tokens" and isinstance(value, tuple) and len(set(value)) < len(value):
            raise _bad(header, "has tokens twice")
        count = value.count if isinstance(value, Counted) else len(value)
        if name in ("scores", "token_type") and count < header.vocabulary:
            raise _bad(header, f"has {count} values of {key} for {header.vocabulary} tokens")


def _bad(header: Header, what: str) -> UsageError:
    return UsageError(f"{header.name} {what}", hint="the file is damaged or not meant for llama.cpp")
