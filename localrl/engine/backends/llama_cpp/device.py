"""llama.cpp as a `BatchDevice`, through the low-level API of llama-cpp-python.

The high-level `Llama` class cannot batch requests; here one context holds all sequences: in a unified cache,
where copying a prompt to its samples moves nothing, or on CUDA each in a slot of its own. Only this module
and its helpers `llamacpp_*` import `llama_cpp`.
"""

from __future__ import annotations

import ctypes
import resource
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import llama_cpp as lib
import numpy as np

from localrl import formats
from localrl.catalog import fit, shape
from localrl.engine import logprobs
from localrl.engine.backends.llama_cpp import accelerators, library
from localrl.engine.backends.llama_cpp.adapter import LoadedAdapter
from localrl.engine.backends.llama_cpp.allocation import CACHE_NUMBERS, may_repack
from localrl.engine.backends.llama_cpp.batch import BatchArrays
from localrl.engine.backends.llama_cpp.grammar import ConstrainedSampler, compiled
from localrl.engine.backends.llama_cpp.sampler import Candidates, Sampler
from localrl.engine.backends.llama_cpp.spinning import Spinning
from localrl.engine.backends.llama_cpp.vocabulary import LlamaVocabulary
from localrl.engine.kv_cache.cache import MOST_PREFIXES
from localrl.engine.prompts import PromptEncoder
from localrl.engine.protocol import EngineSettings, GroupRequest, ModelInfo, TokenLogprob
from localrl.errors import Unavailable
from localrl.machine import hardware

if TYPE_CHECKING:
    from collections.abc import Sequence

    from localrl.engine.device import Batch
    from localrl.engine.protocol import Grammar
    from localrl.engine.stream import Stream
    from localrl.sampling import Sampling

BATCH_TOKENS = 512
"""Tokens in one forward pass; also llama.cpp's micro-batch, so a step is one pass and never several."""
SEQUENCES = 256
"""llama.cpp's own limit."""
ECHO_OUTPUTS = 64
"""Rows of logits in one forward pass at least, for prompts whose every token is asked about."""
IDLE_SHARE = 0.02
"""How much of a step of one stream may go into cells that nobody computes on."""
SPARE_SLOTS = 2
"""Beyond the streams': for the next prompt while all of them run, and one to move others through."""
FEWEST_SLOTS = {True: 16, False: 4}
"""With fewer streams of full length the cache is unified instead, on the processor and elsewhere."""
OFFLOAD_BYTES = 4 << 30
"""Most host memory for the prefix cache."""


class Slots(NamedTuple):
    """Parts of the cache, each for one sequence."""

    number: int
    size: int
    """Cells of each."""


class LlamaDevice:
    """One model and one context, loaded in the process that calls this.

    Raises (when made):
        UsageError: the file is no model that llama.cpp can load, or the context is impossible.
        Unavailable: there is not enough memory.
    """

    def __init__(self, settings: EngineSettings, unified: bool | None = None) -> None:
        """A cache that is not `unified` gives every sequence a slot; None decides by device and lengths."""
        header = library.begin(Path(settings.model))
        self._settings = settings
        self._shape = shape.from_header(header)
        machine = accelerators.machine()
        self._offloads = bool(accelerators.usable())
        on_processor = unified is None and not self._offloads
        if unified is None:
            unified = not (accelerators.unified_is_slow() if self._offloads else self._knows_streams())
        unified = unified or settings.parallel == 1 or bool(self._shape.state_bytes)
        self._plan = self._make_plan(machine, slots=not unified)
        self._slots = None if unified else self._fit_slots(on_processor)
        if self._slots is None and not unified:
            self._plan = self._make_plan(machine, slots=False)
        self.unified = self._slots is None
        self.max_sequences, self.most_streams = self._sequences()
        self._check_memory()
        self._model = self._load_model()
        self._vocabulary = LlamaVocabulary(self._model)
        self._vocab_size: Any = self._vocabulary.size
        self.partial = not (
            lib.llama_model_is_recurrent(self._model) or lib.llama_model_is_hybrid(self._model)
        )
        self._context = self._make_context()
        self._memory = lib.llama_get_memory(self._context)
        self._adapter = LoadedAdapter(self._model, self._context, header.architecture)
        self.cells = int(lib.llama_n_ctx(self._context))
        one = int(lib.llama_n_ctx_seq(self._context)) if self._slots else self.cells
        self.longest = min(one, int(lib.llama_model_n_ctx_train(self._model)) or one)
        self.batch_tokens = int(lib.llama_n_batch(self._context))
        self.state_bytes_per_token = self._shape.cache_bytes(256, self._plan.cache_type) // 256
        # One stream reads the active weights and its cells in every step.
        self.idle_cells = int(IDLE_SHARE * self._shape.active_bytes / max(1, self.state_bytes_per_token))
        if self._slots:  # then nobody else looks at them
            self.idle_cells = self.cells
        self.offload_bytes = min(OFFLOAD_BYTES, hardware.free_memory() // 8)
        self._batch = BatchArrays(self.batch_tokens)
        self._spinning = Spinning(self.threads)
        self._candidates = Candidates(self._vocab_size)
        self._pieces: dict[int, bytes] = {}
        self._ends = self._vocabulary.ends()
        self._shown = self._tag_tokens()
        self._prompts = PromptEncoder(settings.template(header.chat_template), self._vocabulary)
        self.info = self._describe()

    # -- loading

    def _knows_streams(self) -> bool:
        """Whether a processor may do with slots: it passes over masked cells, but one by one, layer by layer
        and head by head. A person's talk may grow, and comes back to what rests in the cache."""
        return self._settings.aim == "throughput" and self._settings.longest_stream is not None

    def _make_plan(self, machine: hardware.Machine, *, slots: bool) -> fit.Plan:
        settings = self._settings
        return fit.plan(
            self._shape,
            machine,
            tokens_per_stream=self._slot_tokens if slots else settings.tokens_per_stream,
            context=settings.context,
            cache_type=settings.cache_type,
            gpu_layers=settings.gpu_layers,
            streams=(settings.parallel or fit.STREAMS) + SPARE_SLOTS * slots,
        )

    @property
    def _slot_tokens(self) -> int:
        longest = self._settings.longest_stream or self._settings.tokens_per_stream
        return -(-longest // fit.STEP) * fit.STEP

    def _fit_slots(self, on_processor: bool) -> Slots | None:
        """Slots for the streams wanted, each as long as a stream may become; None where they do not fit."""
        size = self._slot_tokens
        count = min(self._plan.context // size, SEQUENCES)
        wanted = self._settings.parallel or FEWEST_SLOTS[on_processor]
        if count < wanted + SPARE_SLOTS:
            return None
        # Sharing a prompt copies a whole slot; on a processor that is to take no longer than a step or two.
        if on_processor and self._shape.cache_bytes(size, self._plan.cache_type) > self._shape.active_bytes:
            return None
        if self._settings.parallel:
            count = wanted + SPARE_SLOTS
        if self._settings.context:  # all that was asked for
            size = self._settings.context // count // fit.STEP * fit.STEP
        return Slots(count, size)

    def _sequences(self) -> tuple[int, int]:
        """How many sequences there are, and how many of them may be streams."""
        if self._slots:
            return self._slots.number, self._slots.number - SPARE_SLOTS
        count = SEQUENCES
        if self._shape.state_bytes:
            # Each sequence of a recurrent model holds a whole state.
            streams = self._settings.parallel or fit.RECURRENT_STREAMS
            count = min(SEQUENCES, streams + fit.SPARE_SEQUENCES)
        return count, count - 2 * MOST_PREFIXES

    def _check_memory(self) -> None:
        """Main memory is promised beyond what there is, and then the kernel kills: ask before."""
        if self._offloads and self._plan.gpu_layers:
            return
        needed, free = self._plan.memory.total - self._plan.memory.weights, hardware.free_memory()
        if needed > free:
            raise Unavailable(
                f"{self._plan.context:,} tokens of context need {formats.size(needed)}; "
                f"{formats.size(free)} are free",
                hint="ask for less with --ctx",
            )

    def _load_model(self) -> Any:
        params = lib.llama_model_default_params()
        params.n_gpu_layers = self._plan.gpu_layers
        if self._settings.main_gpu is not None:
            params.main_gpu, params.split_mode = self._settings.main_gpu, lib.LLAMA_SPLIT_MODE_NONE
        shares = (ctypes.c_float * lib.llama_max_devices())(*self._settings.tensor_split)
        if self._settings.tensor_split:
            params.tensor_split = shares
        params.use_extra_bufts = may_repack(lib)
        return library.load_model(self._settings.model, params)

    def _make_context(self) -> Any:
        params = lib.llama_context_default_params()
        params.n_ctx = self._slots.number * self._slots.size if self._slots else self._plan.context
        params.n_batch = params.n_ubatch = BATCH_TOKENS
        params.n_seq_max = self._slots.number if self._slots else self.max_sequences
        params.n_outputs_max = self.batch_outputs = max(params.n_seq_max, ECHO_OUTPUTS)
        params.kv_unified = not self._slots
        params.no_perf = True
        params.type_k = params.type_v = CACHE_NUMBERS[self._plan.cache_type]
        params.n_threads = params.n_threads_batch = self.threads = self._settings.threads or hardware.cores()
        context = lib.llama_init_from_model(self._model, params)
        if not context:
            raise Unavailable(
                f"no memory for a context of {params.n_ctx} tokens ({library.last_error()})",
                hint="ask for less with --ctx",
            )
        return context

    def _describe(self) -> ModelInfo:
        buffer = ctypes.create_string_buffer(256)
        lib.llama_model_desc(self._model, buffer, len(buffer))
        return ModelInfo(
            backend="llama.cpp",
            version=lib.__version__,
            context=self.cells,
            parameters=int(lib.llama_model_n_params(self._model)),
            description=buffer.value.decode("utf-8", errors="replace"),
            template_sha256=self._prompts.template_sha256,
            bos=self._vocabulary.bos,
            eos=self._vocabulary.eos,
            chat_template=self._prompts.template,
            on_processor=not self._offloads or self._plan.gpu_layers == 0,
            settings={
                "cache_type": self._plan.cache_type,
                "batch_tokens": self.batch_tokens,
                "slots": self._slots.number if self._slots else 0,
                "threads": self.threads,
                "gpu_layers": self._plan.gpu_layers,
                "gpu_offload": self._offloads,
            },
        )

    # -- text

    def encode(self, group: GroupRequest) -> tuple[list[int], bool]:
        if group.grammar:
            lib.llama_sampler_free(compiled(group.grammar, self._vocabulary.pointer))
        return self._prompts.encode(group)

    def tokenize(self, text: str, *, ends: bool = False, control: bool = False) -> list[int]:
        return self._vocabulary.tokenize(text, ends=ends, control=control)

    def token_bytes(self, token: int) -> bytes:
        known = self._pieces.get(token)
        if known is None:
            known = self._pieces[token] = self._vocabulary.piece(token, control=token in self._shown)
        return known

    def piece(self, token: int) -> bytes:
        return self._vocabulary.piece(token) if 0 <= token < self._vocab_size else b""

    def _tag_tokens(self) -> set[int]:
        """Special tokens that stand in the thinking tags, or have to be seen for other reasons."""
        tags = self._settings.tags
        visible = (tags.open + tags.close if tags else "") + self._settings.shown
        return set(self._vocabulary.tokenize(visible, control=True)) if visible else set()

    def is_end(self, token: int) -> bool:
        return token in self._ends

    # -- computing

    def decode(self, batch: Batch) -> bool:
        arrays = self._batch.fill(batch, by_slot=not self.unified)
        self._spinning.before(len(batch.tokens))
        status = lib.llama_decode(self._context, arrays)
        self._spinning.after(len(batch.tokens))
        if status == 1:
            return False
        if status != 0:
            raise Unavailable(f"llama_decode failed with {status}: {library.last_error()}")
        return True

    def logits(self, row: int) -> Any:
        return self._row(row).copy()

    def logprob(self, logits: Any, token: int, top: int) -> TokenLogprob:
        return logprobs.of_token(logits, token, top)

    def _row(self, row: int) -> Any:
        """The logits of one output row where llama.cpp keeps them, valid until the next forward pass."""
        pointer = lib.llama_get_logits_ith(self._context, row if self.unified else self._batch.places[row])
        address = ctypes.cast(pointer, ctypes.c_void_p).value
        return np.frombuffer((ctypes.c_float * self._vocab_size).from_address(address), np.float32)

    def sampler(self, sampling: Sampling, seed: int, prompt: Sequence[int], said: Sequence[int]) -> Any:
        return Sampler(sampling, seed, self._candidates, prompt, said)

    def constrained(self, sampler: Any, grammar: Grammar, stream: Stream) -> Any:
        return ConstrainedSampler(
            sampler, compiled(grammar, self._vocabulary.pointer), stream, self._candidates, self
        )

    def free_sampler(self, sampler: Any) -> None:
        sampler.close()

    def sample(self, sampler: Any, row: int) -> int:
        return int(sampler.draw(self._row(row)))

    def sample_from(self, sampler: Any, logits: Any) -> int:
        return int(sampler.draw(logits))

    # -- cells

    def share(self, source: int, target: int, tokens: int) -> None:
        if not self.unified:  # only whole ones can be copied
            lib.llama_memory_seq_cp(self._memory, source, target, -1, -1)
            lib.llama_memory_seq_rm(self._memory, target, tokens, -1)
            return
        # A recurrent state cannot be cut; its caller only asks for whole sequences.
        lib.llama_memory_seq_cp(
            self._memory, source, target, 0 if self.partial else -1, tokens if self.partial else -1
        )

    def truncate(self, sequence: int, tokens: int) -> None:
        lib.llama_memory_seq_rm(self._memory, sequence, tokens, -1)

    def remove(self, sequence: int) -> None:
        lib.llama_memory_seq_rm(self._memory, sequence, -1, -1)

    def move(self, source: int, target: int) -> None:
        lib.llama_memory_seq_cp(self._memory, source, target, -1, -1)
        lib.llama_memory_seq_rm(self._memory, source, -1, -1)

    def replace_prefix(self, source: int, target: int, tokens: int) -> None:
        lib.llama_memory_seq_rm(self._memory, target, 0, tokens)
        lib.llama_memory_seq_cp(self._memory, source, target, 0, tokens)

    def save(self, sequence: int) -> Any:
        size = lib.llama_state_seq_get_size(self._context, sequence)
        buffer = (ctypes.c_uint8 * size)()
        lib.llama_state_seq_get_data(self._context, buffer, size, sequence)
        return buffer

    def restore(self, sequence: int, state: Any) -> bool:
        return bool(lib.llama_state_seq_set_data(self._context, state, len(state), sequence))

    def set_adapter(self, path: str | None) -> None:
        self._adapter.replace(path)

    def peak_memory_bytes(self) -> int:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024

    def close(self) -> None:
        self._prompts.close()
        self._spinning.close()
        lib.llama_free(self._context)
        lib.llama_model_free(self._model)
