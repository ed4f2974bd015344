"""Notice a stream that repeats itself without end.

A stream counts as looping when its last tokens are one block repeated exactly, at least four times and over
at least 256 tokens; 2,048 where the block holds no letter, since grids of zeros and the digits of a third
repeat too. Long enumerations, tables and counting do not fire, because their tokens change from one line to
the next; see `tests/engine/test_stream.py` for the texts that this was tried on.
"""

from __future__ import annotations

REPEATS = 4
SPAN = 256
WORDLESS_SPAN = 2048
SHORT_BLOCK = 1024
LONGEST_BLOCK = 4096
EVERY = 32
"""Look only after every so many tokens, which keeps the cost per token small."""
RARELY = 2048
"""And so much more rarely for blocks that are not short: they are many, and four of them take long anyway."""
GLANCE = 8
"""So many tokens are compared first, because hardly any block comes further."""


def loops(tokens: list[int], letters: list[bool]) -> bool:
    """Whether the end of `tokens` repeats one block of at most LONGEST_BLOCK tokens.

    Args:
        letters: for each token whether there is a letter in its text.
    """
    if len(tokens) < SPAN or len(tokens) % EVERY:
        return False
    longest = SHORT_BLOCK if len(tokens) % RARELY else LONGEST_BLOCK
    tail = tokens[: -REPEATS * longest - 1 : -1]
    for period in range(1, len(tail) // REPEATS + 1):
        if tail[period : period + GLANCE] == tail[:GLANCE]:
            least = SPAN if any(letters[-period:]) else WORDLESS_SPAN
            span = max(least, REPEATS * period)
            if len(tail) >= span and tail[period:span] == tail[: span - period]:
                return True
    return False
