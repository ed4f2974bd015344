"""Which accelerators llama.cpp's build can use, and the machine as it then is.

llama.cpp knows of cards that nothing else here asks about, such as AMD's and Intel's, and may have been built
for none of those that are there.
"""

from __future__ import annotations

import ctypes
import json
import sys
from dataclasses import dataclass, replace
from typing import Any

import llama_cpp as lib

from localrl.machine import hardware

GPU, INTEGRATED = 1, 2
"""ggml's numbers of the types of devices: with memory of their own, and sharing the processor's."""


@dataclass(frozen=True, slots=True)
class Accelerator:
    name: str
    free_bytes: int
    """Of the device's memory, now."""
    integrated: bool


def usable() -> list[Accelerator]:
    """What layers can be offloaded to; empty for a build for the processor, or without a working driver."""
    if not lib.llama_supports_gpu_offload():
        return []
    try:
        from llama_cpp._ggml import libggml  # private: it may go
    except (ImportError, OSError):
        return [Accelerator("an accelerator", 0, integrated=True)]
    libggml.ggml_backend_dev_count.restype = ctypes.c_size_t
    libggml.ggml_backend_dev_get.restype = ctypes.c_void_p
    libggml.ggml_backend_dev_description.restype = ctypes.c_char_p
    found = []
    for index in range(libggml.ggml_backend_dev_count()):
        device = ctypes.c_void_p(libggml.ggml_backend_dev_get(ctypes.c_size_t(index)))
        kind = int(libggml.ggml_backend_dev_type(device))
        if kind in (GPU, INTEGRATED):
            free, total = ctypes.c_size_t(), ctypes.c_size_t()
            libggml.ggml_backend_dev_memory(device, ctypes.byref(free), ctypes.byref(total))
            name = libggml.ggml_backend_dev_description(device).decode("utf-8", errors="replace")
            found.append(Accelerator(name, free.value, kind == INTEGRATED))
    return found


def unified_is_slow() -> bool:
    """Whether attention looks at all cells of a unified cache, those of other streams too, at full cost.

    CUDA's kernels do (and AMD's, which are built from them); Metal's and the processor's pass over what is
    masked.
    """
    return sys.platform != "darwin"


def machine() -> hardware.Machine:
    """This machine as llama.cpp will use it."""
    known, found = hardware.probe(), usable()
    if not found:
        return hardware.cpu_only(known)
    if known.kind != "cpu" or all(one.integrated for one in found):
        return known
    own = [one for one in found if not one.integrated]
    free = sum(max(0, one.free_bytes - hardware.MARGIN) for one in own)
    return replace(known, device=own[0].name, kind="cuda", usable_bytes=free)


def library() -> dict[str, Any]:
    """What is installed: version, whether it was built for an accelerator, and those that it can use."""
    return {
        "version": lib.__version__,
        "gpu_offload": bool(lib.llama_supports_gpu_offload()),
        "accelerators": [one.name for one in usable()],
    }


if __name__ == "__main__":  # in a process of its own: a broken build can end the one that imports it
    print(json.dumps(library()))
