"""From tokens to text: one stream's bytes, thinking, stop strings, limits and metrics.

Shared by every backend that sees tokens, so that they agree on what a sample is.
"""

from __future__ import annotations

import codecs
from dataclasses import dataclass, field, replace
from typing import Literal

from localrl.engine import loopguard
from localrl.engine.protocol import (
    Finished,
    FinishReason,
    Fork,
    GroupRequest,
    SampleRequest,
    Started,
    Text,
    ThinkingProbe,
    TokenLogprob,
)
from localrl.thinking import Splitter, ThinkingMeter, held_back

PROBE_EVERY = 64
"""Thinking tokens between two probes where nobody says otherwise; Dynasor takes 32 to 64."""


@dataclass(slots=True)
class Stream:
    """The text side of one sample. Times are seconds of one monotonic clock, given by the caller."""

    sample: SampleRequest
    group: GroupRequest
    submitted: float
    prompt_tokens: int
    starts_thinking: bool = False
    shared_tokens: int = 0
    prompt_logprobs: tuple[TokenLogprob, ...] = ()
    tokens: list[int] = field(default_factory=list)
    """Generated tokens, without the one that ended the stream, and those of a closing text."""
    logprobs: list[TokenLogprob] = field(default_factory=list)
    """Generated tokens with the one that ended the stream, where they are reported."""
    closed: Literal["", "budget", "sure"] = ""
    forced_tokens: int = 0
    forks: dict[int, Fork | None] = field(default_factory=dict)
    """By budget; None while the fork goes on."""
    probes: dict[int, ThinkingProbe | None] = field(default_factory=dict)
    """By the number of thinking tokens; None while the probe goes on."""
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
    _meter: ThinkingMeter | None = None
    """Only where somebody wants to know, since it costs as much as the splitter."""
    _probe_every: int = 0
    _end: Finished | None = None
    """The end, while forks go on."""

    def __post_init__(self) -> None:
        self._utf8 = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._splitter = Splitter(self.group.thinking, self.starts_thinking)
        group, control = self.group, self.group.control
        self._probe_every = group.probe_every or (PROBE_EVERY if control.stop_when_sure else 0)
        if group.thinking and (control.budget or group.budgets or self._probe_every):
            self._meter = ThinkingMeter(group.thinking, self.starts_thinking)

    def started(self) -> Started:
        return Started(self.sample.id, self.starts_thinking, self.prompt_logprobs)

    def push(
        self, token: int, raw: bytes, now: float, logprob: TokenLogprob | None = None
    ) -> FinishReason | None:
        """Take one token and its bytes; say why the stream ends here, if it does."""
        self._first = now if self._first is None else self._first
        self._last = now
        self.tokens.append(token)
        if logprob:
            self.logprobs.append(logprob)
        self._unassigned += 1
        text = self._utf8.decode(raw)
        self._raw.append(text)
        self._letters.append(any(map(str.isalpha, text)))
        if self._meter:
            self._meter.take(text)
        self._was_thinking = self._splitter.thinking
        stopped = self._emit(self._splitter.feed(text))
        if not self._splitter.holding:
            self._assign_tokens()
        if stopped:
            return FinishReason.STOP
        if self.generated >= self.group.sampling.max_tokens:
            return FinishReason.LENGTH
        if self.group.loop_guard and loopguard.loops(self.tokens, self._letters):
            return FinishReason.LOOP
        return None

    @property
    def generated(self) -> int:
        return len(self.tokens) - self.forced_tokens

    # -- thinking budgets

    @property
    def closable(self) -> int | None:
        """How many tokens it has thought, where the thinking may be closed: neither in an answer nor inside a
        tag or a character."""
        if self._meter is None or not self._meter.inside or self._utf8.getstate()[0]:
            return None
        return self._meter.tokens

    def must_close(self) -> Literal["", "budget", "sure"]:
        """Why the thinking has to be closed now, if it has to."""
        control = self.group.control
        if self.closed or (tokens := self.closable) is None:
            return ""
        if control.budget is not None and tokens >= control.budget:
            return "budget"
        answers = [probe.answer for probe in self.probes.values() if probe]
        last = answers[-(control.stop_when_sure or 0) :]
        sure = len(last) == control.stop_when_sure and len(set(last)) == 1 and last[0]
        return "sure" if sure else ""

    def close_thinking(self, why: Literal["budget", "sure"], tokens: list[int], raw: bytes) -> None:
        """Take the closing text, whose tokens nobody has drawn."""
        assert self._meter is not None
        self.closed, self.forced_tokens = why, len(tokens)
        self.tokens += tokens
        self._letters += [False] * len(tokens)
        text = self._utf8.decode(raw)
        self._raw.append(text)
        self._meter.take(text, generated=False)
        self._emit(self._splitter.feed(text))

    def forks_due(self) -> list[int]:
        """The budgets at which forks leave it now; each is named once."""
        ahead = [budget for budget in self.group.budgets if budget not in self.forks]
        if not ahead or (tokens := self.closable) is None:
            return []
        due = [budget for budget in ahead if budget <= tokens]
        self.forks.update(dict.fromkeys(due))
        return due

    def probe_due(self) -> bool:
        """Whether its answer so far is to be asked for now; a probe waits until the one before has ended."""
        tokens = self.closable
        if not self._probe_every or self.closed or tokens is None or None in self.probes.values():
            return False
        if tokens - max(self.probes, default=0) < self._probe_every:
            return False
        self.probes[tokens] = None
        return True

    def cancel_fork(self, at: int) -> None:
        """A fork was cancelled, and so its parent, although it may have ended before."""
        self.forks.pop(at, None)
        self.probes.pop(at, None)
        if self._end is not None:
            self._end = replace(self._end, reason=FinishReason.CANCELLED)

    @property
    def text(self) -> str:
        """All of it so far."""
        self._raw = ["".join(self._raw)]
        return self._raw[0]

    def released(self) -> list[Finished]:
        """Its end, once all its forks have ended."""
        if self._end is None or None in (*self.forks.values(), *self.probes.values()):
            return []
        end, self._end = self._end, None
        return [self._with_forks(end)]

    def _with_forks(self, end: Finished) -> Finished:
        complete = end.reason is not FinishReason.CANCELLED
        forks = [
            self.forks.get(budget) or Fork(budget, forced=False)
            for budget in self.group.budgets
            if complete or self.forks.get(budget)
        ]
        probes = [probe for probe in self.probes.values() if probe]
        return replace(end, forks=tuple(forks), probes=tuple(probes))

    def thinks_with(self, raw: bytes) -> bool:
        """Whether a next token of these bytes would be thinking, or open it."""
        return self._splitter.thinks_with(raw.decode("utf-8", "replace"))

    @property
    def thought(self) -> bool:
        """Whether there was thinking, as far as is known: a conversation's next prompt will not repeat it."""
        return self._thinking_tokens > 0 or self._splitter.thinking

    def end(self, now: float, logprob: TokenLogprob | None = None) -> None:
        """An end-of-generation token came: it is no text, but it may be the first that the stream gave."""
        self._first = now if self._first is None else self._first
        if logprob:
            self.logprobs.append(replace(logprob, end=True))

    def texts(self) -> list[Text]:
        """What became clear since the last call; the last of it stands for all tokens until now."""
        pending, self._pending = self._pending, []
        if pending:
            told, self._told_tokens = self._told_tokens, self.generated
            pending[:-1] = [replace(text, tokens=0) for text in pending[:-1]]
            pending[-1] = replace(
                pending[-1],
                tokens=self._told_tokens - told,
                logprobs=tuple(self.logprobs[told : self._told_tokens]),
            )
        return pending

    def finish(self, reason: FinishReason, error: str = "") -> list[Text | Finished]:
        """Flush what was held back, except the beginning of a character that never ended, and sum up.

        The end itself is only among the events when no fork goes on; else `released` gives it.
        """
        stopped = self._emit(self._splitter.flush())
        if not stopped and self._held:
            self._pending.append(Text(self.sample.id, self._held, thinking=False))
        self._assign_tokens()
        count = self.generated
        seconds = (self._last or 0.0) - (self._first or 0.0)
        self._end = Finished(
            sample=self.sample.id,
            reason=reason,
            text=self.text,
            starts_thinking=self.starts_thinking,
            prompt_tokens=self.prompt_tokens,
            shared_tokens=self.shared_tokens,
            thinking_tokens=self._thinking_tokens,
            answer_tokens=self._answer_tokens,
            ttft_s=None if self._first is None else self._first - self.submitted,
            tokens_per_s=(count - 1) / seconds if count > 1 and seconds > 0 else None,
            error=error,
            closed=self.closed,
            forced_tokens=self.forced_tokens,
            reopened=self._meter is not None and self._meter.reopened,
            logprobs=tuple(self.logprobs),
        )
        return [*self.texts(), *self.released()]

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
