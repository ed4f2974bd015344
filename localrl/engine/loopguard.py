"""Notice a stream that repeats itself without end.

A stream counts as looping when its last tokens are one block repeated exactly, at least four times and over
at least 256 tokens. Long enumerations, tables and counting do not fire, because their tokens change from one
line to the next; see `tests/engine/test_loopguard.py` for the texts that this was tried on.
"""

from __future__ import annotations

REPEATS = 4
SPAN = 256
LONGEST_BLOCK = 1024
EVERY = 32
"""Look only after every so many tokens, which keeps the cost per token small."""


def loops(tokens: list[int]) -> bool:
    """Whether the end of `tokens` repeats one block of at most LONGEST_BLOCK tokens."""
    if len(tokens) < SPAN or len(tokens) % EVERY:
        return False
    tail = tokens[: -REPEATS * LONGEST_BLOCK - 1 : -1]
    # Knuth-Morris-Pratt: border[i] is the longest proper border of tail[:i + 1]; its period is the rest.
    border = [0] * len(tail)
    for i in range(1, len(tail)):
        length = border[i - 1]
        while length and tail[i] != tail[length]:
            length = border[length - 1]
        if tail[i] == tail[length]:
            length += 1
        border[i] = length
        span, period = i + 1, i + 1 - length
        if span >= SPAN and span >= REPEATS * period:
            return True
    return False
