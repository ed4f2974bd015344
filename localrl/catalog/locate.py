"""Where on this machine the model is that a name means.

MODEL is a card's name, a card's name with a quantisation, a hub repo (`owner/name[:file]` or
`owner/name:QUANTISATION`), Ollama's name, or a path to a `.gguf` file or an MLX folder. Which backend runs it
is decided in `engine.resolve`.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from localrl import installation
from localrl.catalog import card as cards
from localrl.catalog import hubcache, inventory, reference, shards
from localrl.errors import LocalrlError, UsageError, nearest

if TYPE_CHECKING:
    from localrl.catalog.reference import Reference

STARTER = "smollm2-135m"


@dataclass(frozen=True, slots=True)
class LocalModel:
    """A model that can be loaded now."""

    name: str
    path: Path
    """The `.gguf` file (the first shard of several), or an MLX folder."""
    card: cards.Card | None = None
    quantisation: str = ""


def locate(model: str, weights: cards.WeightFormat | None = None) -> LocalModel:
    """Find a model on this machine.

    Args:
        weights: of a card without a quantisation, take only these, if it has any.

    Raises:
        UsageError: nothing of this name is here; says how to get it.
    """
    known = cards.available()
    base, _, quantisation = model.partition(":")
    path = Path(model).expanduser()
    if model and base not in known and (path.is_file() or path.is_dir()):
        return _from_path(path)
    if base in known and not quantisation:
        return _from_card(cards.load(base), weights)
    try:
        wanted = reference.parse(model)
        found = find(wanted) if wanted else None
    except UsageError:
        if held := _from_ollama(model):
            return held
        raise
    if found or (base not in known and (found := _from_ollama(model))):
        return found
    if wanted:
        raise _absent(wanted)
    if base in known:
        return _from_package(cards.load(base), quantisation)
    if "/" in model or model.endswith(".gguf"):
        raise UsageError(f"no model file {model}")
    raise UsageError(f"no model named {model!r}", hint=nearest(model, known))


def is_here(model: str) -> bool:
    """Whether `locate` finds it."""
    try:
        locate(model)
    except LocalrlError:
        return False
    return True


def _from_card(card: cards.Card, form: cards.WeightFormat | None) -> LocalModel:
    """The default quantisation of a card, or another that is here already."""
    preferred = {"gguf": card.gguf, "mlx": card.mlx}[form] if form else None
    given = [preferred] if preferred else [weights for weights in (card.gguf, card.mlx) if weights]
    names = [weights.default for weights in given]
    names += [name for weights in given for name in weights.quantisations]
    every = [reference.of_card(card, name) for name in dict.fromkeys(names)]
    if here := next((here for wanted in every if wanted and (here := find(wanted))), None):
        return here
    if first := every[0] if every else reference.of_card(card):
        raise _absent(first)
    return _from_package(card)


def _absent(wanted: Reference) -> UsageError:
    return UsageError(f"{wanted.name} is not on this machine", hint=f"`localrl models pull {wanted.name}`")


def find(wanted: Reference) -> LocalModel | None:
    """What a reference means on this machine, all its files from one commit; None where it is not here."""
    every = (hubcache.files_of(wanted.repo, folder) for folder in hubcache.snapshots(wanted.repo))
    return next((model for cached in every if (model := _find_in(cached, wanted))), None)


def _find_in(cached: dict[str, hubcache.CachedFile], wanted: Reference) -> LocalModel | None:
    try:
        chosen = wanted.select(cached)
    except UsageError:
        return None
    files = sorted(cached[path].file for path in chosen)
    name = wanted.card.name if wanted.card else wanted.repo
    if any(count != len(parts) for count, parts in shards.groups(map(str, files))):
        return None
    if files[0].suffix != ".gguf":
        return LocalModel(name, _folder(files), wanted.card, wanted.quantisation)
    quantisation = wanted.quantisation or reference.quantisation_of(files[0].name)
    return LocalModel(name, files[0], wanted.card, quantisation)


def _folder(files: list[Path]) -> Path:
    return next((path.parent for path in files if path.name == "config.json"), files[0].parent)


def _from_path(path: Path) -> LocalModel:
    """A file or folder; one whose file name is in a card's repo belongs to that card."""
    if path.is_dir() and not (path / "config.json").is_file():
        raise UsageError(
            f"the folder {path} is no MLX model: it has no config.json", hint="name a .gguf file in it"
        )
    for card in cards.every()[0].values():
        if card.package and card.package.file == path.name:
            return LocalModel(name=path.stem, path=path, card=card)
        for quantisation, entry in (card.gguf.quantisations if card.gguf else {}).items():
            if entry.files and hubcache.matches(path.name, Path(entry.files).name) and "*" not in entry.files:
                return LocalModel(path.stem, path, card, quantisation)
    return LocalModel(name=path.stem, path=path, quantisation=reference.quantisation_of(path.name))


def _from_ollama(model: str) -> LocalModel | None:
    """What Ollama holds under a name such as `qwen3:8b`."""
    held = next((held for held in inventory.ollama() if held.name in (model, f"{model}:latest")), None)
    return LocalModel(held.name, held.path, quantisation=held.quantisation) if held else None


def _from_package(card: cards.Card, quantisation: str = "") -> LocalModel:
    assert card.package is not None
    held = reference.quantisation_of(card.package.file)
    if quantisation and quantisation.upper() != held:
        raise UsageError(f"{card.name} has no quantisation {quantisation!r}", hint=f"it has {held}")
    module = importlib.util.find_spec(card.package.module)
    path = Path(module.origin).parent / card.package.file if module and module.origin else None
    if path is None or not path.is_file():
        raise UsageError(
            f"{card.name} comes with the extra {card.package.extra!r}, which is not installed",
            hint=installation.extra(card.package.extra),
        )
    return LocalModel(card.name, path, card, held)
