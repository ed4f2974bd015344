"""Which backend runs a model, and why."""

from __future__ import annotations

import platform
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from localrl.catalog import card as cards
from localrl.catalog.resolve import LocalModel, resolve
from localrl.engine import backends
from localrl.engine.backends import Form
from localrl.engine.backends.server import address
from localrl.errors import Unavailable, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Choice:
    backend: str
    model: LocalModel
    why: str
    endpoints: tuple[str, ...] = ()


def choose(model: str, backend: str = "auto", endpoints: Sequence[str] = ()) -> Choice:
    """Choose the backend, and find the model's files for it.

    `auto` takes servers when endpoints are named, MLX for an MLX folder, MLX on an Apple machine that has an
    MLX build of the card, and llama.cpp otherwise.

    Raises:
        UsageError: there is no such backend, or the model is not here in a form that it runs.
        Unavailable: the backend is not installed.
    """
    choice = _choose(model, backend, tuple(address.checked(url) for url in endpoints))
    if not backends.available(choice.backend):
        install = backends.BACKENDS.get(choice.backend).INSTALL
        raise Unavailable(f"the backend {choice.backend} is not installed", hint=install)
    return choice


def _choose(model: str, backend: str, endpoints: tuple[str, ...]) -> Choice:
    if backend == "auto" and endpoints:
        return Choice("server", _served(model), "endpoints were named", endpoints)
    if backend == "auto":
        return _local(model)
    form = backends.BACKENDS.get(backend).FORM
    if form is Form.SERVED:
        if not endpoints:
            raise UsageError("no server is named", hint="give one with --endpoint http://host:8000/v1")
        return Choice(backend, _served(model), "asked for", endpoints)
    if endpoints:
        raise UsageError(f"--endpoint is for servers, not for --backend {backend}")
    found = resolve(_with_weights(model, form))
    if form is not Form.ANY and found.path.is_dir() != (form is Form.MLX):
        raise UsageError(f"{backend} needs {form}; {found.path} is none")
    return Choice(backend, found, "asked for")


def _local(model: str) -> Choice:
    if apple_silicon() and backends.available("mlx") and (named := _with_weights(model, Form.MLX)) != model:
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


def _with_weights(model: str, form: Form) -> str:
    """A card's bare name with its default quantisation in this form; anything else as it is."""
    if form is not Form.ANY and model in cards.available():
        card = cards.load(model)
        weights = card.mlx if form is Form.MLX else card.gguf
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
