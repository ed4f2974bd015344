"""The weights of a GGUF file as torch tensors: the file's own blocks, dequantised when they are used.

So the trainer learns on the very weights that the engine runs, needs no second download, and on the processor
no second copy either: the blocks are mapped from the file, as llama.cpp maps them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gguf
import numpy as np
import torch
from transformers.integrations.gguf.dequant import GGML_BLOCK
from transformers.integrations.gguf.dequant import dequantize as dequantise_blocks

from localrl.catalog import shards

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from torch import Tensor

PLAIN = {0: torch.float32, 1: torch.float16, 30: torch.bfloat16}
"""ggml's numbers of the types that are no blocks."""


class Weight:
    """A frozen matrix (rows, columns), as blocks or as numbers."""

    def __init__(self, data: Tensor, kind: int, shape: tuple[int, int], dtype: torch.dtype) -> None:
        """
        Args:
            data: (rows, ...) of bytes where `kind` is a block type, else of numbers.
            dtype: of what `dense` returns.
        """
        self.shape, self._data, self._kind, self._dtype = shape, data, kind, dtype

    @property
    def bytes(self) -> int:
        return int(self._data.numel() * self._data.element_size())

    def dense(self, rows: Any = slice(None)) -> Tensor:
        """The numbers of some rows: a slice, or a tensor of indices."""
        data = self._data[rows]
        if self._kind in PLAIN:
            return data.to(self._dtype)
        return dequantise_blocks(data, self._kind, self._dtype).reshape(len(data), self.shape[1])

    def unpacked(self) -> Weight:
        """The same as numbers, which take more memory and no time."""
        return Weight(self.dense(), 0, self.shape, self._dtype)


def read(path: Path, device: torch.device, dtype: torch.dtype, packed: bool) -> dict[str, Weight]:
    """Every tensor of a model by GGUF's name; vectors are matrices of one row.

    Args:
        packed: keep blocks as they are. Norms and biases, and block types that torch code knows not how to
            dequantise, become numbers in any case.
    """
    found = {}
    for tensor in _tensors(path):
        kind, shape = int(tensor.tensor_type), tuple(int(size) for size in reversed(tensor.shape))
        rows, columns = shape if len(shape) == 2 else (1, shape[0])
        if kind in GGML_BLOCK or kind in PLAIN:
            data = _mapped(tensor, kind).reshape(rows, -1)
        else:
            data, kind = torch.from_numpy(gguf.quants.dequantize(tensor.data, tensor.tensor_type)), 0
        weight = Weight(data.to(device), kind, (rows, columns), torch.float32 if rows == 1 else dtype)
        found[tensor.name] = weight if packed and rows > 1 else weight.unpacked()
    return found


def _tensors(path: Path) -> Iterator[Any]:
    for part in shards.files(path):
        yield from gguf.GGUFReader(part, "c").tensors  # copied on write, though nothing writes


def _mapped(tensor: Any, kind: int) -> Tensor:
    data = np.asarray(tensor.data)
    if kind == 30:
        return torch.from_numpy(data.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(data)
