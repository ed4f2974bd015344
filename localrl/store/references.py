"""Ids of runs and trainings, and what a person may write for one."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Protocol, TypeVar

from localrl.errors import UsageError, nearest

if TYPE_CHECKING:
    from collections.abc import Sequence

ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789"
"""Letters of ids; without those that are easily taken for another."""


class HasName(Protocol):
    @property
    def id(self) -> str: ...

    @property
    def name(self) -> str: ...


Named = TypeVar("Named", bound=HasName)


def new_id() -> str:
    return "".join(secrets.choice(ALPHABET) for _ in range(6))


def meant(reference: str, known: Sequence[Named], noun: str) -> Named:
    """The one of `known`, the newest first, with this id, this beginning of an id, or this name; or `last`.

    Raises:
        UsageError: there is none, or more than one.
    """
    if reference == "last" and known:
        return known[0]
    for matches in (
        [each for each in known if each.id == reference],
        [each for each in known if each.name == reference],
        [each for each in known if reference and each.id.startswith(reference)],
    ):
        if len(matches) == 1:
            return matches[0]
        if matches:
            several = ", ".join(each.id for each in matches[:5])
            raise UsageError(f"{reference!r} could be several {noun}s: {several}")
    names = [each.id for each in known] + [each.name for each in known if each.name]
    hint = nearest(reference, names) or f"there are no {noun}s yet"
    raise UsageError(f"no {noun} {reference!r}", hint=hint)
