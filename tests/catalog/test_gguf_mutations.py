"""Changes of a sound model that would end llama.cpp while it loads or computes are refused in words."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

import gguf
import numpy as np
import pytest

from localrl.catalog.gguf import preflight
from localrl.errors import UsageError
from tests.engine import tiny

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

FLOAT, STRING, ARRAY = (gguf.GGUFValueType[name] for name in ("FLOAT32", "STRING", "ARRAY"))
TOKENS = 264  # of the tiny model


def retyped(name: str, dtype: str, number: int) -> Callable[[Any], None]:
    def change(writer: Any) -> None:
        tensors = writer.tensors[0]
        data = np.asarray(tensors[name].tensor).astype(dtype)
        kind = gguf.GGMLQuantizationType(number)
        tensors[name] = gguf.gguf_writer.TensorInfo(data.shape, kind, data.nbytes, data)

    return change


def with_keys(**values: tuple[Any, gguf.GGUFValueType]) -> Callable[[Any], None]:
    def change(writer: Any) -> None:
        for key, (value, kind) in values.items():
            each = gguf.GGUFValueType.FLOAT32 if kind is ARRAY else None
            writer.kv_data[0][key.replace("__", ".")] = gguf.gguf_writer.GGUFValue(value, kind, each)

    return change


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (retyped("blk.1.attn_q.weight", "int8", 24), "attn_q.weight in i8"),
        (retyped("blk.0.ffn_down.weight", "int32", 26), "ffn_down.weight in i32"),
        (retyped("token_embd.weight", "float64", 28), "token_embd.weight in f64"),
        (retyped("output_norm.weight", "float16", 1), "norms and biases are f32"),
        (with_keys(llama__attention__layer_norm_rms_epsilon=(math.nan, FLOAT)), "epsilon = nan"),
        (with_keys(llama__attention__layer_norm_rms_epsilon=(-1.0, FLOAT)), "epsilon = -1.0"),
        (with_keys(llama__rope__freq_base=(math.inf, FLOAT)), "freq_base = inf"),
        (with_keys(llama__rope__scaling__type=("nonsense", STRING)), "rope.scaling.type = 'nonsense'"),
        (
            with_keys(
                tokenizer__ggml__model=("llama", STRING), tokenizer__ggml__scores=([0.0] * TOKENS, ARRAY)
            ),
            "without a token for every byte",
        ),
    ],
)
def test_what_ends_llama_cpp_while_it_computes_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[Any], None], words: str
) -> None:
    sound = preflight(tiny.write_gguf(tmp_path / "sound.gguf"))
    assert sound.vocabulary == TOKENS
    write_header = gguf.GGUFWriter.write_header_to_file

    def changed(writer: Any) -> None:
        change(writer)
        write_header(writer)

    monkeypatch.setattr(gguf.GGUFWriter, "write_header_to_file", changed)
    with pytest.raises(UsageError, match=re.escape(words)):
        preflight(tiny.write_gguf(tmp_path / "tiny.gguf"))
