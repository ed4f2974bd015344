"""Environments: where an eval's problems come from, one file each; its name is its key under `[data]`.

An environment is a module with

    LOCAL: bool                                       # True: reading its data downloads nothing
    Params                                          # the type of its key's value, which pydantic validates
    def describe(params) -> str                     # one line for `evals show`

and, when it has tables whose rows a layout turns into problems,

    def files(spec: EvalSpec, params, folder: Path) -> Iterator[Path]     # `folder` is the definition's

or else, when it makes problems itself,

    def problems(spec: EvalSpec, params, folder: Path) -> Iterator[Problem]
    def count(params) -> int | None                 # how many; None where that is not known

It may have:

    def check(params) -> None           # refuses, before anything is loaded, what cannot work: ParamError
    def warning(params) -> str          # what `evals check` should say of it
    def present(params) -> bool         # False leaves its place to a second source with the same data
    NAMED = "NAME:THING", "what that is"  # with `named`, for help
    def named(name: str, thing: str, options: dict) -> EvalSpec     # the eval called NAME:THING,key=value,...
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from localrl.errors import UsageError
from localrl.registry import Registry, arguments

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from localrl.evals.spec import EvalSpec
    from localrl.sample import Problem


class Environment(Protocol):
    LOCAL: bool
    Params: Any

    def describe(self, params: Any) -> str: ...

    def files(self, spec: EvalSpec, params: Any, folder: Path) -> Iterator[Path]: ...

    def problems(self, spec: EvalSpec, params: Any, folder: Path) -> Iterator[Problem]: ...

    def count(self, params: Any) -> int | None: ...

    def present(self, params: Any) -> bool: ...


class ParamError(UsageError):
    """A setting that cannot work; `keys` lead to it from the environment's own key, to name its line."""

    def __init__(self, message: str, keys: tuple[str | int, ...] = (), *, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.keys = keys


def _wrong(environment: Environment) -> str:
    tables, makes = hasattr(environment, "files"), hasattr(environment, "problems")
    if tables == makes:
        return "has both files and problems" if tables else "has neither files nor problems"
    if makes and not hasattr(environment, "count"):
        return "has no count(params): how many problems there are, or None"
    needed = {"files": 3} if tables else {"problems": 3, "count": 1}
    wrong = (arguments(environment, name, number) for name, number in {"describe": 1, **needed}.items())
    return next(filter(None, wrong), "")


ENVIRONMENTS = Registry[Environment](
    "environment",
    "localrl.evals.environments",
    "localrl.environments",
    {
        "LOCAL": "True when reading its data downloads nothing",
        "Params": "the type of its value under [data]",
        "describe": "describe(params) -> str",
    },
    _wrong,
)


def naming(scheme: str) -> Callable[[str, str, dict[str, Any]], EvalSpec] | None:
    """What makes the evals called `SCHEME:THING`; None where no environment of this name does."""
    return getattr(ENVIRONMENTS.get(scheme), "named", None) if scheme in ENVIRONMENTS else None


def forms() -> dict[str, str]:
    """`NAME:THING` with what it is, of every environment that makes evals by name."""
    found = (
        ENVIRONMENTS.get(name)
        for name, member in ENVIRONMENTS.members.items()
        if not ENVIRONMENTS.fault(member)
    )
    return dict(environment.NAMED for environment in found if hasattr(environment, "NAMED"))
