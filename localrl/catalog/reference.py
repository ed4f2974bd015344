"""Which files of a repo are meant: one quantisation with all its shards, or a whole MLX folder."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from localrl.catalog import card as cards
from localrl.catalog import hubcache, shards
from localrl.errors import UsageError, nearest

if TYPE_CHECKING:
    from collections.abc import Iterable

QUANTISATION = re.compile(
    r"(?<![A-Za-z0-9])((?:UD-)?(?:IQ\d_[A-Z]+|Q\d_K(?:_[SMLX]+)?|Q\d_[01]|BF16|FP?16|F32|MXFP4(?:_MOE)?|TQ\d_0))"
    r"(?![A-Za-z0-9_])",
    re.IGNORECASE,
)
PREFERRED = ("Q4_K_M", "MXFP4", "Q4_K_S", "Q4_0", "Q8_0", "F16", "BF16")


@dataclass(frozen=True, slots=True)
class Reference:
    """What a person asked for, before anybody knows whether it is here."""

    name: str
    """As the person would write it."""
    repo: str
    pattern: str = ""
    """Of files in the repo; empty where the repo decides."""
    quantisation: str = ""
    card: cards.Card | None = None
    modelscope: str = ""

    def select(self, paths: Iterable[str]) -> list[str]:
        """The files meant, of those that a repo holds.

        Raises:
            UsageError: none fits, or several quantisations would; names what there is.
        """
        weights = sorted(path for path in paths if not shards.is_extra(path))
        gguf = [path for path in weights if path.endswith(".gguf")]
        if self.pattern:
            found = [path for path in weights if hubcache.matches(path, self.pattern)]
        elif self.quantisation:
            found = [path for path in gguf if quantisation_of(path).upper() == self.quantisation.upper()]
        elif gguf:
            found = self._preferred(gguf)
        else:
            found = [path for path in weights if path.endswith((".safetensors", ".json", ".jinja"))]
            if not any(path.endswith(".safetensors") for path in found):
                found = []
        if not found:
            there = sorted({quantisation_of(path) or path for path in gguf})
            hint = f"it has {', '.join(there)}" if there else "it holds no .gguf or .safetensors"
            raise UsageError(f"{self.repo} has no file for {self.name!r}", hint=hint)
        return found

    def cached(self) -> tuple[list[hubcache.CachedFile], list[hubcache.PartialFile]]:
        """The files meant in the hub's cache, of every commit, and the interrupted downloads of them.

        Raises:
            UsageError: as `select`.
        """
        files, partials = hubcache.files(self.repo), hubcache.partials(self.repo)
        paths = {entry.path for entry in files} | {partial.path for partial in partials if partial.path}
        meant = set(self.select(paths)) if paths else set()
        return (
            [entry for entry in files if entry.path in meant],
            [partial for partial in partials if not partial.path or partial.path in meant],
        )

    def _preferred(self, gguf: list[str]) -> list[str]:
        there = {quantisation_of(path) for path in gguf}
        for name in PREFERRED:
            if name in there:
                return [path for path in gguf if quantisation_of(path) == name]
        if len(there) == 1:
            return gguf
        raise UsageError(
            f"which quantisation of {self.repo}?", hint=f"add one of :{', :'.join(sorted(there))}"
        )


def parse(model: str) -> Reference | None:
    """What a card's name or a hub repo asks for; None for anything else, such as a path.

    Raises:
        UsageError: the card exists, but not with this quantisation, or it cannot be downloaded.
    """
    base, _, rest = model.partition(":")
    known = cards.available()
    if base in known:
        return of_card(cards.load(base), rest)
    if not hubcache.is_repo(base):
        return None
    if rest.endswith((".gguf", ".safetensors")):
        return Reference(model, base, pattern=shards.pattern(rest), quantisation=quantisation_of(rest))
    return Reference(model, base, quantisation=rest)


def of_card(card: cards.Card, quantisation: str = "") -> Reference | None:
    """The files of a card at one quantisation, by default its own; None where it only comes with a package.

    Raises:
        UsageError: the card has no such quantisation, or nobody converted the model.
    """
    weights = card.gguf
    if quantisation and card.mlx and quantisation in card.mlx.quantisations:
        weights = card.mlx
    if weights is None:
        if card.package is None and card.mlx is None:
            words = card.name.replace("-", " ")
            raise UsageError(
                f"no conversion of {card.name} is known",
                hint=f"`localrl models search {words}`, then pull OWNER/NAME:QUANTISATION",
            )
        if card.mlx is None:
            return None
        weights = card.mlx
    if quantisation:
        names = {name.upper(): name for name in weights.quantisations}
        if quantisation.upper() not in names:
            raise UsageError(
                f"{card.name} has no quantisation {quantisation!r}",
                hint=nearest(quantisation, names.values()),
            )
        quantisation = names[quantisation.upper()]
    chosen = quantisation or weights.default
    name = f"{card.name}:{chosen}"
    entry = weights.quantisations[chosen]
    if weights is card.mlx:
        return Reference(name, weights.repo_of(chosen), entry.files, chosen, card)
    return Reference(name, weights.repo_of(chosen), entry.files, chosen, card, weights.modelscope)


def quantisation_of(path: str) -> str:
    """The quantisation that a file's name tells, in capitals; empty if it tells none."""
    found = QUANTISATION.findall(PurePosixPath(path).name) or QUANTISATION.findall(path)
    return found[-1].upper() if found else ""
