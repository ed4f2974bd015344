"""A reply that goes on from thinking of before: the kinds of server that encode its prompt for us.

OpenAI's API has no field for the beginning of a reply. Servers that say what a prompt's tokens are take them
at `/completions`, so the reply goes on exactly where the thinking was cut.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError

from localrl.engine.backends.server.responses import Failure, RequestFailed

if TYPE_CHECKING:
    import aiohttp

    from localrl.engine.backends.server.endpoint import Endpoint
    from localrl.engine.protocol import GroupRequest

KINDS = ("llamacpp", "vllm", "localrl")
"""Who tells the tokens of a prompt: llama-server, vLLM and our own."""
_TOKENS: TypeAdapter[list[int]] = TypeAdapter(list[int])


async def prompt(endpoint: Endpoint, session: aiohttp.ClientSession, group: GroupRequest) -> list[int]:
    """The tokens of the prompt, of the thinking as far as it is kept, and of what closes it.

    Raises RequestFailed.
    """
    assert group.thought is not None
    closing = group.thinking.closing if group.thinking else ""
    kept = (await _encoded(endpoint, session, group.thought.text))[: group.thought.tokens]
    return [*await _asked(endpoint, session, group), *kept, *await _encoded(endpoint, session, closing)]


async def _asked(endpoint: Endpoint, session: aiohttp.ClientSession, group: GroupRequest) -> list[int]:
    """The tokens of the messages, as the server's template renders them."""
    messages = [m.model_dump() for m in group.prompt if not isinstance(m, (int, str))]
    if endpoint.kind != "llamacpp":
        body = {"model": endpoint.model, "messages": messages, "add_generation_prompt": True}
        return _tokens(await endpoint.post(session, "/tokenize", body))
    rendered = await endpoint.post(session, "/apply-template", {"messages": messages})
    text = rendered.get("prompt") if isinstance(rendered, dict) else None
    if not isinstance(text, str):
        raise RequestFailed(Failure.FINAL, "the server does not say how it renders a prompt")
    return await _encoded(endpoint, session, text, begins=True)


async def _encoded(
    endpoint: Endpoint, session: aiohttp.ClientSession, text: str, *, begins: bool = False
) -> list[int]:
    """The tokens of a text; control tokens that it names are these."""
    if endpoint.kind != "llamacpp":
        body = {"model": endpoint.model, "prompt": text, "add_special_tokens": begins}
    else:
        body = {"content": text, "add_special": begins, "parse_special": True}
    return _tokens(await endpoint.post(session, "/tokenize", body))


def _tokens(answer: Any) -> list[int]:
    try:
        return _TOKENS.validate_python(
            answer.get("tokens") if isinstance(answer, dict) else None, strict=True
        )
    except ValidationError as error:
        raise RequestFailed(Failure.FINAL, "the server does not say what a text's tokens are") from error
