"""What the scheduler holds: prompts until their samples have started, and samples that run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from localrl.engine.forks import ForkStream
from localrl.engine.kv_cache.cache import TokenSequence
from localrl.engine.speculation import PromptLookup

if TYPE_CHECKING:
    from collections import deque

    from localrl.engine.protocol import GroupRequest, SampleRequest, TokenLogprob
    from localrl.engine.stream import Stream


@dataclass(slots=True, eq=False)
class QueuedPrompt(TokenSequence):
    """A group's prompt: waiting, being computed, or ready to start samples from."""

    group: GroupRequest = field(kw_only=True)
    starts_thinking: bool = field(kw_only=True)
    submitted: float = field(kw_only=True)
    samples: deque[SampleRequest] = field(kw_only=True)
    """Those that have not started."""
    shared: int = 0
    """Tokens taken from another prompt's cells."""
    served: bool = False
    """A sample has started from it, so for every further one all of it is shared."""
    logits: Any = None
    """Of the last token, once it is computed."""
    logprobs: list[TokenLogprob] = field(default_factory=list)
    """Of the tokens computed so far, and the next, where the group asked for `echo`."""


@dataclass(slots=True, eq=False)
class RunningStream(TokenSequence):
    """A sample that has started; `tokens` are those before `next`, prompt included."""

    stream: Stream = field(kw_only=True)
    sampler: Any = field(kw_only=True)
    born: int = field(kw_only=True)
    """Counts starts: the higher, the younger."""
    next: int = -1
    """The token that was drawn last; the next step computes it."""
    state: Any = None
    """Its saved cells while it is preempted; None when they are computed again instead."""
    state_tokens: int = 0
    """How many tokens these are of."""
    deferred: list[RunningStream] = field(default_factory=list)
    """Forks that begin in its cells once it has ended, the shortest first."""
    lookup: PromptLookup = field(default_factory=PromptLookup)
    draft: list[int] = field(default_factory=list)
    """Guesses of the tokens behind `next`, which the next step computes, too."""

    @property
    def is_fork(self) -> bool:
        return isinstance(self.stream, ForkStream)
