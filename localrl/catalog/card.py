"""What a model is: one TOML file in `models/`, with everything needed to find, fit, prompt and judge it.

A number stands in a card only with the page it comes from; what no source says is left out, and estimates are
made where they are shown, not written down.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal

from pydantic import Field, model_validator

from localrl import tomlfile
from localrl.catalog.ggml import TYPES
from localrl.catalog.shape import Shape
from localrl.chat import ThinkingTags
from localrl.definitions import definitions
from localrl.errors import LocalrlError, UsageError, nearest
from localrl.sampling import Sampling
from localrl.tomlfile import Strict

if TYPE_CHECKING:
    from pathlib import Path

WeightFormat = Literal["gguf", "mlx"]
"""How the files of a model are laid out."""

BITS_PER_WEIGHT = {
    "Q2_K": 3.16,
    "Q3_K_S": 3.64,
    "Q3_K_M": 4.00,
    "Q3_K_L": 4.30,
    "IQ4_XS": 4.46,
    "Q4_0": 4.66,
    "Q4_1": 5.74,
    "Q4_K_S": 4.67,
    "Q4_K_M": 4.89,
    "Q5_K_S": 5.57,
    "Q5_K_M": 5.70,
    "Q6_K": 6.56,
    "Q8_0": 8.50,
    "BF16": 16.0,
    "F16": 16.0,
    "MXFP4": 4.25,
    "4bit": 4.5,
    "6bit": 6.5,
    "8bit": 8.5,
    "bf16": 16.0,
}
"""Whole-file bits a parameter: llama.cpp's tools/quantize/README.md (Llama-3.1-8B); MLX with groups of 64;
Q4_1, of the starter only, as its file has it."""


class PackageFile(Strict):
    """A model file that comes inside a Python package."""

    module: str
    file: str
    extra: str
    """The localrl extra that installs the package."""


class Quantisation(Strict):
    """One way in which the weights are stored."""

    repo: str = ""
    """Where it has a hub repo of its own."""
    files: str = ""
    """Pattern of its files in the repo; all shards match it."""
    bytes: int | None = Field(default=None, gt=0)
    """Of all its files, where a source says so."""


class Weights(Strict):
    """The files for one backend."""

    repo: str = ""
    modelscope: str = ""
    """The repo with the same files on ModelScope."""
    default: str
    quantisations: dict[str, Quantisation]

    @model_validator(mode="after")
    def _complete(self) -> Weights:
        if self.default not in self.quantisations:
            raise ValueError(f"default {self.default!r} is not among the quantisations")
        for name, quantisation in self.quantisations.items():
            if not (quantisation.repo or self.repo):
                raise ValueError(f"quantisation {name!r} names no repo")
        return self

    def repo_of(self, quantisation: str) -> str:
        return self.quantisations[quantisation].repo or self.repo


class CardShape(Strict):
    """The model's `config.json`, in the words of `shape.Shape`."""

    layers: int = Field(ge=1)
    embedding: int = Field(ge=1)
    feed_forward: int = Field(ge=1)
    """Of one expert where there are experts."""
    heads: int = Field(ge=1)
    kv_heads: int = Field(ge=1)
    head_size: int = Field(ge=1)
    vocabulary: int = Field(ge=1)
    context: int = Field(ge=1)
    """Tokens that the model was trained for, or is said to reach."""
    tied: bool = False
    experts: int = 0
    experts_used: int = 0
    shared_cache_width: int = 0
    """MLA: elements that a layer keeps of one token, for keys and values together."""
    full_attention_interval: int = Field(default=1, ge=1)
    """Every so many layers one keeps a growing cache; the others keep a state of fixed size."""
    state_bytes: int = 0
    """Of one sequence, over all layers without a growing cache."""
    source: str


class PublishedScore(Strict):
    """A score that somebody reported for this model."""

    eval: str
    value: float = Field(ge=0, le=1)
    metric: str = "accuracy"
    samples: int | None = None
    """Samples a problem that were averaged, where known."""
    source: str


class EvalOverride(Strict):
    """How one eval is run for this model where its publishers did it otherwise; None leaves the eval's."""

    template: str | None = None
    """The user message; `{question}` is replaced."""
    system: str | None = None
    extractor: str | None = None
    """How the answer is found, such as `boxed|answer_line`."""
    sampling: Sampling | None = None
    samples: int | None = None
    source: str = ""


class Card(Strict):
    name: str
    title: str
    family: str = ""
    parameters: int = Field(gt=0)
    active_parameters: int | None = None
    """Used for one token, where that is fewer."""
    licence: str = ""
    base: str = ""
    """The repo of the original weights."""
    shape: CardShape | None = None
    thinking: ThinkingTags | None = None
    chat_template: str = Field(default="", pattern=r"^[^/\\]*$")
    """A file beside the card with the chat template to take in place of the one in the model's files."""
    template_notes: list[str] = []
    sampling: Sampling = Sampling()
    sampling_source: str = ""
    package: PackageFile | None = None
    gguf: Weights | None = None
    mlx: Weights | None = None
    published: list[PublishedScore] = []
    pitfalls: list[str] = []
    unconfirmed: list[str] = []
    """What is believed but no source at hand says."""
    evals: dict[str, EvalOverride] = {}
    """Overrides by eval name; a name may be a pattern such as `aime*`, and the first match counts."""

    @model_validator(mode="after")
    def _sourced(self) -> Card:
        if "sampling" in self.model_fields_set and not self.sampling_source:
            raise ValueError("sampling needs a sampling_source")
        return self

    def quantisations(self, form: WeightFormat = "gguf") -> list[str]:
        weights = self.gguf if form == "gguf" else self.mlx
        return list(weights.quantisations) if weights else []

    def weight_bytes(self, quantisation: str) -> tuple[int, bool]:
        """Size of a quantisation's files, and whether a source says so or it is estimated."""
        for weights in (self.gguf, self.mlx):
            if weights and quantisation in weights.quantisations:
                known = weights.quantisations[quantisation].bytes
                if known:
                    return known, True
        return int(self.parameters * BITS_PER_WEIGHT.get(quantisation, 16.0) / 8), False

    def at(self, quantisation: str) -> Shape | None:
        """The shape at one quantisation, from the card alone; None where the card holds no shape."""
        if self.shape is None:
            return None
        size, _ = self.weight_bytes(quantisation)
        return _shape(self, self.shape, quantisation, size)


def _shape(card: Card, shape: CardShape, quantisation: str, size: int) -> Shape:
    each = (shape.head_size * shape.kv_heads,) * 2
    if shape.shared_cache_width:
        each = (shape.shared_cache_width, 0)
    active = size * (card.active_parameters or card.parameters) // card.parameters
    embedding = _embedding_bytes(quantisation, shape.vocabulary * shape.embedding)
    used = shape.experts_used or 1
    return Shape(
        name=card.title,
        quantisation=quantisation,
        layers=shape.layers,
        embedding=shape.embedding,
        feed_forward=shape.feed_forward * used,
        vocabulary=shape.vocabulary,
        context_length=shape.context,
        kv_widths=(each,) * (shape.layers // shape.full_attention_interval),
        weight_bytes=size,
        embedding_bytes=embedding,
        tied=shape.tied,
        active_bytes=active if card.active_parameters else size - (0 if shape.tied else embedding),
        state_bytes=shape.state_bytes,
    )


def _embedding_bytes(quantisation: str, elements: int) -> int:
    """The token embedding has the type that the quantisation is named after: q4_K in a Q4_K_M."""
    base = re.sub("_[SML]$", "", quantisation.removeprefix("UD-")).lower()
    kind = next((kind for kind in TYPES.values() if kind.name.lower() == base), None)
    return kind.bytes(elements) if kind else int(elements * BITS_PER_WEIGHT.get(quantisation, 16.0) / 8)


def available() -> dict[str, Path]:
    """Every card by name."""
    return {name: found.path for name, found in definitions("models").items()}


def load(name: str) -> Card:
    """Read one card.

    Raises:
        UsageError: there is no such card; names the nearest.
        ConfigError: its file is malformed.
    """
    known = available()
    if name not in known:
        raise UsageError(f"no model named {name!r}", hint=nearest(name, known))
    return tomlfile.load(known[name], Card)


def every() -> tuple[dict[str, Card], list[LocalrlError]]:
    """All cards that can be read, by name, and for each other one what is wrong with it."""
    readable: dict[str, Card] = {}
    broken: list[LocalrlError] = []
    for name in sorted(available()):
        try:
            readable[name] = load(name)
        except LocalrlError as error:
            broken.append(error)
    return readable, broken
