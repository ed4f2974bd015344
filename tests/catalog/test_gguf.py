"""A damaged or hostile model file is refused in one line, in little memory, before llama.cpp sees it."""

from __future__ import annotations

import os
import random
import shutil
import struct
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from localrl.catalog import ggml, gguf
from localrl.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    TinyGguf = Callable[..., Path]


class Bytes:
    """A source that holds the header in memory and claims the size of the whole file."""

    def __init__(self, data: bytes, size: int | None = None) -> None:
        self.name, self.size, self._data = "mutant.gguf", len(data) if size is None else size, data

    def read(self, offset: int, length: int) -> bytes:
        return self._data[offset : offset + length]


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value.encode())) + value.encode()


def u32(key: str, value: int) -> bytes:
    return text(key) + struct.pack("<II", 4, value)


def tensor(name: str, shape: list[int], kind: int = 0, offset: int = 0) -> bytes:
    return text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, kind, offset)


def header(keys: list[bytes], tensors: list[bytes], *, counts: tuple[int, int] | None = None) -> bytes:
    found = counts or (len(tensors), len(keys))
    return b"GGUF" + struct.pack("<IQQ", 3, *found) + b"".join(keys) + b"".join(tensors)


def test_the_starter_model_says_what_it_is(starter_file: Path) -> None:
    found = gguf.preflight(starter_file)
    assert (found.architecture, found.quantisation, found.parameters) == ("llama", "Q4_1", 134_515_008)
    assert (found.vocabulary, found.context_length, found.number("block_count")) == (49_152, 8192, 30)
    assert found.chat_template.startswith("{% for message")


def test_block_sizes_are_those_of_the_library() -> None:
    import gguf as reference

    sizes = {int(kind): size for kind, size in reference.GGML_QUANT_SIZES.items()}
    ours = {number: (kind.block, kind.size) for number, kind in ggml.TYPES.items()}
    assert {number: sizes[number] for number in ours} == ours
    names = {number: kind.name.upper() for number, kind in ggml.TYPES.items()}
    assert names == {number: reference.GGMLQuantizationType(number).name for number in names}


def test_a_text_named_gguf_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "x.gguf").write_text("hello\nworld\n" * 100)
    with pytest.raises(UsageError, match=r"^x\.gguf is not a GGUF model; only \.gguf files"):
        gguf.preflight(tmp_path / "x.gguf")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer"),
        (b"<!DOCTYPE html><html>", "web page"),
        (b"GGUF" + struct.pack(">I", 3) + bytes(64), "big-endian"),
        (b"GGUF" + struct.pack("<I", 9) + bytes(64), "version 9"),
        (b"GGUF\x03", "cut short inside its header"),
        (header([], [], counts=(1 << 40, 0)), "claims 1099511627776 tensors"),
        (header([], [], counts=(0, 1 << 63)), "keys"),
        (header([text("k") + struct.pack("<IQ", 8, 1 << 62)], []), "text of"),
        (header([text("k") + struct.pack("<IIQ", 9, 4, 1 << 25)], []), "more than it holds"),
        (header([text("k") + struct.pack("<IIQ", 9, 9, 1)], []), "array of unknown type 9"),
        (header([text("k") + struct.pack("<I", 77)], []), "unknown type 77"),
        (header([u32("k", 1), u32("k", 1)], []), "'k' twice"),
        (header([struct.pack("<Q", 2) + b"\xff\xfe" + bytes(8)], []), "not UTF-8"),
        (header([u32("general.alignment", 24)], []), "not a power of two"),
        (header([u32("general.alignment", 0)], []), "not a power of two"),
        (header([], [tensor("t", [])]), "0 dimensions"),
        (header([], [tensor("t", [1] * 5)]), "5 dimensions"),
        (header([], [tensor("t", [0])]), "shape"),
        (header([], [tensor("t", [1 << 42, 1 << 42])]), "shape"),
        (header([], [tensor("t", [33], kind=2)]), "shape"),
        (header([], [tensor("t", [32], kind=4)]), "unknown type 4"),
        (header([], [tensor("t", [8], offset=32)]), "at 32 instead of 0"),
        (header([], [tensor("t", [8]), tensor("t", [8], offset=32)]), "'t' twice"),
        (header([], [tensor("x" * 64, [8])]), "text of 64 bytes"),
        (header([], [tensor("t", [1 << 40])]), "cut short: expected 4398046511"),
        (header([], []), "names no architecture"),
    ],
)
def test_what_llama_cpp_would_stumble_over_is_refused(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "bad.gguf").write_bytes(content)
    with pytest.raises(UsageError) as caught:
        gguf.preflight(tmp_path / "bad.gguf")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kept", [0.9, 0.5, 0.001])
def test_a_model_cut_short_names_both_sizes(tiny_gguf: TinyGguf, tmp_path: Path, kept: float) -> None:
    whole = tiny_gguf("whole").read_bytes()
    (tmp_path / "cut.gguf").write_bytes(whole[: int(len(whole) * kept)])
    with pytest.raises(UsageError, match=r"cut short.*found \d+.*pull it again"):
        gguf.preflight(tmp_path / "cut.gguf")


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("llama.block_count", 513, "outside 1 to 512"),
        ("llama.block_count", 0, "outside 1 to 512"),
        ("llama.embedding_length", 0, "embedding_length"),
        ("llama.attention.head_count", 1 << 31, "head_count"),
    ],
)
def test_numbers_outside_llama_cpp_bounds_are_refused(
    tiny_gguf: TinyGguf, tmp_path: Path, key: str, value: int, words: str
) -> None:
    whole = tiny_gguf("whole").read_bytes()
    at = whole.index(text(key)) + len(text(key)) + 4
    (tmp_path / "bad.gguf").write_bytes(whole[:at] + struct.pack("<I", value) + whole[at + 4 :])
    with pytest.raises(UsageError, match=words):
        gguf.preflight(tmp_path / "bad.gguf")


@pytest.mark.parametrize(
    ("addition", "words"),
    [
        ({"nextn_predict_layers": 2}, "nextn_predict_layers"),
        ({"expert_used_count": 3}, "uses 3 of 0 experts"),
        ({"expert_count": 8}, "uses 0 of 8 experts"),
        ({"general.alignment": 8}, "has the alignment 8, less"),
    ],
)
def test_numbers_that_end_llama_cpps_process_are_refused(
    tiny_gguf: TinyGguf, tmp_path: Path, addition: dict[str, int], words: str
) -> None:
    whole = tiny_gguf("whole").read_bytes()
    keys = int.from_bytes(whole[16:24], "little") + len(addition)
    added = b"".join(
        text(key if "." in key else f"llama.{key}") + struct.pack("<II", 4, value)
        for key, value in addition.items()
    )
    (tmp_path / "bad.gguf").write_bytes(whole[:16] + struct.pack("<Q", keys) + added + whole[24:])
    with pytest.raises(UsageError, match=words):
        gguf.preflight(tmp_path / "bad.gguf")


def test_a_model_without_a_tokenizer_or_with_one_of_another_kind_is_refused(
    tiny_gguf: TinyGguf, tmp_path: Path
) -> None:
    whole = tiny_gguf("whole").read_bytes()
    name = text("tokenizer.ggml.model") + struct.pack("<I", 8)
    for kind, words in (("none", "no tokenizer"), ("llama", "without scores"), ("bert", "and merges")):
        (tmp_path / "bad.gguf").write_bytes(whole.replace(name + text("gpt2"), name + text(kind)))
        with pytest.raises(UsageError, match=words):
            gguf.preflight(tmp_path / "bad.gguf")


def test_shards_are_read_as_one_model(tiny_gguf: TinyGguf, tmp_path: Path) -> None:
    first, second = split(tiny_gguf("whole"), tmp_path)
    joined, whole = gguf.preflight(first), gguf.preflight(tiny_gguf("whole"))
    assert (joined.parameters, joined.weight_bytes) == (whole.parameters, whole.weight_bytes)
    assert joined.shards == 2
    with pytest.raises(UsageError, match=r"name m-00001-of-00002\.gguf instead"):
        gguf.preflight(second)
    second.write_bytes(first.read_bytes())
    with pytest.raises(UsageError, match="is not part 2 of 2"):
        gguf.preflight(first)
    second.unlink()
    with pytest.raises(UsageError, match="1 of the model's 2 parts are missing"):
        gguf.preflight(first)


def split(path: Path, folder: Path) -> tuple[Path, Path]:
    """Write the model's tensors to two shards, as llama.cpp's gguf-split does."""
    import gguf as writing

    reader = writing.GGUFReader(path)
    half = len(reader.tensors) // 2
    paths = folder / "m-00001-of-00002.gguf", folder / "m-00002-of-00002.gguf"
    for number, tensors in enumerate((reader.tensors[:half], reader.tensors[half:])):
        writer = writing.GGUFWriter(paths[number], "llama")
        if number == 0:
            for name, entry in reader.fields.items():
                if not name.startswith("GGUF.") and name != "general.architecture":
                    types = [*entry.types, None]
                    writer.add_key_value(name, entry.contents(), types[0], sub_type=types[1])
        writer.add_uint16("split.no", number)
        writer.add_uint16("split.count", 2)
        writer.add_int32("split.tensors.count", len(reader.tensors))
        for entry in tensors:
            writer.add_tensor(entry.name, entry.data, raw_dtype=entry.tensor_type)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
    return paths


def mutants(head: bytes, count: int, seed: int) -> Iterator[bytes]:
    """Headers with some bytes flipped, numbers made extreme, pieces cut out or repeated."""
    rng = random.Random(seed)
    extremes = [0, 1, 2, 0x7F, 0xFF, 1 << 16, (1 << 31) - 1, 1 << 31, (1 << 32) - 1, 1 << 62, (1 << 64) - 1]
    for _ in range(count):
        data = bytearray(head)
        # Most of a header is vocabulary: aim half of the blows at the keys and half at the tensor list.
        where = rng.randrange(4096) if rng.random() < 0.5 else len(data) - 1 - rng.randrange(8192)
        at = max(0, min(where, len(data) - 9))
        match rng.randrange(5):
            case 0:
                for _ in range(rng.randrange(1, 9)):
                    data[min(len(data) - 1, at + rng.randrange(256))] = rng.randrange(256)
            case 1:
                data[at : at + 8] = struct.pack("<Q", rng.choice(extremes))
            case 2:
                data[at : at + 4] = struct.pack("<I", rng.choice(extremes) & 0xFFFFFFFF)
            case 3:
                del data[at : at + rng.randrange(1, 64)]
            case _:
                data[at:at] = data[at : at + rng.randrange(1, 64)]
        yield bytes(data)


def accepted(data: bytes, size: int) -> bool:
    """Whether the checks let the header pass; anything but one line of refusal fails the test."""
    from localrl.catalog.gguf_checks import check_model, check_shards

    try:
        check_model(check_shards([gguf.read_header(Bytes(data, size))]))
    except UsageError as error:
        message = str(error)
    else:
        return True
    assert "\n" not in message
    assert len(message) < 600
    return False


LOADER = """
import sys, llama_cpp
quiet = llama_cpp.llama_log_callback(lambda *a: None)
llama_cpp.llama_log_set(quiet, None)
llama_cpp.llama_backend_init()
for line in sys.stdin:
    params = llama_cpp.llama_model_default_params()
    model = llama_cpp.llama_model_load_from_file(line.strip().encode(), params)
    if model:
        context = llama_cpp.llama_context_default_params()
        context.n_ctx = context.n_batch = context.n_ubatch = 64
        made = llama_cpp.llama_init_from_model(model, context)
        if made:
            llama_cpp.llama_free(made)
        llama_cpp.llama_model_free(model)
    print("loaded" if model else "refused", flush=True)
"""


class Loader:
    """llama.cpp in a child process, started again whenever a file kills it."""

    def __init__(self) -> None:
        self.deaths = 0
        self._start()

    def _start(self) -> None:
        self._child = subprocess.Popen(
            [sys.executable, "-c", LOADER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=os.environ | {"GGML_NO_BACKTRACE": "1"},
        )

    def load(self, path: Path) -> str:
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._child.stdin.write(f"{path}\n")
        self._child.stdin.flush()
        if answer := self._child.stdout.readline().strip():
            return answer
        self.close()
        self.deaths += 1
        self._start()
        return "died"

    def close(self) -> None:
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._child.stdin.close()
        self._child.stdout.close()
        self._child.wait()


# Walking the starter's vocabulary takes 50 ms, so most of the mutations go to the tiny model.
MUTATIONS = int(os.environ.get("LOCALRL_MUTATIONS", "10000"))


@pytest.mark.slow
def test_mutations_of_a_tiny_model_are_refused_or_load(tiny_gguf: TinyGguf, tmp_path: Path) -> None:
    whole = tiny_gguf("whole").read_bytes()
    length = gguf.preflight(tiny_gguf("whole")).header_bytes
    outcomes = {"refused": 0, "loaded": 0, "died": 0, "preflight": 0}
    loader = Loader()
    path = tmp_path / "mutant.gguf"
    for data in mutants(whole[:length], MUTATIONS * 19 // 20, seed=1):
        if not accepted(data, len(data) + len(whole) - length):
            outcomes["preflight"] += 1
            continue
        path.write_bytes(data + whole[length:])
        outcomes[loader.load(path)] += 1
    loader.close()
    print(outcomes)
    assert outcomes["preflight"] > MUTATIONS / 4
    assert outcomes["loaded"] > 0
    assert outcomes["died"] == 0


@pytest.mark.slow
def test_mutations_of_the_starter_model_are_refused_or_load(starter_file: Path, tmp_path: Path) -> None:
    length, size = gguf.preflight(starter_file).header_bytes, starter_file.stat().st_size
    head = starter_file.read_bytes()[:length]
    passed = [
        data for data in mutants(head, MUTATIONS // 50, seed=2) if accepted(data, len(data) + size - length)
    ]
    assert len(passed) < MUTATIONS / 100
    copy = tmp_path / "mutant.gguf"
    shutil.copy(starter_file, copy)
    loader = Loader()
    outcomes = {"refused": 0, "loaded": 0, "died": 0}
    for data in [data for data in passed if len(data) == length][:10]:
        with copy.open("r+b") as file:
            file.write(data)
        outcomes[loader.load(copy)] += 1
    loader.close()
    print(len(passed), outcomes)
    assert outcomes["loaded"] > 0
    assert outcomes["died"] == 0
