"""Ask llama.cpp what it would allocate, without allocating it.

`python -m localrl.engine.backends.llama_cpp.allocation` reads a `Question` as JSON from standard input, sets
model and context up with `no_alloc`, and prints an `Answer`: in a child process, because a native library may
die on a file that nobody has loaded before. With `allocate` it allocates for real, to check the promise.
"""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from localrl import isolated
from localrl.catalog.fit import BATCH_TOKENS, OUTPUT_ROWS, SEQUENCES
from localrl.errors import Unavailable, UsageError
from localrl.tomlfile import Strict

if TYPE_CHECKING:
    from pathlib import Path

CACHE_NUMBERS = {"f16": 1, "q8_0": 8, "q4_0": 2}
"""ggml's numbers of the cache types."""
MIB = 1 << 20
TIMEOUT_S = 120


class Question(Strict):
    path: str
    context: int
    cache_type: str = "f16"
    gpu_layers: int = -1
    sequences: int = SEQUENCES
    batch: int = BATCH_TOKENS
    outputs: int = OUTPUT_ROWS
    allocate: bool = False


class Answer(Strict):
    """Bytes by device, such as `CPU` or `CUDA0`; weights only where they were allocated."""

    weights: dict[str, int]
    cache: int
    compute: dict[str, int]

    def compute_on(self, kind: str) -> int:
        """Compute buffers on the accelerator, or on the processor where there is none."""
        host = sum(size for name, size in self.compute.items() if "CPU" in name or "Host" in name)
        return host if kind == "cpu" else (sum(self.compute.values()) - host or host)


def measure(question: Question) -> Answer:
    """Let a child process ask llama.cpp.

    Raises:
        UsageError: llama.cpp cannot set the model up like this.
        Unavailable: the child did not answer.
    """
    try:
        child = subprocess.run(
            isolated.command("localrl.engine.backends.llama_cpp.allocation"),
            input=question.model_dump_json(),
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            env=isolated.environment() | {"GGML_NO_BACKTRACE": "1", "HF_HUB_OFFLINE": "1"},
        )
    except subprocess.TimeoutExpired as error:
        raise Unavailable(f"llama.cpp did not answer in {TIMEOUT_S} s") from error
    if child.returncode == 0:
        return Answer.model_validate_json(child.stdout)
    last = (child.stderr.strip().splitlines() or ["no message"])[-1]
    if child.returncode == UsageError.exit_code:
        raise UsageError(last)
    raise Unavailable(f"llama.cpp died while planning (exit {child.returncode}): {last}")


class Measured:
    """A `fit.Measure` for one file on one kind of device; answers are remembered."""

    def __init__(self, path: Path, kind: str, sequences: int = SEQUENCES) -> None:
        self._path, self._kind, self._sequences = path, kind, sequences
        self._answers: dict[tuple[int, str, int], int] = {}

    def __call__(self, cells: int, cache_type: str, gpu_layers: int) -> int:
        key = (cells, cache_type, gpu_layers)
        if key not in self._answers:
            question = Question(
                path=str(self._path),
                context=cells,
                cache_type=cache_type,
                gpu_layers=gpu_layers,
                sequences=self._sequences,
                outputs=min(OUTPUT_ROWS, self._sequences),
            )
            self._answers[key] = measure(question).compute_on(self._kind)
        return self._answers[key]


def may_repack(lib: Any) -> bool:
    """Whether weights may be laid out anew for this processor; `lib` is the module `llama_cpp`.

    Not where that means AMX, which server processors have: llama.cpp's kernels for it crash at the first
    batch on some of them (ggml-org/llama.cpp #20824), and its other kernels take the weights as they are.
    """
    return b"AMX_INT8 = 1" not in lib.llama_print_system_info()


def ask(question: Question) -> Answer:
    """Set model and context up in this process, and read what llama.cpp logs about its buffers."""
    import llama_cpp as lib

    lines: list[str] = []

    def remember(_level: int, text: bytes, _data: object) -> None:
        lines.append(text.decode(errors="replace").strip())

    callback = lib.llama_log_callback(remember)
    lib.llama_log_set(callback, None)
    lib.llama_backend_init()
    params = lib.llama_model_default_params()
    params.n_gpu_layers = question.gpu_layers
    params.use_extra_bufts = may_repack(lib)
    if not question.allocate:
        params.no_alloc, params.load_mode = True, 0
    model = lib.llama_model_load_from_file(question.path.encode(), params)
    if not model:
        raise UsageError(f"llama.cpp cannot load {question.path}: {_reason(lines)}")
    loading = list(lines)
    settings = lib.llama_context_default_params()
    settings.n_ctx, settings.n_seq_max = question.context, question.sequences
    settings.n_outputs_max = question.outputs
    settings.kv_unified = True
    settings.type_k = settings.type_v = CACHE_NUMBERS[question.cache_type]
    answers = []
    # Without allocating, llama.cpp only measures the graph of a full batch; allocating, it also reserves the
    # one of one token a sequence, which can be the larger: ask for both.
    for batch in [question.batch] if question.allocate else [question.batch, question.sequences]:
        settings.n_batch = settings.n_ubatch = batch
        del lines[:]
        context = lib.llama_init_from_model(model, settings)
        if not context:
            raise UsageError(f"llama.cpp cannot make a context of {question.context}: {_reason(lines)}")
        answers.append(read_sizes(loading + lines))
        lib.llama_free(context)
    first, last = answers[0], answers[-1]
    compute = {name: max(size, last.compute.get(name, 0)) for name, size in first.compute.items()}
    return Answer(weights=first.weights, cache=first.cache, compute=compute)


SIZE = r"size\s*=\s*([\d.]+) MiB"


def read_sizes(lines: list[str]) -> Answer:
    """What llama.cpp logged: `CPU_Mapped model buffer size`, `KV ... size`, `CPU compute buffer size`."""
    weights: dict[str, int] = {}
    compute: dict[str, int] = {}
    cache = 0
    for line in lines:
        if found := re.search(rf"(\S+)\s+model buffer {SIZE}", line):
            weights[found[1]] = weights.get(found[1], 0) + int(float(found[2]) * MIB)
        elif found := re.search(rf"(\S+)\s+compute buffer {SIZE}", line):
            compute[found[1]] = int(float(found[2]) * MIB)
        elif found := re.search(rf"llama_(?:kv_cache|memory_recurrent)\w*:\s+{SIZE}", line):
            cache += int(float(found[1]) * MIB)
    return Answer(weights=weights, cache=cache, compute=compute)


def _reason(lines: list[str]) -> str:
    return next((line for line in lines if "error" in line or "fail" in line), "no reason given")


def main() -> None:
    try:
        print(ask(Question.model_validate_json(sys.stdin.read())).model_dump_json())
    except UsageError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
