"""Forks of a stream: its answer if it had to stop thinking now, at a budget or for a probe.

A fork begins with its parent's tokens and a closing text, and goes on with a seed of its own. To a backend it
is one more stream, of the same name; all that comes of it is a part of its parent's end, which waits for it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from localrl.chat import PROBE, ThinkingControl
from localrl.engine.protocol import Finished, FinishReason, Fork, SampleRequest, ThinkingProbe
from localrl.engine.stream import Stream
from localrl.sampling import fork_seed
from localrl.thinking import ThinkingMeter

if TYPE_CHECKING:
    from localrl.chat import ThinkingTags
    from localrl.engine.protocol import Text, TokenLogprob

PROBE_TOKENS = 32
"""The longest answer of a probe."""


@dataclass(slots=True)
class ForkStream(Stream):
    """The answer at a budget."""

    parent: Stream = field(kw_only=True)
    at: int = field(kw_only=True)
    """The budget, or the thinking tokens at a probe."""
    characters: int = field(kw_only=True)
    """Of the parent's text."""
    thinking_tokens: int = field(kw_only=True)
    computed_tokens: int = 0
    """Besides those that were generated."""

    def __post_init__(self) -> None:
        Stream.__post_init__(self)
        self._meter = ThinkingMeter(self.tags)

    @property
    def tags(self) -> ThinkingTags:
        assert self.group.thinking is not None
        return self.group.thinking

    @property
    def closing(self) -> str:
        """What stands between the parent's text and this one's."""
        return self.tags.closing

    @property
    def thought(self) -> bool:
        """No later prompt will repeat a fork."""
        return True

    def texts(self) -> list[Text]:
        """None: nobody watches a fork."""
        self._pending.clear()
        return []

    def finish(self, reason: FinishReason, error: str = "") -> list[Text | Finished]:
        """The end of its parent, if that waits for nothing else."""
        (end,) = Stream.finish(self, reason, error)
        assert isinstance(end, Finished)
        if reason is FinishReason.CANCELLED:
            self.parent.cancel_fork(self.at)
        else:
            self._tell(end)
        return [*self.parent.released()]

    def _tell(self, end: Finished) -> None:
        self.parent.forks[self.at] = Fork(
            budget=self.at,
            forced=True,
            seed=self.sample.seed,
            reason=end.reason,
            text=end.text,
            at=self.characters,
            thinking_tokens=self.thinking_tokens,
            answer_tokens=end.thinking_tokens + end.answer_tokens,
            reopened=end.reopened or end.thinking_tokens > 0,
            computed_tokens=self.computed_tokens,
        )


class ProbeStream(ForkStream):
    """The answer inside `\\boxed{}` as it is so far."""

    __slots__ = ()

    @property
    def closing(self) -> str:
        return f"{self.tags.closing.rstrip()}{PROBE}"

    def push(
        self, token: int, raw: bytes, now: float, logprob: TokenLogprob | None = None
    ) -> FinishReason | None:
        reason = Stream.push(self, token, raw, now, logprob)
        return FinishReason.STOP if _boxed(self.text) is not None else reason

    def _tell(self, end: Finished) -> None:
        answer = _boxed(end.text)
        self.parent.probes[self.at] = ThinkingProbe(
            self.thinking_tokens, "" if answer is None else answer.strip()
        )


def _boxed(text: str) -> str | None:
    """What stands before the brace that closes the box; None while it is open."""
    depth = 1
    for i, character in enumerate(text):
        depth += (character == "{") - (character == "}")
        if not depth:
            return text[:i]
    return None


def due(parent: Stream, now: float) -> list[ForkStream]:
    """The forks that leave a stream at the token which it took last."""
    forks = [
        _fork(ForkStream, parent, budget, parent.group.budget_answer_tokens, now)
        for budget in parent.forks_due()
    ]
    if parent.probe_due():
        assert parent.closable is not None
        forks.append(_fork(ProbeStream, parent, parent.closable, PROBE_TOKENS, now))
    return forks


def _fork(kind: type[ForkStream], parent: Stream, at: int, tokens: int, now: float) -> ForkStream:
    sampling = parent.group.sampling.model_copy(update={"max_tokens": tokens})
    group = replace(
        parent.group,
        sampling=sampling,
        control=ThinkingControl(),
        budgets=(),
        probe_every=None,
        logprobs=None,
        echo=False,
        loop_guard=False,
    )
    assert parent.closable is not None
    return kind(
        SampleRequest(parent.sample.id, fork_seed(parent.sample.seed, at)),
        group,
        now,
        parent.prompt_tokens,
        parent=parent,
        at=at,
        characters=len(parent.text),
        thinking_tokens=parent.closable,
    )
