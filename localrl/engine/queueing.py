"""A group's prompt until its samples start: encoded, refused or cancelled, as any batching backend does.

What a sample that never had a token ends with is the same everywhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from localrl.engine.protocol import Finished, FinishReason, GroupRequest, SampleRequest
from localrl.errors import LocalrlError

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Callable, Iterable


class QueuedGroup(Protocol):
    """A backend's own record of one."""

    tokens: list[int]
    group: GroupRequest
    starts_thinking: bool
    samples: deque[SampleRequest]
    """Those that have not started."""


def encoded(
    encode: Callable[[GroupRequest], tuple[list[int], bool]], group: GroupRequest, longest: int
) -> tuple[list[int], bool]:
    """The prompt's tokens, and whether it ends inside the thinking tags.

    Raises:
        LocalrlError: it cannot be encoded, is empty, or leaves no room for a token in a context of `longest`.
    """
    tokens, starts_thinking = encode(group)
    if not tokens:
        raise LocalrlError("the prompt is empty")
    if len(tokens) >= longest:
        raise LocalrlError(
            f"a prompt of {len(tokens)} tokens does not fit a context of {longest}",
            hint="give more with --ctx",
        )
    return tokens, starts_thinking


def refused(group: GroupRequest, error: str) -> list[Finished]:
    """The end of all samples of a prompt that cannot run."""
    return [Finished(sample.id, FinishReason.REFUSED, "", error=error) for sample in group.samples]


def unstarted(prompt: QueuedGroup, sample: SampleRequest, reason: FinishReason, error: str = "") -> Finished:
    """The end of a sample that never had a token."""
    return Finished(
        sample.id, reason, "", prompt.starts_thinking, prompt_tokens=len(prompt.tokens), error=error
    )


def cancelled(prompts: Iterable[QueuedGroup], name: str) -> list[Finished]:
    """Take the sample, or all samples of the group, of this name away from prompts that wait."""
    ends = []
    for prompt in prompts:
        for sample in [s for s in prompt.samples if name in (s.id, prompt.group.id)]:
            prompt.samples.remove(sample)
            ends.append(unstarted(prompt, sample, FinishReason.CANCELLED))
    return ends
