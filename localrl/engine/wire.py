"""What the app and the worker say to each other: one line of JSON per message, validated on arrival."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, TypeVar

from pydantic import Field, TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError

from localrl.engine.protocol import EngineSettings, Finished, GroupRequest, Metrics, ModelInfo, Started, Text
from localrl.errors import LocalrlError, UsageError


@dataclass(frozen=True, slots=True)
class LoadModel:
    settings: EngineSettings
    type: Literal["load_model"] = "load_model"


@dataclass(frozen=True, slots=True)
class Submit:
    group: GroupRequest
    type: Literal["submit"] = "submit"


@dataclass(frozen=True, slots=True)
class Cancel:
    name: str
    """A sample's or a group's id."""
    type: Literal["cancel"] = "cancel"


@dataclass(frozen=True, slots=True)
class Tokenize:
    """Ask for a prompt's tokens."""

    id: str
    group: GroupRequest
    """Messages, text or tokens; it is not run."""
    special: bool = True
    """Add the tokens that begin and end a text."""
    type: Literal["tokenize"] = "tokenize"


@dataclass(frozen=True, slots=True)
class Pause:
    paused: bool
    type: Literal["pause"] = "pause"


@dataclass(frozen=True, slots=True)
class SetAdapter:
    """For what is submitted from now on; sent while nothing runs."""

    path: str | None
    type: Literal["set_adapter"] = "set_adapter"


AnyCommand = LoadModel | Submit | Cancel | Tokenize | Pause | SetAdapter
Command = Annotated[AnyCommand, Field(discriminator="type")]


@dataclass(frozen=True, slots=True)
class Ready:
    """The model is loaded."""

    info: ModelInfo
    type: Literal["ready"] = "ready"


@dataclass(frozen=True, slots=True)
class Refused:
    """The model cannot be loaded, or no longer be run; the worker ends."""

    message: str
    exit_code: int
    type: Literal["refused"] = "refused"


@dataclass(frozen=True, slots=True)
class Tokenized:
    """The answer to `Tokenize`."""

    id: str
    tokens: tuple[int, ...] = ()
    pieces: tuple[str, ...] = ()
    """The bytes of each token as Latin-1; a control token's are its name."""
    error: str = ""
    type: Literal["tokenized"] = "tokenized"


@dataclass(frozen=True, slots=True)
class Step:
    """All events of one step."""

    events: list[Annotated[Started | Text | Finished | Metrics, Field(discriminator="type")]]
    type: Literal["step"] = "step"


AnyAnswer = Ready | Refused | Step | Tokenized
Answer = Annotated[AnyAnswer, Field(discriminator="type")]

COMMANDS: TypeAdapter[AnyCommand] = TypeAdapter(Command)
ANSWERS: TypeAdapter[AnyAnswer] = TypeAdapter(Answer)

T = TypeVar("T")


def error(refused: Refused) -> LocalrlError:
    kind = next(kind for kind in _kinds(LocalrlError) if kind.exit_code == refused.exit_code)
    return kind(refused.message)


def _kinds(error: type[LocalrlError]) -> list[type[LocalrlError]]:
    return [error, *(kind for child in error.__subclasses__() for kind in _kinds(child))]


def encode(adapter: TypeAdapter[T], message: T) -> bytes:
    """One line, newline included.

    Raises:
        UsageError: a text in it holds half a surrogate pair, which no UTF-8 can carry.
    """
    try:
        return adapter.dump_json(message) + b"\n"
    except PydanticSerializationError as error:
        raise UsageError(f"a text for the model is no Unicode: {error}", hint="clean the prompt") from error


def decode(adapter: TypeAdapter[T], line: bytes) -> T:
    """Parse and validate one line.

    Raises:
        LocalrlError: it is not a message of this kind.
    """
    try:
        return adapter.validate_json(line)
    except ValidationError as error:
        raise LocalrlError(f"not a message of the engine: {line[:200]!r}") from error
