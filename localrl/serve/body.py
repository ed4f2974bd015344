"""What clients send, and what it means for the engine.

Fields that change the answer are honoured or refused; what only labels a request (`user`, `metadata`,
`store`) is taken and left.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, Field, ValidationError, model_validator

from localrl import jsontext
from localrl.chat import EFFORTS, Message, ThinkingControl, ToolCall
from localrl.engine.protocol import Grammar
from localrl.sampling import Sampling
from localrl.serve.problems import RequestProblem

T = TypeVar("T", bound=BaseModel)

MOST_CHOICES = 128
MOST_STOPS = 16
MOST_TOP = 20
MOST_PROMPTS = 64
NEUTRAL: dict[str, tuple[Any, ...]] = {
    "best_of": (None, 1),
    "logit_bias": (None, {}),
    "suffix": (None, ""),
    "modalities": (None, ["text"]),
    "audio": (None,),
    "functions": (None, []),
    "function_call": (None, "none", "auto"),
    "guided_json": (None,),
    "guided_regex": (None,),
    "prompt_logprobs": (None, 0, False),
}
"""Fields that are not supported, and the values that ask for nothing."""


def _joined(content: Any) -> Any:
    """Content as one text; clients send parts too."""
    if not isinstance(content, list):
        return content
    for part in content:
        if not isinstance(part, dict) or part.get("type", "text") != "text":
            raise ValueError("only text can be read by this model")
    return "".join(str(part.get("text", "")) for part in content)


Content = Annotated[str | None, BeforeValidator(_joined)]


class FunctionCall(BaseModel):
    name: str
    arguments: str | dict[str, Any] = "{}"


class GivenCall(BaseModel):
    id: str = ""
    function: FunctionCall


class GivenMessage(BaseModel):
    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: Content = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: list[GivenCall] | None = None
    tool_call_id: str | None = None

    def message(self) -> Message:
        return Message(
            role="system" if self.role == "developer" else self.role,
            content=self.content or "",
            thinking=self.reasoning_content or self.reasoning or "",
            tool_calls=[
                ToolCall(name=call.function.name, arguments=_arguments(call.function.arguments), id=call.id)
                for call in self.tool_calls or []
            ],
            tool_call_id=self.tool_call_id or "",
        )


def _arguments(given: str | dict[str, Any]) -> dict[str, Any]:
    if isinstance(given, dict):
        return given
    try:
        found = jsontext.loads(given.encode() or b"{}")
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise RequestProblem(400, "a tool call's arguments are no JSON object", param="messages")
    return found


class Function(BaseModel):
    name: str = Field(min_length=1, max_length=256)
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class Tool(BaseModel):
    type: Literal["function"] = "function"
    function: Function


class StreamOptions(BaseModel):
    include_usage: bool | None = None
    continuous_usage_stats: bool | None = None


class Common(BaseModel):
    """What chats and completions share."""

    model: str = ""
    n: int | None = Field(default=None, ge=1, le=MOST_CHOICES)
    seed: int | None = None
    stop: str | list[str] | None = None
    max_tokens: int | None = Field(default=None, ge=0)
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    repetition_penalty: float | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    ignore_eos: bool | None = None
    user: str | None = None
    grammar: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _supported(cls, given: Any) -> Any:
        for name, neutral in NEUTRAL.items():
            if isinstance(given, dict) and given.get(name) not in neutral:
                raise ValueError(f"{name} is not supported")
        return given

    @property
    def own_grammar(self) -> Grammar | None:
        """llama-server's field."""
        return Grammar("gbnf", self.grammar) if self.grammar else None

    @property
    def stops(self) -> tuple[str, ...]:
        given = [self.stop] if isinstance(self.stop, str) else self.stop or []
        if len(given) > MOST_STOPS:
            raise RequestProblem(400, f"more than {MOST_STOPS} stop strings", param="stop")
        return tuple(text for text in given if text)

    def sampling(self, defaults: Sampling, max_tokens: int) -> Sampling:
        """
        Args:
            max_tokens: where the client names no limit.
        """
        names = ("temperature", "top_p", "top_k", "min_p", "presence_penalty", "frequency_penalty")
        given = {name: getattr(self, name) for name in (*names, "repetition_penalty")}
        given = {name: value for name, value in given.items() if value is not None}
        given["top_k"] = max(0, given.get("top_k", defaults.top_k))  # -1 is vLLM's for all
        if given.get("top_p") == 0:  # the likeliest only
            given |= {"top_p": 1.0, "temperature": 0.0}
        limit = self.limit if self.limit is not None else max_tokens
        try:
            return Sampling.model_validate({**defaults.model_dump(), **given, "max_tokens": max(1, limit)})
        except ValidationError as error:
            raise _refusal(error) from error

    @property
    def limit(self) -> int | None:
        return self.max_tokens

    def seeds(self, count: int, fresh: int) -> list[int]:
        """One 32-bit seed a sample; `fresh` where the client gives none."""
        first = self.seed if self.seed is not None else fresh
        return [(first + i) & 0xFFFFFFFF for i in range(count)]


class ChatBody(Common):
    messages: list[GivenMessage] = Field(min_length=1)
    max_completion_tokens: int | None = Field(default=None, ge=0)
    logprobs: bool | None = None
    top_logprobs: int | None = Field(default=None, ge=0, le=MOST_TOP)
    tools: list[Tool] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    response_format: dict[str, Any] | None = None
    reasoning_effort: str | None = None
    chat_template_kwargs: dict[str, Any] | None = None
    thinking_token_budget: int | None = Field(default=None, ge=0)
    thinking_budget_tokens: int | None = Field(default=None, ge=0)

    @property
    def limit(self) -> int | None:
        return self.max_completion_tokens if self.max_completion_tokens is not None else self.max_tokens

    @property
    def format(self) -> Grammar | None:
        """What `response_format` asks for."""
        given = self.response_format or {"type": "text"}
        kind, schema = given.get("type"), given.get("json_schema")
        if kind == "text":
            return None
        if kind == "json_object":
            return Grammar("json_schema", '{"type": "object"}')
        schema = schema.get("schema") if isinstance(schema, dict) else given.get("schema")
        if kind != "json_schema" or not isinstance(schema, dict):
            raise RequestProblem(
                400,
                "response_format is text, json_object, or json_schema with a schema",
                param="response_format",
            )
        return Grammar("json_schema", jsontext.dumps(schema))

    @property
    def top(self) -> int | None:
        if not self.logprobs:
            if self.top_logprobs:
                raise RequestProblem(400, "top_logprobs needs logprobs", param="top_logprobs")
            return None
        return self.top_logprobs or 0

    def control(self, default: ThinkingControl) -> ThinkingControl:
        """How long the model may think."""
        changes: dict[str, Any] = {}
        given = self.chat_template_kwargs or {}
        effort = self.reasoning_effort or given.get("reasoning_effort")
        if effort in ("none", "off"):
            changes["enabled"] = False
        elif effort is not None:
            effort = {"minimal": "low", "xhigh": "high"}.get(str(effort), effort)
            if effort not in EFFORTS:
                raise RequestProblem(400, f"reasoning_effort is one of none, {', '.join(EFFORTS)}")
            changes["effort"] = effort
        for name in ("enable_thinking", "thinking"):
            if isinstance(given.get(name), bool):
                changes["enabled"] = given[name]
        budget = self.thinking_token_budget
        budget = self.thinking_budget_tokens if budget is None else budget
        if budget is not None:
            changes |= {"budget": budget} if budget else {"enabled": False}
        return default.model_copy(update=changes)


class CompletionBody(Common):
    prompt: str | list[int] | list[str] | list[list[int]] = ""
    echo: bool | None = None
    logprobs: int | bool | None = None

    @property
    def prompts(self) -> list[str | tuple[int, ...]]:
        if isinstance(self.prompt, str):
            return [self.prompt]
        if self.prompt and isinstance(self.prompt[0], int):
            return [tuple(token for token in self.prompt if isinstance(token, int))]
        found = [text if isinstance(text, str) else tuple(text) for text in self.prompt if text is not None]  # type: ignore[arg-type]
        if not 0 < len(found) <= MOST_PROMPTS:
            raise RequestProblem(400, f"between 1 and {MOST_PROMPTS} prompts", param="prompt")
        return found

    @property
    def top(self) -> int | None:
        if self.logprobs is None or self.logprobs is False:
            return None
        top = int(self.logprobs)
        if not 0 <= top <= MOST_TOP:
            raise RequestProblem(400, f"logprobs is at most {MOST_TOP}", param="logprobs")
        return top


class TokenizeBody(BaseModel):
    """vLLM's and llama-server's fields."""

    prompt: str | None = None
    content: str | None = None
    messages: list[GivenMessage] | None = None
    add_special_tokens: bool | None = None
    add_special: bool | None = None
    return_token_strs: bool | None = None


class DetokenizeBody(BaseModel):
    tokens: list[Annotated[int, Field(ge=0, lt=1 << 32)]]


def parsed(kind: type[T], body: Any) -> T:
    """
    Raises:
        RequestProblem: it is no such request.
    """
    try:
        return kind.model_validate(body)
    except ValidationError as error:
        raise _refusal(error) from error


def _refusal(error: ValidationError) -> RequestProblem:
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"][:4])
    what = first["msg"].removeprefix("Value error, ")
    return RequestProblem(
        400, f"{where}: {what}" if where else what, param=str(first["loc"][0]) if where else None
    )
