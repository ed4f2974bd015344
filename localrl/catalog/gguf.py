"""Read a GGUF header without trusting a byte of it.

llama.cpp is handed a file only after `preflight` has walked its header: every count and length lies within
the file, every tensor has 1 to 4 positive dimensions, a known type and whole blocks, no name occurs twice,
and the data that the header promises is there. Large arrays (vocabularies) are walked, not kept, so memory
stays flat, and the same reader works on byte ranges fetched from a hub. What the numbers then mean for
llama.cpp is checked in `gguf_checks`.

Format: ggml's docs/gguf.md; every integer is little-endian.
"""

from __future__ import annotations

import math
import struct
from typing import TYPE_CHECKING, Final

from localrl.catalog import shards
from localrl.catalog.ggml import TYPES
from localrl.catalog.gguf_checks import check_model, check_shards
from localrl.catalog.gguf_header import STRING, Counted, Header, Scalar, Source, Tensor, Value
from localrl.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

MAX_KEYS: Final = 1 << 16
MAX_TENSORS: Final = 1 << 20
MAX_STRING: Final = 16 << 20
"""Longest single string: chat templates and grammars stay far below."""
MAX_ARRAY: Final = 1 << 26
KEPT_NUMBERS: Final = 4096
"""Arrays of numbers up to this length are kept (per-layer values); longer ones are only counted."""
KEPT_STRINGS: Final = 64
BYTE_TOKENS: Final = frozenset(b"<0x%02X>" % byte for byte in range(256))
LEAST_ALIGNMENT: Final = 32
"""llama.cpp reads tensors where they are in the file, and ends its process at others."""
WINDOW: Final = 1 << 20
"""Bytes asked of the source at a time."""

SCALARS: Final = {
    0: struct.Struct("<B"),
    1: struct.Struct("<b"),
    2: struct.Struct("<H"),
    3: struct.Struct("<h"),
    4: struct.Struct("<I"),
    5: struct.Struct("<i"),
    6: struct.Struct("<f"),
    7: struct.Struct("<?"),
    10: struct.Struct("<Q"),
    11: struct.Struct("<q"),
    12: struct.Struct("<d"),
}
ARRAY: Final = 9


class LocalFile:
    """A file on this machine, read in windows and never mapped."""

    def __init__(self, path: Path) -> None:
        self.name = path.name
        try:
            self._file = path.open("rb")
            self.size = path.stat().st_size
        except OSError as error:
            raise UsageError(f"cannot read {path}: {error.strerror}") from error

    def read(self, offset: int, length: int) -> bytes:
        try:
            self._file.seek(offset)
            return self._file.read(length)
        except OSError as error:
            raise UsageError(f"cannot read {self.name}: {error.strerror}") from error

    def close(self) -> None:
        self._file.close()


def preflight(path: Path) -> Header:
    """Check a `.gguf` file, with all its shards, before llama.cpp sees it.

    Raises:
        UsageError: the file is no GGUF, is cut short, or promises what it does not hold.
    """
    parts = [read_local(part) for part in shards.files(path)]
    header = check_shards(parts)
    check_model(header)
    return header


def read_local(path: Path) -> Header:
    """Walk the header of one file, whatever model it holds.

    Raises:
        UsageError: the file is no GGUF, or is cut short.
    """
    if path.is_dir():
        raise UsageError(f"{path} is a folder, not a GGUF file")
    source = LocalFile(path)
    try:
        return read_header(source)
    finally:
        source.close()


def read_header(source: Source, *, data: bool = True) -> Header:
    """Walk one file's header.

    Args:
        source: where the bytes come from.
        data: also require that the tensor data lies within the source's size.

    Raises:
        UsageError: in one line, what is wrong with the file.
    """
    cursor = _Cursor(source)
    _check_magic(cursor)
    version = cursor.u32()
    if version not in (2, 3):
        swapped = int.from_bytes(version.to_bytes(4, "little"), "big") in (2, 3)
        raise cursor.bad(
            "is big-endian" if swapped else f"has GGUF version {version}", hint="pull a newer file"
        )
    tensor_count, key_count = cursor.u64(), cursor.u64()
    if tensor_count > MAX_TENSORS or key_count > MAX_KEYS:
        raise cursor.bad(f"claims {tensor_count} tensors and {key_count} keys")
    metadata, kinds = _read_metadata(cursor, key_count)
    alignment = metadata.get("general.alignment", 32)
    if not isinstance(alignment, int) or alignment <= 0 or alignment & (alignment - 1) or alignment > 1 << 20:
        raise cursor.bad(f"has the alignment {alignment!r}, which is not a power of two")
    if alignment < LEAST_ALIGNMENT:
        raise cursor.bad(f"has the alignment {alignment}, less than llama.cpp's {LEAST_ALIGNMENT}")
    tensors = _read_tensors(cursor, tensor_count, alignment)
    start = _padded(cursor.position, alignment)
    if tensors and data:
        end = start + tensors[-1].offset + tensors[-1].bytes
        if end > source.size:
            raise UsageError(
                f"{source.name}: the file is cut short: expected {end} bytes, found {source.size}",
                hint="pull it again",
            )
    return Header(source.name, version, metadata, kinds, tensors, cursor.position, source.size)


def _check_magic(cursor: _Cursor) -> None:
    magic = cursor.peek(16)
    if magic[:4] == b"GGUF":
        cursor.skip(4)
        return
    if magic.startswith(b"version https://"):
        raise cursor.bad("is a Git LFS pointer, not the model", hint="pull it again")
    if magic.lstrip()[:1] == b"<":
        raise cursor.bad("is a web page, not a GGUF model", hint="pull it again")
    if not magic:
        raise cursor.bad("is empty", hint="pull it again")
    raise cursor.bad("is not a GGUF model", hint="only .gguf files and MLX folders can be loaded")


def _read_metadata(cursor: _Cursor, count: int) -> tuple[dict[str, Value], dict[str, int]]:
    metadata: dict[str, Value] = {}
    kinds: dict[str, int] = {}
    for _ in range(count):
        key = cursor.string(limit=1024)
        if not key or key in metadata:
            raise cursor.bad(f"has the key {_shown(key)} twice" if key else "has a key without a name")
        kind = cursor.u32()
        if kind == ARRAY:
            kind, metadata[key] = _read_array(cursor, key)
        else:
            metadata[key] = _read_scalar(cursor, kind, key)
        kinds[key] = kind
    return metadata, kinds


def _read_scalar(cursor: _Cursor, kind: int, key: str) -> Scalar:
    if kind == STRING:
        return cursor.string(limit=MAX_STRING)
    if kind not in SCALARS:
        raise cursor.bad(f"has a value of unknown type {kind} at {_shown(key)}")
    value: Scalar = SCALARS[kind].unpack(cursor.take(SCALARS[kind].size))[0]
    return value


def _read_array(cursor: _Cursor, key: str) -> tuple[int, Value]:
    kind, count = cursor.u32(), cursor.u64()
    if kind != STRING and kind not in SCALARS:
        raise cursor.bad(f"has an array of unknown type {kind} at {_shown(key)}")
    each = 8 if kind == STRING else SCALARS[kind].size
    if count > MAX_ARRAY or count * each > cursor.left:
        raise cursor.bad(f"claims {count} values at {_shown(key)}, more than it holds")
    if kind == STRING:
        if count <= KEPT_STRINGS:
            return kind, tuple(cursor.string(limit=MAX_STRING) for _ in range(count))
        if key == "tokenizer.ggml.tokens":
            seen = cursor.skip_strings(count, collect=True)
            if repeated := count - len(seen):
                raise cursor.bad(f"has {repeated} tokens twice")
            return kind, Counted(kind, count, seen.issuperset(BYTE_TOKENS))
        cursor.skip_strings(count)
    elif count <= KEPT_NUMBERS:
        code = SCALARS[kind].format[1:]
        return kind, struct.unpack(f"<{count}{code}", cursor.take(count * each))
    else:
        cursor.skip(count * each)
    return kind, Counted(kind, count)


def _read_tensors(cursor: _Cursor, count: int, alignment: int) -> tuple[Tensor, ...]:
    tensors: list[Tensor] = []
    names: set[str] = set()
    expected = 0
    for _ in range(count):
        name = cursor.string(limit=63)
        if not name or name in names:
            raise cursor.bad(
                f"has the tensor {_shown(name)} twice" if name else "has a tensor without a name"
            )
        names.add(name)
        dimensions = cursor.u32()
        if not 1 <= dimensions <= 4:
            raise cursor.bad(f"has {dimensions} dimensions in the tensor {_shown(name)}")
        shape = struct.unpack(f"<{dimensions}Q", cursor.take(8 * dimensions))
        number, offset = cursor.u32(), cursor.u64()
        kind = TYPES.get(number)
        if kind is None:
            raise cursor.bad(f"has the unknown type {number} in the tensor {_shown(name)}")
        if min(shape) < 1 or math.prod(shape) >= 1 << 62 or shape[0] % kind.block:
            raise cursor.bad(f"has the shape {list(shape)} in the tensor {_shown(name)} of type {kind.name}")
        if offset != expected:
            raise cursor.bad(f"puts the tensor {_shown(name)} at {offset} instead of {expected}")
        tensors.append(Tensor(name, shape, kind, offset))
        expected += _padded(tensors[-1].bytes, alignment)
    return tuple(tensors)


class _Cursor:
    """A position in a source, with a window of bytes around it."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._window = b""
        self._start = 0
        self._at = 0

    @property
    def position(self) -> int:
        return self._start + self._at

    @property
    def left(self) -> int:
        return self._source.size - self.position

    def bad(self, what: str, *, hint: str = "") -> UsageError:
        return UsageError(f"{self._source.name} {what}", hint=hint or "the file is damaged: pull it again")

    def peek(self, length: int) -> bytes:
        self._fill(length)
        return self._window[self._at : self._at + length]

    def take(self, length: int) -> bytes:
        end = self._at + length
        if end > len(self._window):
            if length > self.left:
                raise self._cut()
            self._fill(length)
            end = self._at + length
            if end > len(self._window):
                raise self._cut()
        taken = self._window[self._at : end]
        self._at = end
        return taken

    def skip(self, length: int) -> None:
        if length > self.left:
            raise self._cut()
        self._at += length

    def u32(self) -> int:
        return int.from_bytes(self.take(4), "little")

    def u64(self) -> int:
        return int.from_bytes(self.take(8), "little")

    def string(self, *, limit: int) -> str:
        length = self._length(limit)
        try:
            return self.take(length).decode()
        except UnicodeDecodeError as error:
            raise self.bad(f"has a text that is not UTF-8 at byte {self.position}") from error

    def skip_strings(self, count: int, *, collect: bool = False) -> set[bytes | int]:
        """Step over strings (vocabularies hold 150,000), inside the window where it can.

        Returns, if asked to collect them, the different ones as llama.cpp tells them apart: up to the first
        NUL, and every empty one is its own.
        """
        seen: set[bytes | int] = set()
        length_at = struct.Struct("<Q").unpack_from
        while count:
            window, at = self._window, self._at
            last = len(window) - 8
            while count and 0 <= at <= last:
                end: int = at + 8 + length_at(window, at)[0]
                if end > last + 8:
                    break
                if collect:
                    seen.add(window[at + 8 : end].partition(b"\0")[0] or count)
                at = end
                count -= 1
            self._at = at
            if count:
                seen.add(self.take(self._length(MAX_STRING)).partition(b"\0")[0] or count)
                count -= 1
                self._fill(8)
        return seen

    def _length(self, limit: int) -> int:
        length = self.u64()
        if length > limit:
            raise self.bad(f"has a text of {length} bytes at byte {self.position}")
        return length

    def _fill(self, length: int) -> None:
        if self._at + length <= len(self._window):
            return
        self._start, self._at = self.position, 0
        self._window = self._source.read(self._start, max(length, WINDOW))

    def _cut(self) -> UsageError:
        return self.bad(
            f"is cut short inside its header (found {self._source.size} bytes)", hint="pull it again"
        )


def _padded(length: int, alignment: int) -> int:
    return -(-length // alignment) * alignment


def _shown(name: str) -> str:
    return repr(name if len(name) <= 60 else name[:57] + "...")
