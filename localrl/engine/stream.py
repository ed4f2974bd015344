"""From tokens to text: one stream's bytes, thinking, stop strings, limits and metrics.

Shared by every backend that sees tokens, so that they agree on what a sample is.
"""

from __future__ import annotations

import codecs
from dataclasses import dataclass, field, replace

from localrl.engine import loopguard
from localrl.engine.protocol import Finished, FinishReason, GroupRequest, SampleRequest, Started, Text
from localrl.thinking import Splitter, held_back


@dataclass(slots=True)
class Stream:
    """The text side of one sample. Times are seconds of one monotonic clock, given by the caller."""

    sample: SampleRequest
    group: GroupRequest
    submitted: float
    prompt_tokens: int
    starts_thinking: bool = False
    shared_tokens: int = 0
    tokens: list[int] = field(default_factory=list)
    """Generated tokens, without the one that ended the stream."""
    _letters: list[bool] = field(default_factory=list)
    """For each token whether it brought a letter."""
    _utf8: codecs.IncrementalDecoder = field(init=False)
    _splitter: Splitter = field(init=False)
    _raw: list[str] = field(default_factory=list)
    _pending: list[Text] = field(default_factory=list)
    _told_tokens: int = 0
    _held: str = ""
    _unassigned: int = 0
    _was_thinking: bool = False
    _thinking_tokens: int = 0
    _answer_tokens: int = 0
    _first: float | None = None
    _last: float | None = None

    def __post_init__(self) -> None:
        self._utf8 = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._splitter = Splitter(self.group.thinking, self.starts_thinking)

    def started(self) -> Started:
        return Started(self.sample.id, self.starts_thinking)

    def push(self, token: int, raw: bytes, now: float) -> FinishReason | None:
        """Take one token and its bytes; say why the stream ends here, if it does."""
        self._first = now if self._first is None else self._first
        self._last = now
        self.tokens.append(token)
        self._unassigned += 1
        text = self._utf8.decode(raw)
        self._raw.append(text)
        self._letters.append(any(map(str.isalpha, text)))
        self._was_thinking = self._splitter.thinking
        stopped = self._emit(self._splitter.feed(text))
        if not self._splitter.holding:
            self._assign_tokens()
        if stopped:
            return FinishReason.STOP
        if len(self.tokens) >= self.group.sampling.max_tokens:
            return FinishReason.LENGTH
        if self.group.loop_guard and loopguard.loops(self.tokens, self._letters):
            return FinishReason.LOOP
        return None

    @property
    def thought(self) -> bool:
        """Whether there was thinking, as far as is known: a conversation's next prompt will not repeat it."""
        return self._thinking_tokens > 0 or self._splitter.thinking

    def end(self, now: float) -> None:
        """An end-of-generation token came: it is no text, but it may be the first that the stream gave."""
        self._first = now if self._first is None else self._first

    def texts(self) -> list[Text]:
        """What became clear since the last call; the last of it stands for all tokens until now."""
        pending, self._pending = self._pending, []
        if pending:
            counts = [0] * (len(pending) - 1) + [len(self.tokens) - self._told_tokens]
            self._told_tokens = len(self.tokens)
            pending = [replace(text, tokens=count) for text, count in zip(pending, counts, strict=True)]
        return pending

    def finish(self, reason: FinishReason, error: str = "") -> list[Text | Finished]:
        """Flush what was held back, except the beginning of a character that never ended, and sum up."""
        stopped = self._emit(self._splitter.flush())
        if not stopped and self._held:
            self._pending.append(Text(self.sample.id, self._held, thinking=False))
        self._assign_tokens()
        count = len(self.tokens)
        seconds = (self._last or 0.0) - (self._first or 0.0)
        return [
            *self.texts(),
            Finished(
                sample=self.sample.id,
                reason=reason,
                text="".join(self._raw),
                starts_thinking=self.starts_thinking,
                prompt_tokens=self.prompt_tokens,
                shared_tokens=self.shared_tokens,
                thinking_tokens=self._thinking_tokens,
                answer_tokens=self._answer_tokens,
                ttft_s=None if self._first is None else self._first - self.submitted,
                tokens_per_s=(count - 1) / seconds if count > 1 and seconds > 0 else None,
                error=error,
            ),
        ]

    def _emit(self, parts: list[tuple[bool, str]]) -> bool:
        """Queue text for the event stream; True when a stop string was found in the answer."""
        for thinking, text in parts:
            if thinking or not self.group.stop:
                self._pending.append(Text(self.sample.id, text, thinking))
                continue
            self._held += text
            if (cut := self._find_stop()) is not None:
                surplus = len(self._held) - cut
                raw = "".join(self._raw)
                self._raw = [raw[: len(raw) - surplus]]
                ready, self._held = self._held[:cut], ""
            else:
                keep = held_back(self._held, self.group.stop)
                ready = self._held[: len(self._held) - keep]
                self._held = self._held[len(self._held) - keep :]
            if ready:
                self._pending.append(Text(self.sample.id, ready, thinking=False))
            if cut is not None:
                return True
        return False

    def _find_stop(self) -> int | None:
        found = [at for stop in self.group.stop if (at := self._held.find(stop)) >= 0]
        return min(found) if found else None

    def _assign_tokens(self) -> None:
        """Count the tokens seen since the splitter last knew where it was; tags belong to the thinking."""
        if self._was_thinking or self._splitter.thinking:
            self._thinking_tokens += self._unassigned
        else:
            self._answer_tokens += self._unassigned
        self._unassigned = 0
