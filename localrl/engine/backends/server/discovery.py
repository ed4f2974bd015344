"""Find a model on the servers that were named."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

from localrl.catalog import card as cards
from localrl.engine.backends.server.responses import RequestFailed, ServedModel, printable
from localrl.errors import Unavailable, UsageError, nearest

if TYPE_CHECKING:
    from collections.abc import Callable

    import aiohttp

    from localrl.engine.backends.server.endpoint import Endpoint

MOST_NAMED = 20
"""Models of a server that are looked through for the one that was meant."""


async def find_model(session: aiohttp.ClientSession, endpoints: list[Endpoint], name: str) -> int:
    """Ask every endpoint what it serves, and note the model's name there; returns the context's length or 0.

    One that does not answer is assumed to be like the others: it is tried again while the run goes on.

    Raises:
        UsageError: an endpoint serves other models only.
        Unavailable: none answers.
    """
    answers = await asyncio.gather(*(_ask(session, endpoint) for endpoint in endpoints))
    context: list[int] = []
    for endpoint, answer in zip(endpoints, answers, strict=True):
        if isinstance(answer, list):
            served = choose(answer, name, endpoint.url, endpoint.hidden)
            endpoint.model, endpoint.kind = served.id, served.owned_by
            context += [served.max_model_len] if served.max_model_len else []
    known = next((endpoint for endpoint in endpoints if endpoint.model), None)
    for endpoint, answer in zip(endpoints, answers, strict=True):
        if isinstance(answer, RequestFailed):
            print(f"{endpoint}: {answer.reason}", file=sys.stderr, flush=True)
            if known is None:
                unheard = not answer.reason.startswith(("HTTP", "its certificate"))
                hint = "is the server running?" if unheard else ""
                raise Unavailable(f"{endpoint}: {answer.reason}", hint=hint)
            endpoint.model, endpoint.kind = known.model, known.kind
    return min(context, default=0)


async def _ask(session: aiohttp.ClientSession, endpoint: Endpoint) -> list[ServedModel] | RequestFailed:
    try:
        return await endpoint.models(session)
    except RequestFailed as failed:
        return failed


def choose(
    served: list[ServedModel], name: str, where: str, hidden: Callable[[str], str] = lambda text: text
) -> ServedModel:
    """The model of this name: exactly, without its owner, by its card, or the only one whose name holds it.

    A server that does not say what it serves is asked by the name as it is.

    Args:
        hidden: takes the key out of what a server said.

    Raises:
        UsageError: none is called so.
    """
    if not served:
        return ServedModel(id=name)
    wanted = _plain(name.rsplit("/", 1)[-1])
    exact = [model for model in served if model.id == name]
    same = [model for model in served if _plain(model.id.rsplit("/", 1)[-1]) == wanted]
    holding = [model for model in served if wanted and wanted in _plain(model.id)]
    ours = [model for model in served if _base(model.id) == name]
    found = exact or same or ours or (holding if len(holding) == 1 else [])
    if not found:
        hint = nearest(name, [hidden(printable(model.id.encode())) for model in served[:MOST_NAMED]])
        raise UsageError(f"{where} serves no model {name!r}", hint=hint)
    return found[0]


def _base(name: str) -> str:
    """The repo of the original weights, for a server that names models as localrl does."""
    card = name.partition(":")[0]
    return cards.load(card).base if card in cards.available() else ""


def _plain(name: str) -> str:
    """A name without what people write differently."""
    return "".join(character for character in name.casefold() if character.isalnum())
