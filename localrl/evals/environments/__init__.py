"""Environments: where an eval's problems come from, one file each; its name is its key under `[data]`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from localrl.errors import UsageError
from localrl.registry import Registry, arguments

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from localrl.evals.spec import EvalSpec
    from localrl.sample import Problem


class Environment(Protocol):
    """A module with `files`, tables whose rows a layout turns into problems, or with `problems` and `count`.

    It may also have:

        check(params) -> None            refuses at once what cannot work, with `ParamError`
        warning(params) -> str           what `evals check` should say of it
        present(params) -> bool          False leaves its place to a second source with the same data
        NAMED = "NAME:THING", "what"     for help; `named` makes the eval called NAME:THING
    """

    LOCAL: bool
    """Whether reading its data downloads nothing."""
    Params: Any
    """The type of its key's value, for pydantic."""

    def describe(self, params: Any) -> str:
        """One line for `evals show`."""

    def files(self, spec: EvalSpec, params: Any, folder: Path) -> Iterator[Path]:
        """The tables; `folder` is the definition's."""

    def problems(self, spec: EvalSpec, params: Any, folder: Path) -> Iterator[Problem]: ...

    def count(self, params: Any) -> int | None:
        """How many problems there are; None where that is not known."""

    def present(self, params: Any) -> bool: ...

    def named(self, name: str, thing: str, options: dict[str, Any]) -> EvalSpec: ...


class ParamError(UsageError):
    """A setting that cannot work; `keys` lead to it from the environment's own key, to name its line."""

    def __init__(self, message: str, keys: tuple[str | int, ...] = (), *, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.keys = keys


def _wrong(environment: Environment) -> str:
    tables, makes = hasattr(environment, "files"), hasattr(environment, "problems")
    if tables == makes:
        return "has both files and problems" if tables else "has neither files nor problems"
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


def forms() -> dict[str, str]:
    """`NAME:THING` with what it is, of every environment that makes evals by name."""
    found = ENVIRONMENTS.usable().values()
    return dict(environment.NAMED for environment in found if hasattr(environment, "NAMED"))
