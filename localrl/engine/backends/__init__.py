"""Which backend runs a model, and why.

`auto` takes servers when endpoints are named, MLX for an MLX folder, MLX on an Apple machine that has an MLX
build of the card, and llama.cpp otherwise.
"""

from __future__ import annotations

import importlib.util
import platform
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from localrl.catalog import card as cards
from localrl.catalog.resolve import LocalModel, resolve
from localrl.engine.backends.server import address
from localrl.errors import Unavailable, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

Name = Literal["llama.cpp", "scripted", "mlx", "server"]
NEEDS = {"mlx": "mlx_lm", "server": "aiohttp"}
"""The module that a backend's extra installs."""


@dataclass(frozen=True, slots=True)
class Choice:
    backend: Name
    model: LocalModel
    why: str
    endpoints: tuple[str, ...] = ()


def available(backend: Name) -> bool:
    """Whether what the backend needs is installed; nothing of it is imported."""
    return backend not in NEEDS or importlib.util.find_spec(NEEDS[backend]) is not None


def choose(model: str, backend: Name | Literal["auto"] = "auto", endpoints: Sequence[str] = ()) -> Choice:
    """Choose the backend, and find the model's files for it.

    Raises:
        UsageError: the model is not here, or not in a form that the backend runs.
        Unavailable: the backend is not installed.
    """
    choice = _choose(model, backend, tuple(address.checked(url) for url in endpoints))
    if not available(choice.backend):
        raise Unavailable(
            f"the backend {choice.backend} is not installed", hint=f"pip install 'localrl[{choice.backend}]'"
        )
    return choice


def _choose(model: str, backend: str, endpoints: tuple[str, ...]) -> Choice:
    if backend == "server" or (backend == "auto" and endpoints):
        if not endpoints:
            raise UsageError("no server is named", hint="give one with --endpoint http://host:8000/v1")
        why = "asked for" if backend == "server" else "endpoints were named"
        return Choice("server", _served(model), why, endpoints)
    if endpoints:
        raise UsageError(f"--endpoint is for --backend server, not for {backend}")
    if backend == "scripted":
        return Choice("scripted", resolve(model), "asked for")
    if backend == "auto":
        return _local(model)
    found = resolve(_with_weights(model, "mlx" if backend == "mlx" else "gguf"))
    if found.path.is_dir() != (backend == "mlx"):
        form = "a folder of MLX weights" if backend == "mlx" else "a .gguf file"
        raise UsageError(f"{backend} needs {form}; {found.path} is none")
    return Choice("mlx" if backend == "mlx" else "llama.cpp", found, "asked for")


def _local(model: str) -> Choice:
    if apple_silicon() and available("mlx") and (named := _with_weights(model, "mlx")) != model:
        try:
            return Choice("mlx", resolve(named), "an Apple machine with an MLX build of this model")
        except UsageError:
            pass  # it is not here; a GGUF file may be
    found = resolve(model)
    if found.path.is_dir():
        return Choice("mlx", found, "the model is an MLX folder")
    if apple_silicon():
        return Choice("llama.cpp", found, "no MLX build of this model is here")
    return Choice("llama.cpp", found, "the model is a GGUF file")


def apple_silicon() -> bool:
    return sys.platform == "darwin" and platform.machine() == "arm64"


def _with_weights(model: str, form: Literal["gguf", "mlx"]) -> str:
    """A card's bare name with its default quantisation in this form; anything else as it is."""
    if model in cards.available():
        card = cards.load(model)
        weights = card.mlx if form == "mlx" else card.gguf
        return f"{model}:{weights.default}" if weights else model
    return model


def _served(model: str) -> LocalModel:
    """A model that servers hold: by a card's name, or by its name there, for which there may be a card."""
    known = cards.available()
    name = model.partition(":")[0] if model.partition(":")[0] in known else model
    for card in [cards.load(name)] if name in known else cards.every()[0]:
        if name == card.name or name.casefold() == card.base.casefold():
            wanted = card.base if name == card.name and card.base else name
            return LocalModel(card.name, Path(wanted), card, model.partition(":")[2] if name != model else "")
    return LocalModel(model, Path(model))
