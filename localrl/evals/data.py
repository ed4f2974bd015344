"""The `[data]` part of an eval's definition: from which environment, in which layout, which rows."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from pydantic import ConfigDict, Field, ValidationError, ValidationInfo, create_model, model_validator
from pydantic_core import InitErrorDetails

from localrl.evals.environments import ENVIRONMENTS
from localrl.evals.split import Split
from localrl.tomlfile import Strict

if TYPE_CHECKING:
    from localrl.evals.environments import Environment

_DAY = r"^(\d{4}-\d{2}-\d{2})?$"


class Window(Strict):
    """Which rows of a dataset that grows by releases are taken."""

    release: int | None = Field(default=None, ge=1)
    """Only the first so many of the hub's files; None takes all."""
    since: str = Field(default="", pattern=_DAY)
    """First day, YYYY-MM-DD, by `column`; empty is no bound."""
    until: str = Field(default="", pattern=_DAY)
    """Last day, YYYY-MM-DD."""
    column: str = "contest_date"

    def holds(self, date: str) -> bool:
        day = date[:10]
        return self.since <= day and (not self.until or day <= self.until)


class Data(Strict):
    """Every other key is an environment's name, and its value that environment's params.

    One environment, and beside it at most one that can be absent (a package) and then leaves its place to it.
    """

    model_config = ConfigDict(extra="allow")

    window: Window | None = None
    split: Split | None = None
    """Only one part of the questions; None takes all."""
    layout: str = "columns"
    """How a row becomes a problem."""
    size: int | None = Field(default=None, ge=1)
    """Problems, in the window where there is one; None where that has to be counted."""
    id: str | None = None
    """The column that names a row; without one, rows are numbered from 0."""
    question: str = "question"
    target: str = "target"

    @classmethod
    def known_keys(cls) -> list[str]:
        return [*super().known_keys(), *ENVIRONMENTS.names()]

    @classmethod
    def type_of(cls, key: str) -> Any:
        return ENVIRONMENTS.get(key).Params if key in ENVIRONMENTS else super().type_of(key)

    @property
    def sources(self) -> list[tuple[Environment, Any]]:
        """The environments with their params, first one that may be absent."""
        found = [(ENVIRONMENTS.get(name), params) for name, params in (self.model_extra or {}).items()]
        return sorted(found, key=lambda each: not hasattr(each[0], "present"))

    @property
    def environment(self) -> tuple[Environment, Any]:
        """Where the problems come from on this machine, with its params."""
        first, *others = self.sources
        return others[0] if others and not first[0].present(first[1]) else first

    @model_validator(mode="before")
    @classmethod
    def _params_of(cls, given: Any, info: ValidationInfo) -> Any:
        """Settings of an environment whose package is gone stay as they are: stored plans can still be read.

        Older versions wrote every environment, those that are not meant empty.
        """
        if not isinstance(given, dict):
            return given
        found = {key: value for key, value in given.items() if key in cls.model_fields or value}
        for key in [key for key in found if key not in cls.model_fields]:
            if _is_there(key) or (info.context and key in ENVIRONMENTS):
                found[key] = getattr(_holder(key).model_validate({key: found[key]}), key)
            elif info.context:
                error = InitErrorDetails(type="extra_forbidden", loc=(key,), input=given[key])
                raise ValidationError.from_exception_data("Data", [error])
        return found

    @model_validator(mode="after")
    def _one_source(self) -> Data:
        if not all(map(_is_there, self.model_extra or {})):
            return self
        may_be_absent = [hasattr(environment, "present") for environment, _ in self.sources]
        if may_be_absent not in ([False], [True], [True, False]):
            raise ValueError(f"name exactly one source of problems: {', '.join(ENVIRONMENTS.names())}")
        return self


def _is_there(name: str) -> bool:
    return name in ENVIRONMENTS and not ENVIRONMENTS.fault(ENVIRONMENTS.members[name])


@functools.cache
def _holder(name: str) -> type[Strict]:
    """A model with the environment's key only, so that a mistake is told with its whole place."""
    return create_model("Data", __base__=Strict, **{name: (ENVIRONMENTS.get(name).Params, ...)})  # type: ignore[call-overload,no-any-return]
