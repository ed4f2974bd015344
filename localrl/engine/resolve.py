"""From what a person typed to what is loaded: which model, where it is, which backend runs it, and why.

Everything that runs a model asks here: benchmarks, conversations, measurements, servers and both interfaces.
"""

from __future__ import annotations

import contextlib
import platform
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from localrl.catalog import card as cards
from localrl.catalog import template
from localrl.catalog.locate import LocalModel, locate
from localrl.engine import backends
from localrl.engine.backends import Form
from localrl.engine.backends.server import address
from localrl.errors import Unavailable, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

FORMS: dict[Form, cards.WeightFormat] = {Form.GGUF: "gguf", Form.MLX: "mlx"}
"""A card's weights that a backend of this form takes."""


@dataclass(frozen=True, slots=True)
class Resolved:
    """The answer."""

    model: LocalModel
    backend: str
    why: str
    """Why this backend, in a few words."""
    endpoints: tuple[str, ...] = ()
    """Of servers, where the backend asks those."""
    chat_template: str | None = None
    """In place of the one in the model's files: what the person named, or the card."""


def resolve(
    model: str, backend: str = "auto", endpoints: Sequence[str] = (), chat_template: Path | None = None
) -> Resolved:
    """Find a model and the backend that runs it.

    `auto` takes servers when endpoints are named, MLX for an MLX folder, MLX on an Apple machine that has an
    MLX build of the card, and llama.cpp otherwise.

    Args:
        model: a card's name, a hub repo, a path or another program's name: see `catalog.locate`.
        endpoints: URLs of servers with OpenAI's API.
        chat_template: a file to take in place of the template in the model's files.

    Raises:
        UsageError: there is no such backend, the model is not here in a form that it runs, or the template
            cannot be taken.
        Unavailable: the backend is not installed.
    """
    addresses = tuple(address.checked(url) for url in endpoints)
    if backend != "auto":
        found = _asked_for(model, backend, addresses)
    elif addresses:
        found = Resolved(_served(model), "server", "endpoints were named", addresses)
    else:
        found = _local(model)
    if not backends.available(found.backend):
        install = backends.BACKENDS.get(found.backend).INSTALL
        raise Unavailable(f"the backend {found.backend} is not installed", hint=install)
    return replace(found, chat_template=_chat_template(found, chat_template))


def _chat_template(found: Resolved, named: Path | None) -> str | None:
    card = found.model.card
    if not backends.renders(found.backend):
        if named:
            raise UsageError(f"the backend {found.backend} takes no --chat-template: it renders none itself")
        return None
    if not named and card and card.chat_template:
        named = cards.available()[card.name].with_name(card.chat_template)
    return template.read(named) if named else None


def _asked_for(model: str, backend: str, endpoints: tuple[str, ...]) -> Resolved:
    form = backends.BACKENDS.get(backend).FORM
    if form is Form.SERVED:
        if not endpoints:
            raise UsageError("no server is named", hint="give one with --endpoint http://host:8000/v1")
        return Resolved(_served(model), backend, "asked for", endpoints)
    if endpoints:
        raise UsageError(f"--endpoint is for servers, not for --backend {backend}")
    found = locate(model, FORMS.get(form))
    if form is not Form.ANY and found.path.is_dir() != (form is Form.MLX):
        raise UsageError(f"{backend} needs {form}; {found.path} is none")
    return Resolved(found, backend, "asked for")


def _local(model: str) -> Resolved:
    found, why = locate(model), "the model is an MLX folder"
    apple = apple_silicon()
    if apple and backends.available("mlx") and model in cards.available():
        with contextlib.suppress(UsageError):  # then no MLX build is here
            found, why = locate(model, "mlx"), "an Apple machine with an MLX build of this model"
    if found.path.is_dir():
        return Resolved(found, "mlx", why)
    why = "no MLX build of this model is here" if apple else "the model is a GGUF file"
    return Resolved(found, "llama.cpp", why)


def apple_silicon() -> bool:
    return sys.platform == "darwin" and platform.machine() == "arm64"


def _served(model: str) -> LocalModel:
    """A model that servers hold: by a card's name, or by its name there, for which there may be a card."""
    known = cards.available()
    name = model.partition(":")[0] if model.partition(":")[0] in known else model
    for card in [cards.load(name)] if name in known else cards.every()[0].values():
        if name == card.name or name.casefold() == card.base.casefold():
            wanted = card.base if name == card.name and card.base else name
            return LocalModel(card.name, Path(wanted), card, model.partition(":")[2] if name != model else "")
    return LocalModel(model, Path(model))
