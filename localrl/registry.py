"""Members of one kind by name: a file each in a folder of ours, or an entry point of another package.

A member is a module. Its name is its `NAME`, else its file's name with `-` for `_`. Names are read without
importing anything, so a command's choices cost nothing; a member is imported, and held against its kind's
contract, when it is first asked for. An installed package adds members with entry points of the kind's group:

    [project.entry-points."localrl.verifiers"]
    palindrome = "my_package.palindrome"
"""

from __future__ import annotations

import functools
import importlib
import importlib.metadata
import importlib.util
import inspect
import re
import sys
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from localrl.errors import UsageError, nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

M = TypeVar("M")

_NAME = re.compile(r'^NAME(?:\s*:[^=]+)?\s*=\s*["\']([^"\']+)["\']', re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Member:
    """Where a member is, known before it is imported."""

    name: str
    module: str
    package: str = ""
    """The installed distribution that brings it; empty for ours."""
    version: str = ""
    """Of that distribution."""


@dataclass(frozen=True)
class Registry(Generic[M]):
    """Every member of one kind.

    `M` is the protocol that a member's module fulfils.
    """

    kind: str
    """What one is called in messages: "verifier"."""
    package: str
    """The folder of ours whose modules are members, as an import path; names that begin with `_` are none."""
    group: str
    """The group of entry points through which others add theirs."""
    contract: Mapping[str, str] = field(default_factory=dict)
    """What a member must offer: attribute -> what it is, in the words of the message that misses it."""
    check: Callable[[M], str] | None = None
    """What else is wrong with a member, in words; an empty string for nothing."""
    not_members: frozenset[str] = frozenset()
    """Modules of the folder that are none."""

    @cached_property
    def members(self) -> dict[str, Member]:
        """Every member by name, ours first; nothing is imported. Ours cannot be replaced from outside."""
        found: dict[str, Member] = {}
        for member in [*self._own(), *plugged(self.group)]:
            found.setdefault(member.name, member)
        return found

    def names(self) -> list[str]:
        return list(self.members)

    def usable(self) -> dict[str, M]:
        """Every member that fulfils the contract, imported."""
        return {name: self.get(name) for name, member in self.members.items() if not self.fault(member)}

    def __contains__(self, name: object) -> bool:
        return name in self.members

    def get(self, name: str) -> M:
        """The member of this name, imported and checked.

        Raises:
            UsageError: there is none (names the nearest), it cannot be imported, or it breaks the contract.
        """
        if name not in self.members:
            raise UsageError(f"no {self.kind} named {name!r}", hint=nearest(name, self.members))
        member = self.members[name]
        module = self._import(member)
        if wrong := self._wrong(module):
            raise UsageError(f"{self._called(member)} {wrong}")
        return cast("M", module)

    def fault(self, member: Member) -> str:
        """Why a member cannot be used, in one line; an empty string when it can. Imports it."""
        if self.members.get(member.name) != member:
            return f"{self._called(member)} has the name of one that is there already"
        try:
            self.get(member.name)
        except UsageError as error:
            return str(error)
        return ""

    def about(self, name: str) -> str:
        """What the member does, for help and docs: its docstring's first paragraph, on one line.

        Raises:
            UsageError: as `get`.
        """
        return " ".join((getattr(self.get(name), "__doc__", None) or "").partition("\n\n")[0].split())

    def _import(self, member: Member) -> object:
        try:
            return importlib.import_module(member.module)
        except Exception as error:
            if not member.package:
                raise
            reason = f"{type(error).__name__}: {error}" if not isinstance(error, ImportError) else error
            raise UsageError(f"{self._called(member)} cannot be imported: {reason}") from error

    def _wrong(self, module: object) -> str:
        for attribute, what in self.contract.items():
            if getattr(module, attribute, None) in (None, ""):
                return f"has no {attribute}: {what}"
        return self.check(cast("M", module)) if self.check else ""

    def _called(self, member: Member) -> str:
        origin = f"{member.module}, of {member.package}" if member.package else member.module
        return f"{self.kind} {member.name!r} ({origin})"

    def _own(self) -> list[Member]:
        found = []
        for path in sorted(Path(importlib.import_module(self.package).__path__[0]).iterdir()):
            source = path / "__init__.py" if path.is_dir() else path
            stem = path.stem
            if (
                source.suffix != ".py"
                or not source.is_file()
                or stem.startswith("_")
                or stem in self.not_members
            ):
                continue
            named = _NAME.search(source.read_text(encoding="utf-8"))
            found.append(
                Member(named.group(1) if named else stem.replace("_", "-"), f"{self.package}.{stem}")
            )
        return found


@functools.cache
def plugged(group: str) -> tuple[Member, ...]:
    """The entry points of a group, by name, in every installed package."""
    found = _entry_points(tuple(sys.path)).select(group=group)
    return tuple(
        Member(
            point.name,
            point.value,
            point.dist.name if point.dist else "another package",
            point.dist.version if point.dist else "",
        )
        for point in sorted(found, key=lambda point: point.name)
    )


@functools.cache
def _entry_points(path: tuple[str, ...]) -> Any:
    """Those of every group; reading them goes through all that is installed on the path."""
    return importlib.metadata.entry_points()


def arguments(member: object, name: str, number: int) -> str:
    """What is wrong with a member's function that is called with so many arguments, for `Registry.check`."""
    function = getattr(member, name, None)
    if not callable(function):
        return f"has no function {name}"
    try:
        inspect.signature(function).bind(*range(number))
    except TypeError:
        return f"has a {name} that does not take {number} argument{'s' if number != 1 else ''}"
    return ""
