"""mlx-lm's batch generator as a `PaddedDevice`. Only this module touches mlx and mlx-lm.

mlx-lm is pinned exactly: the generator's interface changes with patch releases.
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from localrl import installation
from localrl.engine import logprobs
from localrl.engine.backends.mlx.padded import Drawn
from localrl.engine.backends.mlx.token_bytes import TokenBytes
from localrl.engine.backends.mlx.vocabulary import encoder
from localrl.engine.protocol import EngineSettings, GroupRequest, ModelInfo, TokenLogprob
from localrl.errors import Unavailable, UsageError
from localrl.machine import hardware

if TYPE_CHECKING:
    from collections.abc import Sequence

    from localrl.engine.prompts import PromptEncoder
    from localrl.sampling import Sampling

MOST_ROWS = 32
MOST_ROWS_APPLE = 16
"""Careful: large batches have brought whole Macs down (mlx-lm issues 883 and 1666)."""
PREFILL_ROWS = 8
PREFILL_TOKENS = 512
FREE_SHARE = 0.9
"""Of the working set that the system recommends; the rest is for computing."""
LAYER_COUNTS = ("num_hidden_layers", "num_layers", "n_layers", "n_layer")
"""How configs name the number of layers."""
LONGEST_HEADER = 100_000_000
"""Bytes of JSON in a safetensors file, by its own definition."""
NO_CODE = {"trust_remote_code": False}
UNLOADABLE = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    ImportError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""What mlx-lm raises for a folder whose files do not fit each other."""


def wired_limit_advice(needed_bytes: int, working_set_bytes: int, memory_bytes: int) -> str:
    """What to do on a Mac when a model needs more than the GPU may keep wired; empty when it need not.

    The limit is the system's `iogpu.wired_limit_mb`, which returns to its default with the next start.
    """
    room = memory_bytes - (8 << 30)  # what the system and its programs need themselves
    if needed_bytes <= working_set_bytes or needed_bytes > room:
        return ""
    return f"sudo sysctl iogpu.wired_limit_mb={min(room, needed_bytes * 5 // 4) >> 20}"


class RowSampler(NamedTuple):
    """What mlx-lm's generator takes of a row."""

    draw: Any
    """None where the generator's own greedy one serves all rows in one call."""
    processors: list[Any]


class MlxDevice:
    """A model folder, loaded in the process that calls this.

    Raises (when made):
        UsageError: the folder is no model that mlx-lm can run.
        Unavailable: mlx-lm is not installed, or there is not enough memory.
    """

    cell_step = 256

    def __init__(self, settings: EngineSettings) -> None:
        folder = Path(settings.model)
        _check(folder, settings)
        try:
            import mlx.core as mx
            import mlx_lm
        except ImportError as error:
            raise Unavailable(f"mlx-lm cannot be loaded: {error}", hint=installation.extra("mlx")) from error
        self._mx = mx
        self._model, tokenizer = _load(folder)
        self._settings = settings
        self._weight_bytes = mx.get_active_memory()
        self._generate = importlib.import_module("mlx_lm.generate")
        self._make_cache = importlib.import_module("mlx_lm.models.cache").make_prompt_cache
        config = json.loads((folder / "config.json").read_text())
        config = {**(config.get("text_config") or {}), **config}
        self.cell_bytes, self._row_bytes = self._probe()
        self.longest = _longest(config)
        self.cells = settings.context or self._affordable_cells()
        self.longest = min(self.longest, self.cells)
        self.most_rows = settings.parallel or (MOST_ROWS_APPLE if mx.metal.is_available() else MOST_ROWS)
        self._generator = self._generate.BatchGenerator(
            self._model,
            max_tokens=sys.maxsize,  # limits and ends are the streams' own
            completion_batch_size=self.most_rows,
            prefill_batch_size=min(PREFILL_ROWS, self.most_rows),
            prefill_step_size=PREFILL_TOKENS,
        )
        self._done: dict[int, int] = {}
        self._ends = {int(token) for token in tokenizer.eos_token_ids}
        self._pieces = TokenBytes(tokenizer, settings.tags, settings.shown)
        self._prompts = encoder(tokenizer, settings)
        self._vocabulary = self._prompts.vocabulary
        self.info = self._describe(mlx_lm.__version__, config)

    # -- loading

    def _probe(self) -> tuple[int, int]:
        """Bytes of a token in the cache, and of a row however short; the first pass warms up, too."""
        mx = self._mx
        cache = self._make_cache(self._model)
        if not all(hasattr(part, "merge") for part in cache):
            raise UsageError("mlx-lm cannot batch this architecture")
        self._model(mx.zeros((1, 1), mx.int32), cache=cache)
        mx.eval([part.state for part in cache])
        per_token = per_row = 0
        for part in [inner for outer in cache for inner in getattr(outer, "caches", [outer])]:
            keys = getattr(part, "keys", None)
            if keys is not None and keys.ndim == 4:  # (row, head, token, element), with room for more tokens
                per_token += part.nbytes // keys.shape[2]
            else:
                per_row += part.nbytes
        return max(1, per_token), per_row

    def _affordable_cells(self) -> int:
        """Tokens of cache in what the weights leave of the memory."""
        mx = self._mx
        if mx.metal.is_available():
            working_set = int(mx.device_info()["max_recommended_working_set_size"])
            free = int(FREE_SHARE * working_set) - self._weight_bytes
            if free < self.cell_bytes * self.cell_step:
                advice = wired_limit_advice(
                    self._weight_bytes + (2 << 30), working_set, hardware.probe().memory_bytes
                )
                raise Unavailable("the weights leave no memory for a cache", hint=advice)
        else:
            free = hardware.probe().memory_bytes // 4
        return max(self.cell_step, free // self.cell_bytes)

    def _describe(self, version: str, config: dict[str, Any]) -> ModelInfo:
        mx = self._mx
        flatten = importlib.import_module("mlx.utils").tree_flatten
        quantised = config.get("quantization") or {}
        return ModelInfo(
            backend="mlx",
            version=version,
            context=self.cells,
            parameters=sum(
                value.size * (32 // int(quantised.get("bits", 32)) if value.dtype == mx.uint32 else 1)
                for name, value in flatten(self._model.parameters())
                if not name.endswith((".scales", ".biases"))
            ),
            description=str(config.get("model_type", "")),
            template_sha256=self._prompts.template_sha256,
            bos=self._vocabulary.bos,
            eos=self._vocabulary.eos,
            chat_template=self._prompts.template,
            on_processor=not mx.metal.is_available(),
            settings={
                "mlx": mx.__version__,
                "device": "Metal" if mx.metal.is_available() else "CPU",
                "cache_type": "f16",
                "cache_bytes_per_token": self.cell_bytes,
                "padded_cache": True,
                "most_rows": self.most_rows,
            },
        )

    # -- text

    def encode(self, group: GroupRequest) -> tuple[list[int], bool]:
        if group.grammar:
            raise UsageError("mlx-lm holds no answer to a grammar", hint="use a GGUF build of the model")
        return self._prompts.encode(group)

    def tokenize(self, text: str, *, ends: bool = False, control: bool = False) -> list[int]:
        return self._vocabulary.tokenize(text, ends=ends, control=control)

    def token_bytes(self, token: int) -> bytes:
        return self._pieces[token]

    def piece(self, token: int) -> bytes:
        return self._vocabulary.piece(token)

    def is_end(self, token: int) -> bool:
        return token in self._ends

    # -- computing

    def logprob(self, logits: Any, token: int, top: int) -> TokenLogprob:
        return logprobs.of_token(np.array(logits.astype(self._mx.float32)), token, top)

    def prefill(self, cache: Any, tokens: Sequence[int], outputs: bool) -> tuple[Any, Sequence[Any]]:
        mx = self._mx
        with mx.stream(self._generator.stream):
            cache = self._make_cache(self._model) if cache is None else cache
            logits = self._model(mx.array([list(tokens)]), cache=cache)
            mx.eval([part.state for part in cache], *([logits] if outputs else []))
        return cache, logits[0] if outputs else ()

    def insert(self, tokens: list[int], known: int, cache: Any, sampler: Any) -> int:
        # Caches are copied when they are merged into the batch, so samples may begin with the same one.
        (number,) = self._generator.insert(
            [tokens[known:]],
            caches=[cache] if cache is not None else None,
            all_tokens=[tokens[:known]],
            samplers=[sampler.draw],
            logits_processors=[sampler.processors],
        )
        self._done[number] = 0
        return int(number)

    def sampler(self, sampling: Sampling, seed: int, prompt: int, drawn: int) -> RowSampler:
        draw = None if sampling.temperature == 0.0 else _sampler(self._mx, sampling, seed, drawn)
        return RowSampler(draw, [_penalties(self._mx, sampling, prompt)] if sampling.penalises else [])

    def next(self) -> tuple[int, list[Drawn]]:
        prompts, drawn = self._generator.next()
        computed = 0
        for prompt in prompts:
            done = prompt.progress[0]
            computed += done - self._done[prompt.uid]
            self._done[prompt.uid] = done
        return computed, [Drawn(response.uid, response.token, response.logprobs) for response in drawn]

    def remove(self, rows: list[int]) -> None:
        self._generator.remove(rows)
        for row in rows:
            del self._done[row]

    def detach(self, row: int) -> Any:
        cache, _ = self._generator.remove([row], return_prompt_caches=True)[row]
        del self._done[row]
        return cache

    def peak_memory_bytes(self) -> int:
        return int(self._mx.get_peak_memory())

    def close(self) -> None:
        self._prompts.close()
        self._generator.close()


def _penalties(mx: Any, sampling: Sampling, prompt: int) -> Any:
    """From the tokens of a row, of which the first are its prompt, and logits (1, vocabulary) to logits."""

    def penalise(tokens: Any, logits: Any) -> Any:
        none = mx.zeros(logits.shape[-1])
        seen, counts = none.at[tokens].add(1.0) > 0, none.at[tokens[prompt:]].add(1.0)
        by = sampling.repetition_penalty
        logits = mx.where(seen, mx.where(logits > 0, logits / by, logits * by), logits)
        return logits - sampling.frequency_penalty * counts - sampling.presence_penalty * (counts > 0)

    return penalise


def _sampler(mx: Any, sampling: Sampling, seed: int, drawn: int) -> Any:
    """From log-probabilities (1, vocabulary) to a token (1,): top_k, top_p, min_p, temperature, draw.

    The key of each draw is made of the seed and its number, so a row draws the same wherever it stands in the
    batch, and goes on the same after it was preempted.
    """

    def sample(logprobs: Any) -> Any:
        nonlocal drawn
        key = mx.random.key((seed & 0xFFFFFFFF) << 32 | drawn)
        drawn += 1
        candidates = None
        if sampling.top_k and sampling.top_k < logprobs.shape[-1]:
            candidates = mx.argpartition(-logprobs, sampling.top_k - 1, axis=-1)[..., : sampling.top_k]
            logprobs = mx.take_along_axis(logprobs, candidates, axis=-1)
        if sampling.top_p < 1:
            order = mx.argsort(-logprobs, axis=-1)
            logprobs = mx.take_along_axis(logprobs, order, axis=-1)
            candidates = order if candidates is None else mx.take_along_axis(candidates, order, axis=-1)
            chances = mx.softmax(logprobs.astype(mx.float32), axis=-1)
            before = mx.cumsum(chances, axis=-1) - chances
            logprobs = mx.where(before < sampling.top_p, logprobs, -mx.inf)
        if sampling.min_p > 0:
            floor = logprobs.max(axis=-1, keepdims=True) + mx.log(mx.array(sampling.min_p))
            logprobs = mx.where(logprobs >= floor, logprobs, -mx.inf)
        chosen = mx.random.categorical(logprobs * (1 / sampling.temperature), key=key)
        if candidates is None:
            return chosen
        return mx.take_along_axis(candidates, chosen[:, None], axis=-1).squeeze(-1)

    return sample


def _check(folder: Path, settings: EngineSettings) -> None:
    """Refuse what mlx-lm cannot run, or should not."""
    if not folder.is_dir() or not (folder / "config.json").is_file():
        raise UsageError(f"{folder} is no folder with an MLX model: it has no config.json")
    if settings.cache_type not in (None, "f16"):
        raise UsageError("mlx-lm does not quantise the cache of a batch", hint="leave out --cache-type")
    for name in ("config.json", "tokenizer_config.json"):
        try:
            found = json.loads((folder / name).read_bytes()) if (folder / name).is_file() else {}
        except ValueError as error:
            raise UsageError(f"{folder / name} is no JSON: {error}") from error
        parts = [found, found.get("text_config") or {}] if isinstance(found, dict) else [found]
        if not all(isinstance(part, dict) for part in parts):
            raise UsageError(f"{folder / name} is no description of a model")
        for part in parts if name == "config.json" else []:
            _longest(part)
            _check_layers(part, folder)
        for key in ("model_file", "auto_map"):
            if any(key in part for part in parts):
                raise UsageError(f"{folder} wants to run its own code ({key} in {name}); this is not done")


def _check_layers(config: dict[str, Any], folder: Path) -> None:
    """mlx-lm makes all the layers that a config names before it looks at a file; each has a tensor at least.

    Raises:
        UsageError: the files hold too few tensors for them.
    """
    said = max((config[key] for key in LAYER_COUNTS if isinstance(config.get(key), int)), default=0)
    held = sum(_tensors(path) for path in folder.glob("*.safetensors"))
    if said > held:
        raise UsageError(
            f"config.json names {said:,} layers, but the files of {folder} hold {held:,} tensors",
            hint="the folder is damaged; pull the model again",
        )


def _tensors(path: Path) -> int:
    """How many tensors the header of a safetensors file names; 0 where mlx will not read it either."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        try:
            return len(json.loads(file.read(min(length, LONGEST_HEADER))))
        except (ValueError, TypeError, RecursionError):
            return 0


def _longest(config: dict[str, Any]) -> int:
    """Most tokens in one row.

    Raises:
        UsageError: the config says nothing that could be meant.
    """
    said = config.get("max_position_embeddings") or 1 << 20
    if not isinstance(said, int) or said < 1:
        raise UsageError(f"config.json counts max_position_embeddings as {said!r}")
    return said


def prompts(settings: EngineSettings) -> PromptEncoder:
    """Rendering and tokenising as the device does, without the weights.

    Raises:
        UsageError: the folder is no model that mlx-lm can run.
    """
    folder = Path(settings.model)
    _check(folder, settings)
    utils = importlib.import_module("mlx_lm.utils")
    try:
        return encoder(utils.load_tokenizer(folder, NO_CODE), settings)
    except UNLOADABLE as error:
        raise UsageError(f"mlx-lm cannot load {folder}: {error}") from error


def _load(folder: Path) -> tuple[Any, Any]:
    mlx_lm = importlib.import_module("mlx_lm")
    try:
        return mlx_lm.load(str(folder), tokenizer_config=NO_CODE)  # type: ignore[no-any-return]
    except UNLOADABLE as error:
        raise UsageError(f"mlx-lm cannot load {folder}: {error}") from error
