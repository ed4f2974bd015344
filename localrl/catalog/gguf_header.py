"""What a GGUF header says, as values: metadata, tensors, and the questions that others ask of them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

from localrl.catalog.ggml import FILE_TYPES, TensorType

if TYPE_CHECKING:
    from collections.abc import Mapping

STRING: Final = 8
"""GGUF's number of the type of texts."""


class Source(Protocol):
    """Bytes that can be read from any offset: a local file, or a hub's file by HTTP range."""

    name: str
    size: int

    def read(self, offset: int, length: int) -> bytes:
        """Up to `length` bytes from `offset`; fewer only at the end."""


@dataclass(frozen=True, slots=True)
class Counted:
    """An array whose values were walked but not kept."""

    kind: int
    """GGUF's number of the element type."""
    count: int
    spells_bytes: bool = False
    """Of a vocabulary: there is a token `<0xNN>` for every byte."""


Scalar: TypeAlias = int | float | bool | str
Value: TypeAlias = Scalar | tuple[Scalar, ...] | Counted


@dataclass(frozen=True, slots=True)
class Tensor:
    name: str
    shape: tuple[int, ...]
    """ggml's order: the contiguous dimension first."""
    kind: TensorType
    offset: int
    """Bytes from the start of the tensor data."""

    @property
    def elements(self) -> int:
        return math.prod(self.shape)

    @property
    def bytes(self) -> int:
        return self.kind.bytes(self.elements)


@dataclass(frozen=True, slots=True)
class Header:
    """What a GGUF file, or all shards of one model, say about themselves."""

    name: str
    version: int
    metadata: Mapping[str, Value]
    kinds: Mapping[str, int]
    """GGUF's type number of each scalar, or of an array's elements."""
    tensors: tuple[Tensor, ...]
    header_bytes: int
    file_bytes: int
    """Over all shards."""
    shards: int = 1

    @property
    def architecture(self) -> str:
        return self.text("general.architecture")

    @property
    def parameters(self) -> int:
        return sum(tensor.elements for tensor in self.tensors)

    @property
    def weight_bytes(self) -> int:
        return sum(tensor.bytes for tensor in self.tensors)

    @property
    def quantisation(self) -> str:
        """Such as `Q4_K_M`: as the file says, else the type that most bytes have."""
        number = self.metadata.get("general.file_type")
        if isinstance(number, int) and number in FILE_TYPES:
            return FILE_TYPES[number]
        totals: dict[str, int] = {}
        for tensor in self.tensors:
            totals[tensor.kind.name] = totals.get(tensor.kind.name, 0) + tensor.bytes
        return max(totals, key=lambda name: totals[name]).upper() if totals else ""

    @property
    def chat_template(self) -> str:
        """Of several named ones the default; empty where there is none."""
        return self.text("tokenizer.chat_template") or self.text("tokenizer.chat_template.default")

    @property
    def context_length(self) -> int:
        return self.number("context_length")

    @property
    def vocabulary(self) -> int:
        """Tokens."""
        tokens = self.metadata.get("tokenizer.ggml.tokens")
        if isinstance(tokens, Counted):
            return tokens.count
        return len(tokens) if isinstance(tokens, tuple) else self.number("vocab_size")

    def text(self, key: str) -> str:
        value = self.metadata.get(key)
        return value if isinstance(value, str) else ""

    def number(self, key: str, default: int = 0) -> int:
        """An integer of the architecture, such as `block_count`."""
        value = self.metadata.get(f"{self.architecture}.{key}")
        return value if isinstance(value, int) else default

    def per_layer(self, key: str, layers: int, default: int = 0) -> tuple[int, ...]:
        """A value that the file gives once for all layers, or as one number a layer."""
        value = self.metadata.get(f"{self.architecture}.{key}")
        if isinstance(value, tuple):
            numbers = [int(v) for v in value if not isinstance(v, str)]
            return tuple((numbers + [default] * layers)[:layers])
        return (value if isinstance(value, int) else default,) * layers

    def tensor(self, name: str) -> Tensor | None:
        return next((tensor for tensor in self.tensors if tensor.name == name), None)
