"""Models on this machine, whoever downloaded them: the hub's cache, LM Studio, Ollama and llama.cpp."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from localrl.catalog import hubcache, reference, shards

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


@dataclass(frozen=True, slots=True)
class InstalledModel:
    """One model that localrl can load by its path."""

    program: str
    name: str
    """As `localrl bench` takes it: a hub repo with its quantisation, Ollama's name, or a path."""
    path: Path
    """The first file, or the folder of an MLX model."""
    bytes: int
    quantisation: str


def everything() -> list[InstalledModel]:
    """All models found, by program and name; folders that cannot be read are passed over."""
    return sorted(
        [*hub_cache(), *lm_studio(), *ollama(), *llama_cpp()], key=lambda model: (model.program, model.name)
    )


def hub_cache() -> Iterator[InstalledModel]:
    for repo in hubcache.repos():
        found: dict[str, InstalledModel] = {}
        for folder in hubcache.snapshots(repo):
            for model in _in_snapshot(repo, folder):
                found.setdefault(model.name, model)
        yield from found.values()


def _in_snapshot(repo: str, folder: Path) -> Iterator[InstalledModel]:
    cached = hubcache.files_of(repo, folder)
    files = {path: entry for path, entry in cached.items() if path.endswith(".gguf")}
    for first, parts in _models(files):
        size = sum(files[part].bytes for part in parts)
        quantisation = reference.quantisation_of(first)
        name = f"{repo}:{quantisation}" if quantisation else f"{repo}:{first}"
        yield InstalledModel("hub cache", name, files[first].file, size, quantisation)
    weights = [entry for path, entry in cached.items() if path.endswith(".safetensors")]
    if weights and not files:
        yield InstalledModel("hub cache", repo, folder, sum(entry.bytes for entry in weights), _bits(folder))


def lm_studio() -> Iterator[InstalledModel]:
    for root in (Path("~/.lmstudio/models"), Path("~/.cache/lm-studio/models")):
        yield from _folder("LM Studio", root.expanduser())


def llama_cpp() -> Iterator[InstalledModel]:
    home = "~/Library/Caches/llama.cpp" if sys.platform == "darwin" else "~/.cache/llama.cpp"
    yield from _folder("llama.cpp", Path(os.environ.get("LLAMA_CACHE") or home).expanduser())


def ollama() -> Iterator[InstalledModel]:
    """Ollama names a model in a manifest, whose largest layer is the GGUF."""
    given = os.environ.get("OLLAMA_MODELS")
    for root in (given,) if given else ("~/.ollama/models", "/usr/share/ollama/.ollama/models"):
        with contextlib.suppress(OSError):
            yield from _manifests(Path(root).expanduser())


def _manifests(root: Path) -> Iterator[InstalledModel]:
    for manifest in sorted((root / "manifests").rglob("*")):
        try:
            layers = json.loads(manifest.read_text(encoding="utf-8"))["layers"]
            model = next(layer for layer in layers if layer["mediaType"].endswith("image.model"))
            path = root / "blobs" / str(model["digest"]).replace(":", "-")
        except (OSError, ValueError, KeyError, TypeError, AttributeError, StopIteration):
            continue
        if path.is_file():
            place = manifest.parent.relative_to(root / "manifests").as_posix()
            name = place.removeprefix("registry.ollama.ai/").removeprefix("library/") + f":{manifest.name}"
            yield InstalledModel(
                "Ollama", name, path, path.stat().st_size, reference.quantisation_of(manifest.name)
            )


def _folder(program: str, root: Path) -> Iterator[InstalledModel]:
    try:
        files = {str(path): path for path in root.rglob("*.gguf") if path.is_file()}
        configs = list(root.rglob("config.json"))
    except OSError:
        return
    for first, parts in _models(files):
        size = sum(files[part].stat().st_size for part in parts)
        yield InstalledModel(program, first, files[first], size, reference.quantisation_of(Path(first).name))
    for config in configs:
        weights = list(config.parent.glob("*.safetensors"))
        if weights:
            size = sum(path.stat().st_size for path in weights)
            yield InstalledModel(program, str(config.parent), config.parent, size, _bits(config.parent))


def _models(paths: Iterable[str]) -> Iterator[tuple[str, list[str]]]:
    """Each complete model's first file with all its shards; what is beside models is left out."""
    for count, parts in shards.groups(path for path in paths if not shards.is_extra(path)):
        if len(parts) == count:
            yield parts[0], parts


def _bits(folder: Path) -> str:
    """Bits a weight, as an MLX configuration says."""
    try:
        found = json.loads((folder / "config.json").read_text(encoding="utf-8"))["quantization"]["bits"]
    except (OSError, ValueError, KeyError, TypeError):
        return ""
    return f"{found}bit"
