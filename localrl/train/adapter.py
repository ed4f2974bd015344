"""Adapters as files: GGUF for llama.cpp, PEFT's folder for Hugging Face, or merged into a copy of the model.

All hold the same factors, in the file's own order of rows; only PEFT's has another one for `llama`, whose
rows of q and k llama.cpp's converter permutes.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from localrl import paths
from localrl.catalog import adapters, shards
from localrl.catalog import gguf as gguf_files
from localrl.errors import UsageError
from localrl.train.architecture import LINEAR
from localrl.train.architecture import of as architecture_of

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from localrl.train.architecture import Architecture

    Factor = NDArray[np.float32]

PEFT_NAMES = {
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
_TENSOR = re.compile(r"(blk\.\d+\.\w+)\.weight\.lora_([ab])")
F16 = 1
"""GGUF's number of the file type."""


@dataclass(frozen=True, slots=True)
class Adapter:
    """A low-rank change of linear layers: W + (alpha / rank) B A."""

    architecture: str
    """GGUF's name of the model's."""
    alpha: float
    factors: dict[str, tuple[Factor, Factor]]
    """By layer, such as `blk.0.attn_q`: A (rank, inputs) and B (outputs, rank)."""

    @property
    def rank(self) -> int:
        return len(next(iter(self.factors.values()))[0])

    def change(self, layer: str) -> Factor:
        """What is added to the layer's weights: (outputs, inputs)."""
        a, b = self.factors[layer]
        changed: Factor = (self.alpha / len(a)) * (b @ a)
        return changed

    def write(self, path: Path) -> None:
        """As llama.cpp loads it."""
        from gguf import GGUFWriter

        with paths.whole_file(path) as out:
            writer = GGUFWriter(out.name, self.architecture)
            writer.add_type("adapter")
            writer.add_string("adapter.type", "lora")
            writer.add_float32("adapter.lora.alpha", self.alpha)
            for layer, (a, b) in self.factors.items():
                writer.add_tensor(f"{layer}.weight.lora_a", a)
                writer.add_tensor(f"{layer}.weight.lora_b", b)
            _finish(writer)

    def write_peft(self, folder: Path, model: Path) -> None:
        """A folder that PEFT loads over the Hugging Face original of `model`, a GGUF file.

        Raises:
            UsageError: the adapter is not of this model.
        """
        from safetensors.numpy import save_file

        found = architecture_of(gguf_files.preflight(model))
        self._check_fits(found)
        tensors = {}
        for layer, (a, b) in self.factors.items():
            _, number, name = layer.split(".")
            if found.rope_of_neighbours and name in ("attn_q", "attn_k"):
                b = halves_from_neighbours(b, found.head_size)
            module = f"base_model.model.model.layers.{number}.{PEFT_NAMES[name]}"
            tensors[f"{module}.lora_A.weight"] = np.ascontiguousarray(a)
            tensors[f"{module}.lora_B.weight"] = np.ascontiguousarray(b)
        paths.ensure(folder)
        with paths.whole_file(folder / "adapter_model.safetensors") as out:
            save_file(tensors, out.name)
        with paths.whole_file(folder / "adapter_config.json") as out:
            out.write(json.dumps(self._peft_config(), indent=1).encode())

    def _peft_config(self) -> dict[str, Any]:
        names = sorted({PEFT_NAMES[layer.split(".")[2]].split(".")[1] for layer in self.factors})
        return {
            "peft_type": "LORA",
            "task_type": "CAUSAL_LM",
            "r": self.rank,
            "lora_alpha": self.alpha,
            "lora_dropout": 0.0,
            "bias": "none",
            "target_modules": names,
            "base_model_name_or_path": None,
            "inference_mode": True,
        }

    def write_merged(self, path: Path, model: Path) -> None:
        """A copy of a GGUF model with the adapter in its weights.

        What the adapter changes is written as F16, since rounding it to the file's own blocks again would
        undo much of what was learned; `llama-quantize` makes it smaller.

        Raises:
            UsageError: the adapter is not of this model.
        """
        from gguf import GGMLQuantizationType, GGUFReader, GGUFWriter
        from gguf.quants import dequantize

        self._check_fits(architecture_of(gguf_files.preflight(model)))
        readers = [GGUFReader(part) for part in shards.files(model)]
        tensors = [tensor for reader in readers for tensor in reader.tensors]
        with paths.whole_file(path) as out:
            writer = GGUFWriter(out.name, self.architecture)
            _copy_metadata(readers[0], writer)
            for tensor in tensors:
                shape = [int(size) for size in reversed(tensor.shape)]
                if _layer(tensor.name) in self.factors:
                    writer.add_tensor_info(tensor.name, shape, np.dtype(np.float16), 2 * tensor.n_elements)
                else:
                    kind = GGMLQuantizationType(tensor.tensor_type)
                    writer.add_tensor_info(
                        tensor.name, tensor.data.shape, tensor.data.dtype, tensor.n_bytes, raw_dtype=kind
                    )
            writer.write_header_to_file()
            writer.write_kv_data_to_file()
            writer.write_ti_data_to_file()
            for tensor in tensors:
                data, layer = tensor.data, _layer(tensor.name)
                if layer in self.factors:
                    whole = dequantize(data, tensor.tensor_type) + self.change(layer)
                    data = whole.astype(np.float16)
                writer.write_tensor_data(data)
            writer.close()

    def _check_fits(self, found: Architecture) -> None:
        for layer, (a, b) in self.factors.items():
            _, number, name = layer.split(".")
            if (
                name not in LINEAR
                or int(number) >= found.layers
                or found.shape(name) != (b.shape[0], a.shape[1])
                or self.architecture != found.name
            ):
                raise UsageError("this adapter was trained on another model")


def read(path: Path) -> Adapter:
    """An adapter from a GGUF file.

    Raises:
        UsageError: it is none.
    """
    from gguf import GGUFReader
    from gguf.quants import dequantize

    header = adapters.check(path)
    found: dict[str, dict[str, Factor]] = {}
    for tensor in GGUFReader(path).tensors:
        if (match := _TENSOR.fullmatch(tensor.name)) is None:
            raise UsageError(f"{path} adapts what is no linear layer: {tensor.name}")
        values = dequantize(tensor.data, tensor.tensor_type).astype(np.float32)
        found.setdefault(match[1], {})[match[2]] = values
    if not found or any(len(pair) != 2 for pair in found.values()):
        raise UsageError(f"{path} lacks one factor of a layer")
    alpha = header.metadata.get("adapter.lora.alpha")
    factors = {layer: (pair["a"], pair["b"]) for layer, pair in found.items()}
    return Adapter(header.architecture, float(alpha) if isinstance(alpha, int | float) else 0.0, factors)


def halves_from_neighbours(rows: Factor, head_size: int) -> Factor:
    """Rows of q or k in Hugging Face's order, from llama.cpp's: (outputs, ...) each.

    A head's pair i is at 2i and 2i + 1 here, at i and i + head_size / 2 there.
    """
    pairs = rows.reshape(-1, head_size // 2, 2, *rows.shape[1:])
    found: Factor = pairs.swapaxes(1, 2).reshape(rows.shape)
    return found


def _layer(tensor: str) -> str:
    return tensor.removesuffix(".weight")


def _copy_metadata(reader: Any, writer: Any) -> None:
    """Everything but what the writer writes itself, and what shards say of each other."""
    from gguf import GGUFValueType

    for field in reader.fields.values():
        if field.name.startswith(("GGUF.", "split.")) or field.name == "general.architecture":
            continue
        kind = field.types[0]
        inner = field.types[-1] if kind == GGUFValueType.ARRAY else None
        value = F16 if field.name == "general.file_type" else field.contents()
        writer.add_key_value(field.name, value, kind, inner)


def _finish(writer: Any) -> None:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
