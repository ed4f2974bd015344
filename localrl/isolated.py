"""Start interpreters of our own, in which neither the current folder nor `PYTHON*` variables bring in code.

    command("localrl.engine.worker")    the words to start a module of ours with
    environment("OPENAI_API_KEY")       what it may know of the environment, and these

A person types `localrl` in the folder of a download, where a `queue.py` may lie; and a library that reads a
stranger's file has no business with the keys that are kept in variables.
"""

from __future__ import annotations

import os
import runpy
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import BinaryIO

_FLAGS = ("-E", "-P")
_NAMES = {
    *("PATH", "HOME", "USER", "LOGNAME", "LANG", "LANGUAGE", "TZ", "TMPDIR", "TEMP", "TMP", "SYSTEMROOT"),
    *("LD_LIBRARY_PATH", "LD_PRELOAD", "DYLD_LIBRARY_PATH", "HF_HOME", "HF_HUB_CACHE", "NO_COLOR"),
}
_FAMILIES = (
    *("LC_", "XDG_", "LOCALRL_", "GGML_", "LLAMA_", "GOMP_", "OMP_", "KMP_", "OPENBLAS_", "MKL_", "BLIS_"),
    *("CUDA_", "NVIDIA_", "NCCL_", "HIP_", "ROCR_", "ROCM_", "HSA_", "AMD_", "GPU_", "VK_", "ONEAPI_"),
    *("ZE_", "SYCL_", "MTL_", "METAL_", "MLX_"),
)
_SECRET = ("KEY", "TOKEN", "SECRET", "PASSWORD")


def command(module: str) -> list[str]:
    """The words that run a module of localrl as a program."""
    return [sys.executable, *_FLAGS, __file__, module]


def environment(*more: str) -> dict[str, str]:
    """The variables that concern the machine and its libraries, and those of the names given."""
    return {name: value for name, value in os.environ.items() if name in more or _harmless(name)}


def take_pipes() -> tuple[BinaryIO, BinaryIO]:
    """In such a child: requests and replies of its parent; what anything prints goes to stderr."""
    commands = os.fdopen(os.dup(0), "rb")
    answers = os.fdopen(os.dup(1), "wb")
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(2, 1)
    return commands, answers


def _harmless(name: str) -> bool:
    known = name in _NAMES or name.startswith(_FAMILIES)
    return known and not any(word in name for word in _SECRET)


def main() -> None:
    """`python isolated.py MODULE`: localrl is found where this file is, after all that is installed."""
    sys.path.append(str(Path(__file__).parent.parent))
    runpy.run_module(sys.argv.pop(1), run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
