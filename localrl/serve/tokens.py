"""Texts to tokens and back, in the words of vLLM's API and of llama-server's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from localrl.engine.protocol import GroupRequest
from localrl.errors import LocalrlError
from localrl.serve.body import DetokenizeBody, TokenizeBody, parsed
from localrl.serve.guard import json_body
from localrl.serve.problems import RequestProblem, json_response
from localrl.serve.state import SERVING

if TYPE_CHECKING:
    from aiohttp import web

    from localrl.engine.wire import Tokenized
    from localrl.serve.state import Serving


async def tokenize(request: web.Request) -> web.Response:
    """`POST /tokenize`: of `prompt` (llama-server: `content`), or of `messages` in the model's template."""
    serving = request.app[SERVING]
    body = parsed(TokenizeBody, await json_body(request))
    text = body.prompt if body.prompt is not None else body.content
    if (text is None) == (body.messages is None):
        raise RequestProblem(400, "give either prompt or messages", param="prompt")
    prompt = tuple(message.message() for message in body.messages) if body.messages else text or ""
    special = body.add_special_tokens if body.content is None else bool(body.add_special)
    told = await _ask(
        serving, GroupRequest("tokenize", prompt, (), thinking=serving.tags), special is not False
    )
    answer: dict[str, Any] = {"tokens": list(told.tokens), "count": len(told.tokens)}
    if serving.owner.info:
        answer["max_model_len"] = serving.owner.info.context
    if body.return_token_strs:
        answer["token_strs"] = [piece.encode("latin-1").decode("utf-8", "replace") for piece in told.pieces]
    return json_response(answer)


async def detokenize(request: web.Request) -> web.Response:
    """`POST /detokenize`: of `tokens`; control tokens become their names."""
    serving = request.app[SERVING]
    body = parsed(DetokenizeBody, await json_body(request))
    told = await _ask(serving, GroupRequest("detokenize", tuple(body.tokens), ()), special=False)
    text = "".join(told.pieces).encode("latin-1").decode("utf-8", "replace")
    return json_response({"prompt": text, "content": text})


async def tokenizer_info(request: web.Request) -> web.Response:
    """`GET /tokenizer_info`: what a client needs to build prompts itself."""
    serving = request.app[SERVING]
    await _ask(serving, GroupRequest("info", "", ()), special=False)
    info = serving.owner.info
    assert info is not None
    return json_response(
        {
            "tokenizer_class": "localrl",
            "bos_token": info.bos or None,
            "eos_token": info.eos or None,
            "chat_template": info.chat_template or None,
            "model_max_length": info.context,
        }
    )


async def _ask(serving: Serving, group: GroupRequest, special: bool) -> Tokenized:
    """
    Raises:
        RequestProblem: it cannot be tokenised, or the engine cannot be had.
    """
    try:
        told = await serving.owner.tokens(group, special)
    except LocalrlError as error:
        raise RequestProblem(503, str(error)) from error
    if told.error:
        raise RequestProblem(400, told.error)
    return told
