"""The prompt that a model would be given, token by token: from its template and vocabulary, not its weights.

Native code reads vocabularies, so `python -m localrl.engine.preview` does it in a child process.
"""

from __future__ import annotations

import codecs
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, TypeAdapter

from localrl import isolated
from localrl.engine import wire
from localrl.engine.backends import BACKENDS, renders
from localrl.engine.protocol import EngineSettings, GroupRequest  # noqa: TC001 - pydantic reads them
from localrl.engine.wire import Refused
from localrl.errors import LocalrlError, Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from localrl.engine.prompts import Vocabulary

SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class PromptToken:
    id: int
    text: str
    """A character that is spread over several tokens belongs to its last."""
    control: bool


@dataclass(frozen=True, slots=True)
class Preview:
    prompt: str
    """Control tokens are in it by their names."""
    tokens: list[PromptToken]
    starts_thinking: bool
    """It ends inside the thinking tags."""
    type: Literal["preview"] = "preview"


@dataclass(frozen=True, slots=True)
class _AskedPrompt:
    settings: EngineSettings
    group: GroupRequest


_ASKED = TypeAdapter(_AskedPrompt)
_ANSWERS: TypeAdapter[Preview | Refused] = TypeAdapter(
    Annotated[Preview | Refused, Field(discriminator="type")]
)


def preview(settings: EngineSettings, group: GroupRequest) -> Preview | None:
    """The prompt of a group; None where the backend leaves rendering to somebody else, as servers do.

    Raises:
        UsageError: the model's files cannot be read, or its template refuses the prompt.
        Unavailable: reading them ended the child.
    """
    if not renders(settings.backend):
        return None
    child = subprocess.run(
        isolated.command(__name__),
        input=wire.encode(_ASKED, _AskedPrompt(settings, group)),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**isolated.environment(), "HF_HUB_OFFLINE": "1"},
        timeout=SECONDS,
        check=False,
    )
    if not child.stdout.endswith(b"\n"):
        raise Unavailable(f"the vocabulary of {settings.model} cannot be read (status {child.returncode})")
    answer = wire.decode(_ANSWERS, child.stdout)
    if isinstance(answer, Refused):
        raise wire.error(answer)
    return answer


def main() -> None:
    """The child: one request in, one answer out."""
    commands, answers = isolated.take_pipes()
    asked = wire.decode(_ASKED, commands.readline())
    answer: Preview | Refused
    try:
        answer = _preview(asked)
    except LocalrlError as error:
        answer = Refused(str(error), error.exit_code)
    answers.write(wire.encode(_ANSWERS, answer))
    answers.flush()


def _preview(asked: _AskedPrompt) -> Preview:
    encoder = BACKENDS.get(asked.settings.backend).prompts(asked.settings)  # type: ignore[attr-defined]
    try:
        tokens, inside = encoder.encode(asked.group)
    finally:
        encoder.close()
    shown = _shown(tokens, encoder.vocabulary)
    return Preview("".join(token.text for token in shown), shown, inside)


def _shown(tokens: Iterable[int], vocabulary: Vocabulary) -> list[PromptToken]:
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    shown = []
    for token in tokens:
        piece = vocabulary.piece(token)
        control = vocabulary.piece(token, control=False) != piece
        shown.append(PromptToken(token, decoder.decode(piece), control))
    return shown


if __name__ == "__main__":
    main()
