"""Adapters written for other programs are the adapter that was trained."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import gguf
import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM

from localrl.errors import UsageError
from localrl.train import adapter
from tests.engine import tiny
from tests.engine.tiny import write_gguf
from tests.train.llama import logprobs_of
from tests.train.test_torch_trainer import make_trainer

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

PROMPT, TOKENS = list(range(10, 60)), list(range(100, 112))


def make_adapter(folder: Path, **model: Any) -> tuple[Path, Path]:
    """A model, and an adapter that changes much of what it says."""
    path = write_gguf(folder / "tiny.gguf", **model)
    make_trainer(path, effect=0.3).export(folder / "adapter.gguf")
    return path, folder / "adapter.gguf"


def by_transformers(model: Path, peft: Path) -> Any:
    """The tokens' log-probabilities by transformers' own forward pass, with PEFT's tensors added.

    Its weights are the file's with the rows of q and k as Hugging Face has them.
    """
    reader = gguf.GGUFReader(model)
    is_llama = reader.fields["general.architecture"].contents() == "llama"
    classes = (LlamaConfig, LlamaForCausalLM) if is_llama else (Qwen2Config, Qwen2ForCausalLM)
    config = classes[0](
        vocab_size=int(reader.tensors[0].shape[1]),
        hidden_size=tiny.EMBEDDING,
        intermediate_size=tiny.FEED_FORWARD,
        num_hidden_layers=tiny.LAYERS,
        num_attention_heads=tiny.HEADS,
        num_key_value_heads=tiny.KV_HEADS,
        rms_norm_eps=1e-5,
        tie_word_embeddings=False,
    )
    whole = classes[1](config)
    state = {}
    for tensor in reader.tensors:
        values = torch.from_numpy(np.array(tensor.data))
        if is_llama and tensor.name.endswith(("attn_q.weight", "attn_k.weight")):
            values = (
                values.reshape(-1, tiny.HEAD_SIZE // 2, 2, values.shape[1])
                .transpose(1, 2)
                .reshape(values.shape)
            )
        state[hugging_face_name(tensor.name)] = values
    whole.load_state_dict(state)
    add_adapter(whole, peft)
    with torch.no_grad():
        logits = whole(input_ids=torch.tensor([[*PROMPT, *TOKENS]])).logits[0, len(PROMPT) - 1 : -1]
    return logits.log_softmax(-1)[torch.arange(len(TOKENS)), TOKENS].numpy()


def hugging_face_name(tensor: str) -> str:
    """Of a tensor by GGUF's name."""
    outside = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}
    norms = {"attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm"}
    part, kind = tensor.rsplit(".", 1)
    if part in outside:
        return f"{outside[part]}.{kind}"
    _, layer, name = part.split(".")
    return f"model.layers.{layer}.{(adapter.PEFT_NAMES | norms)[name]}.{kind}"


def add_adapter(whole: Any, peft: Path) -> None:
    config = json.loads((peft / "adapter_config.json").read_text())
    tensors = load_file(peft / "adapter_model.safetensors")
    for name in (name for name in tensors if name.endswith(".lora_A.weight")):
        module = name.removeprefix("base_model.model.").removesuffix(".lora_A.weight")
        assert module.rsplit(".", 1)[1] in config["target_modules"]
        change = tensors[name.replace("lora_A", "lora_B")] @ tensors[name]
        whole.get_submodule(module).weight.data += config["lora_alpha"] / config["r"] * change


@pytest.mark.parametrize("architecture", ["llama", "qwen2"])
def test_peft_s_files_are_the_same_adapter_over_hugging_face_s_order_of_rows(
    architecture: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, made = make_adapter(tmp_path, architecture=architecture)
    ours = logprobs_of(model, PROMPT, TOKENS, made)
    adapter.read(made).write_peft(tmp_path / "peft", model)
    assert by_transformers(model, tmp_path / "peft") == pytest.approx(ours, abs=1e-3)
    monkeypatch.setattr(adapter, "halves_from_neighbours", lambda rows, _: rows)
    adapter.read(made).write_peft(tmp_path / "wrong", model)
    wrong = abs(by_transformers(model, tmp_path / "wrong") - ours).max()
    assert (wrong > 1e-2) == (architecture == "llama")  # the others' rows are Hugging Face's as they are


@pytest.mark.parametrize("kind", ["F32", "Q8_0"])
def test_a_merged_model_says_what_model_and_adapter_say(kind: str, tmp_path: Path) -> None:
    model, made = make_adapter(tmp_path, kind=kind)
    adapter.read(made).write_merged(tmp_path / "merged.gguf", model)
    apart = logprobs_of(model, PROMPT, TOKENS, made)
    # F16 rounds by a part in 2,000; of Q8_0 weights llama.cpp also rounds what it multiplies with them
    assert logprobs_of(tmp_path / "merged.gguf", PROMPT, TOKENS) == pytest.approx(
        apart, abs=0.05 if kind == "F32" else 0.2
    )
    assert abs(apart - logprobs_of(model, PROMPT, TOKENS)).max() > 0.5


def test_an_adapter_file_can_be_read_back(tmp_path: Path) -> None:
    _, made = make_adapter(tmp_path)
    found = adapter.read(made)
    assert (found.architecture, found.alpha, found.rank, len(found.factors)) == ("llama", 8.0, 4, 14)
    found.write(tmp_path / "again.gguf")
    assert (tmp_path / "again.gguf").read_bytes() == made.read_bytes()
    assert found.change("blk.0.attn_k").shape == (32, 64)
    assert np.allclose(
        found.change("blk.1.ffn_up"), 2 * found.factors["blk.1.ffn_up"][1] @ found.factors["blk.1.ffn_up"][0]
    )


def test_an_adapter_of_another_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    _, made = make_adapter(tmp_path)
    other = write_gguf(tmp_path / "other" / "tiny.gguf", architecture="qwen3")
    for write in (adapter.read(made).write_peft, adapter.read(made).write_merged):
        with pytest.raises(UsageError, match="another model"):
            write(tmp_path / "out", other)
    with pytest.raises(UsageError, match="no LoRA adapter"):
        adapter.read(other)
