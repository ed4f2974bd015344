"""A request's samples as they come together: what each event adds to which choice."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from localrl.engine.protocol import Finished, FinishReason, Started, Text, TokenLogprob
from localrl.serve.problems import RequestProblem

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from localrl.serve.calls import CallParser, ParsedCall

FINISH = {FinishReason.STOP: "stop"}
"""Everything else that ends a text cuts it: "length"."""


@dataclass(slots=True)
class ChoiceDelta:
    """What one event adds."""

    index: int
    content: str = ""
    thinking: str = ""
    calls: list[ParsedCall] = field(default_factory=list)
    prompt: tuple[TokenLogprob, ...] = ()
    logprobs: tuple[TokenLogprob, ...] = ()
    tokens: int = 0
    end: Finished | None = None


@dataclass(slots=True)
class Choice:
    """One sample."""

    index: int
    parser: CallParser | None = None
    content: str = ""
    thinking: str = ""
    calls: list[ParsedCall] = field(default_factory=list)
    prompt: tuple[TokenLogprob, ...] = ()
    logprobs: tuple[TokenLogprob, ...] = ()
    """Told so far; at the end all, the one that ended the text included."""
    tokens: int = 0
    end: Finished | None = None

    @property
    def finish_reason(self) -> str:
        assert self.end is not None
        reason = FINISH.get(self.end.reason, "length")
        return "tool_calls" if self.calls and reason == "stop" else reason

    def take(self, event: Started | Text | Finished) -> ChoiceDelta:
        """
        Raises:
            RequestProblem: the sample cannot run, or the engine failed.
        """
        delta = ChoiceDelta(self.index)
        if isinstance(event, Started):
            delta.prompt = self.prompt = event.logprobs
        elif isinstance(event, Text):
            delta.logprobs, delta.tokens = event.logprobs, event.tokens
            self._add(delta, event.text, event.thinking)
            self.logprobs += event.logprobs
            self.tokens += event.tokens
        else:
            delta.end = self.end = _checked(event)
            delta.logprobs, self.logprobs = event.logprobs[len(self.logprobs) :], event.logprobs
            delta.tokens = event.thinking_tokens + event.answer_tokens - self.tokens
            if self.parser:
                self._add_answer(delta, *self.parser.end())
        return delta

    def _add(self, delta: ChoiceDelta, text: str, thinking: bool) -> None:
        if thinking:
            delta.thinking = text if self.thinking else text.lstrip("\n")
            self.thinking += delta.thinking
        elif self.parser:
            self._add_answer(delta, *self.parser.feed(text))
        else:
            self._add_answer(delta, text, [])

    def _add_answer(self, delta: ChoiceDelta, text: str, calls: list[ParsedCall]) -> None:
        if self.thinking and not self.content:  # the template's line breaks behind the closing tag
            text = text.lstrip("\n")
        delta.content += text
        delta.calls += calls
        self.content += text
        self.calls += calls


def _checked(end: Finished) -> Finished:
    if end.reason is FinishReason.REFUSED:
        code = "context_length_exceeded" if "does not fit a context" in end.error else "invalid_prompt"
        raise RequestProblem(400, end.error, code=code)
    if end.reason in (FinishReason.ERROR, FinishReason.CANCELLED):
        raise RequestProblem(503, end.error or "the engine stopped this request")
    return end


def usage(choices: Sequence[Choice]) -> dict[str, Any]:
    """Tokens of the whole request; a prompt counts once, however many samples it has."""
    ends = [choice.end for choice in choices if choice.end]
    prompts = {end.sample.rpartition(".")[0]: end for end in reversed(ends)}.values()
    prompt = sum(end.prompt_tokens for end in prompts)
    thinking = sum(end.thinking_tokens for end in ends)
    generated = thinking + sum(end.answer_tokens for end in ends)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": generated,
        "total_tokens": prompt + generated,
        "prompt_tokens_details": {"cached_tokens": sum(end.shared_tokens for end in prompts)},
        "completion_tokens_details": {"reasoning_tokens": thinking},
    }


def as_chat(tokens: Sequence[TokenLogprob], piece: Callable[[int], bytes]) -> dict[str, Any]:
    """Log-probabilities as chats tell them; the token that ended the text is left out."""

    def entry(token: int, logprob: float | None) -> dict[str, Any]:
        raw = piece(token)
        return {"token": raw.decode("utf-8", "replace"), "logprob": logprob, "bytes": list(raw)}

    content = [
        {
            **entry(token.id, token.logprob),
            "top_logprobs": [entry(other, logprob) for other, logprob in token.top],
        }
        for token in tokens
        if not token.end
    ]
    return {"content": content, "refusal": None}


def as_completion(
    tokens: Sequence[TokenLogprob], piece: Callable[[int], bytes], offset: int = 0
) -> dict[str, Any]:
    """Log-probabilities as completions tell them; `offset` is where in the text the first token begins.

    The token that ended the text is among them, as for vLLM: clients that ask for one token beyond what they
    score (lm-eval) count on it.
    """
    texts = [piece(token.id).decode("utf-8", "replace") for token in tokens]
    offsets = []
    for text in texts:
        offsets.append(offset)
        offset += len(text)
    tops: list[dict[str, float] | None] = []
    for token in tokens:
        top: dict[str, float] = {}
        for other, logprob in token.top:  # tokens may look the same: the likelier one counts
            top.setdefault(piece(other).decode("utf-8", "replace"), logprob)
        tops.append(top if token.logprob is not None else None)
    return {
        "tokens": texts,
        "token_logprobs": [token.logprob for token in tokens],
        "top_logprobs": tops,
        "text_offset": offsets,
    }
