"""One sample as a server tells it: fragments of text instead of tokens, and counts that may be missing.

The text side is the same `Stream` that the other backends use, with fragments in the place of tokens; the
counts are corrected at the end by what the server says.
"""

from __future__ import annotations

import re
import zlib
from dataclasses import replace
from typing import TYPE_CHECKING

from localrl.chat import ThinkingControl, ThinkingTags
from localrl.engine import loopguard
from localrl.engine.backends.server.responses import Failure, RequestFailed
from localrl.engine.protocol import Finished, FinishReason, Text
from localrl.engine.stream import Stream

if TYPE_CHECKING:
    from localrl.engine.backends.server.responses import ChunkChoice, TokenUsage
    from localrl.engine.protocol import GroupRequest, SampleRequest, Started

FINISH = dict.fromkeys(
    ("stop", "eos", "eos_token", "stop_sequence", "end_turn", "tool_calls", "tool_use", "function_call"),
    FinishReason.STOP,
) | dict.fromkeys(("length", "max_tokens", "model_length", "max_output_tokens"), FinishReason.LENGTH)
"""The words of OpenAI, TGI, Anthropic, Gemini and Mistral."""
SLACK = 16
"""Tokens and fragments beyond `max_tokens` that are taken for a different way to count."""
CHARACTERS_PER_TOKEN = 64
"""No tokenizer's text is longer on the whole."""
CHARACTERS_PER_PROMPT_TOKEN = 4
"""For a guess where the server does not count; English text has a little more."""
_UNIT = re.compile(r"\s{0,3}\S{1,4}|\s{4}|\s+$")
"""About a token of text, cut the same way wherever the network cut it."""


class Completion:
    """One sample's text. `starts_thinking`: this server's texts begin inside the thinking tags."""

    def __init__(
        self, sample: SampleRequest, group: GroupRequest, submitted: float, starts_thinking: bool = False
    ) -> None:
        self.sample, self.group = sample, group
        self.fragments = 0
        self.ended: FinishReason | None = None
        """Why it ended, once the server or a stop said so."""
        self.tokens: int | None = None
        """As the server counts them."""
        self._tags = group.thinking or ThinkingTags()
        unlimited = group.sampling.model_copy(update={"max_tokens": 1 << 40})
        as_text = replace(group, sampling=unlimited, loop_guard=False, control=ThinkingControl())
        inside = starts_thinking and group.thinking is not None
        self._stream = Stream(sample, as_text, submitted, 0, inside)
        self._in_reasoning = False
        self._reasoning_fragments = 0
        self._characters = 0
        self._units: list[int] = []
        self._letters: list[bool] = []
        self._unit = ""

    def started(self) -> Started:
        return self._stream.started()

    def push(self, choice: ChunkChoice, now: float) -> list[Text]:
        """Take what a chunk says; `ended` is set when the text ends here.

        Raises:
            RequestFailed: the server goes on past all limits, or ends for no reason that a text can have.
        """
        if text := self._inline(choice):
            self._take(text, now)
        if choice.finish_reason and self.ended is None:
            self.ended = FINISH.get(choice.finish_reason.casefold())
            if self.ended is None:
                raise RequestFailed(Failure.FINAL, f"a text ended by {choice.finish_reason[:40]!r}")
        return self._stream.texts()

    def finish(self, reason: FinishReason, usage: TokenUsage | None = None) -> list[Text | Finished]:
        """Sum up; `usage` is that of a request for this sample alone."""
        *texts, end = self._stream.finish(reason)
        assert isinstance(end, Finished)
        self.tokens = usage.completion_tokens if usage and usage.completion_tokens else self.tokens
        total = self.tokens if self.tokens is not None else self.fragments
        if not self.fragments - SLACK <= total:  # a fragment is at least a token: this is no count
            total, self.tokens = self.fragments, None
        end = self._look_for_thinking(end)
        thinking = self._share(total, self._reasoning_fragments or end.thinking_tokens)
        if usage and usage.reasoning:
            thinking = min(usage.reasoning, total)
        prompt = (usage.prompt_tokens if usage else 0) or 0
        budget = self.group.control.budget
        rate = end.tokens_per_s
        if rate is not None:
            rate = rate * (total - 1) / (self.fragments - 1) if total > 1 else None
        return [
            *texts,
            replace(
                end,
                prompt_tokens=prompt or self._guess_prompt(),
                shared_tokens=min(usage.cached, prompt) if usage else 0,
                thinking_tokens=thinking,
                answer_tokens=total - thinking,
                tokens_per_s=rate,
                estimated=self.tokens is None or not prompt,
                closed="budget" if budget and thinking >= budget else "",
            ),
        ]

    def _inline(self, choice: ChunkChoice) -> str:
        """What the chunk adds, with the tags put back that the server took out."""
        text = ""
        if choice.thinking:
            opens = not self._in_reasoning and not self._stream.starts_thinking
            text += (self._tags.open if opens else "") + choice.thinking
            self._in_reasoning = True
            self._reasoning_fragments += 1
        if choice.answer:
            text += (self._tags.close if self._in_reasoning else "") + choice.answer
            self._in_reasoning = False
        return text

    def _take(self, text: str, now: float) -> None:
        if self.ended is not None:
            return
        most = self.group.sampling.max_tokens
        self._characters += len(text)
        if self.fragments >= most + SLACK + most // 16 or self._characters > CHARACTERS_PER_TOKEN * (
            most + SLACK
        ):
            raise RequestFailed(Failure.BROKEN, f"more text than max_tokens {most} allows")
        self.fragments += 1
        raw = text.encode("utf-8", errors="replace")
        self.ended = self._stream.push(zlib.crc32(raw), raw, now)
        if self.ended is None and self.group.loop_guard and self._loops(text):
            self.ended = FinishReason.LOOP

    def _loops(self, text: str) -> bool:
        """Fragments come as the network cuts them, so repetition is looked for in units of text."""
        *whole, self._unit = _UNIT.findall(self._unit + text) or [""]
        for unit in whole:
            self._units.append(zlib.crc32(unit.encode("utf-8", errors="replace")))
            self._letters.append(any(map(str.isalpha, unit)))
            if loopguard.loops(self._units, self._letters):
                return True
        return False

    def _look_for_thinking(self, end: Finished) -> Finished:
        """A closing tag without an opening one: the server's template had opened it in the prompt."""
        tags = self.group.thinking
        if tags is None or end.starts_thinking or tags.close not in end.text:
            return end
        if end.text.lstrip().startswith(tags.open):
            return end
        thinking = end.text.index(tags.close) + len(tags.close)
        tokens = max(1, round(self.fragments * thinking / len(end.text)))
        return replace(end, starts_thinking=True, thinking_tokens=tokens)

    def _share(self, total: int, thinking_fragments: int) -> int:
        return round(total * thinking_fragments / self.fragments) if self.fragments else 0

    def _guess_prompt(self) -> int:
        prompt = self.group.prompt
        if isinstance(prompt, str):
            return len(prompt) // CHARACTERS_PER_PROMPT_TOKEN
        tokens = sum(1 for part in prompt if isinstance(part, int))
        characters = sum(len(part.content) for part in prompt if not isinstance(part, int))
        return tokens + characters // CHARACTERS_PER_PROMPT_TOKEN


def longest_prompt(group: GroupRequest) -> int:
    """Tokens that a prompt has at most, before a template: one for each byte of text."""
    if isinstance(group.prompt, str):
        return len(group.prompt.encode(errors="replace"))
    return sum(
        1 if isinstance(part, int) else len(part.content.encode(errors="replace")) for part in group.prompt
    )
