"""What other packages add to localrl, and what is wrong with it."""

from __future__ import annotations

import importlib.metadata
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from localrl import definitions
from localrl.errors import nearest
from localrl.registry import plugged

if TYPE_CHECKING:
    from localrl.registry import Registry


@dataclass(frozen=True, slots=True)
class Plugin:
    """One entry point of one package."""

    package: str
    version: str
    group: str
    name: str
    fault: str
    """Why it cannot be used, in one line; empty when it can."""


def registries() -> list[Registry[Any]]:
    """Every kind of member; a new kind is entered here, and the tests and `localrl doctor` know it."""
    from localrl.engine.backends import BACKENDS
    from localrl.evals.environments import ENVIRONMENTS
    from localrl.evals.layouts import LAYOUTS
    from localrl.report.exports import FORMATS
    from localrl.serve.calls import FORMATS as CALL_FORMATS
    from localrl.verify.registry import EXTRACTORS, VERIFIERS

    return [VERIFIERS, EXTRACTORS, LAYOUTS, ENVIRONMENTS, BACKENDS, FORMATS, CALL_FORMATS]


def installed() -> list[Plugin]:
    """Every entry point meant for localrl, by group; members are imported and held against their contract."""
    faults = {registry.group: registry.fault for registry in registries()}
    faults |= dict.fromkeys(("localrl.evals", "localrl.models", "localrl.recipes"), definitions.fault)
    groups = sorted(
        group for group in importlib.metadata.entry_points().groups if group.startswith("localrl.")
    )

    return [
        Plugin(
            member.package,
            member.version,
            group,
            member.name,
            faults[group](member) if group in faults else f"no group {group!r}; {nearest(group, faults)}",
        )
        for group in groups
        for member in plugged(group)
    ]
