"""OpenAI-compatible servers as a backend: vLLM, SGLang, llama-server, Ollama, LM Studio, mlx_lm.server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from localrl import installation
from localrl.engine.backends import Ability, Form

if TYPE_CHECKING:
    from localrl.engine.protocol import Backend, EngineSettings

SUMMARY = "any OpenAI-compatible server, with --endpoint"
FORM = Form.SERVED
REQUIRES: tuple[str, ...] = ("aiohttp",)
INSTALL = installation.extra("server")
CANNOT: tuple[str, ...] = (
    Ability.COUNT,
    Ability.TEMPLATE,
    Ability.FORK,
    Ability.LOGPROBS,
    Ability.GRAMMAR,
)


def load(settings: EngineSettings) -> Backend:
    """Find the servers and the model on them.

    Raises:
        UsageError: no endpoint is given, or none serves the model.
        Unavailable: no endpoint answers.
    """
    from localrl.engine.backends.server.backend import ServerBackend
    from localrl.errors import UsageError

    if not settings.endpoints:
        raise UsageError("no server is named", hint="give one with --endpoint http://host:8000/v1")
    return ServerBackend(settings)
