"""Speculation by prompt lookup: what a stream says next is guessed from what it has read or said before.

A stream that edits code, extracts or quotes repeats runs of its own tokens. Where its last few tokens have
occurred before, those that followed them are its draft, and one pass computes the whole draft. The
scheduler then draws each token from the model's own distribution and goes on while it draws what was
guessed. So the text is the one that would have come without: speculative sampling (Leviathan, Kalman and
Matias, 2023) accepts a sure guess with the model's probability for it, which is how often a draw is the
guess.

Guesses are compared with what is said whether they were computed or not. So it costs nothing to know how
often they are right, and with the measured time of a drafted token it is known whether a draft pays.
"""

from __future__ import annotations

from collections import defaultdict, deque
from statistics import median
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from localrl.engine.stream import Stream

NGRAM = 3
"""Tokens that must have occurred before."""
LENGTHS = (3, 7, 15)
"""Tokens of a draft; with the one before, a multiple of four, which processors' kernels compute best."""
MOST_STREAMS = 8
"""With more streams a pass has enough to compute."""
RECENT = 0.25
"""Weight of the last guess in the share of those that were right."""
GAIN = 1.05
"""What a draft must promise: tokens for a time, over those without it."""
EXTRA = 0.5
"""What a drafted token costs before that was measured: so many passes over the number of streams."""
COSTS = 5
"""Measured costs of which the median counts: on a busy machine a single pass may take ten times as long."""
FORGET = 64
"""Passes without drafts after which the first guess counts as one more of them, to be measured again."""
CREDIT = (1.5, 8.0)
"""Passes that drafts may lose: at first, and at most, whatever they have saved."""
ALLOWANCE = 0.01
"""Passes that drafts may lose for each pass without."""


class PromptLookup:
    """Where the last tokens of one stream have occurred before."""

    def __init__(self) -> None:
        self._tokens: list[int] = []
        self._next: dict[tuple[int, ...], int] = {}
        """For each run of `NGRAM` tokens the place of the token that followed it last."""
        self._guess: int | None = None
        """The place of the token that is expected next."""
        self.right = 0.0
        """Share of recent guesses that were right, in [0, 1]."""

    def sync(self, tokens: Sequence[int], last: int) -> None:
        """Take what the stream has said by now: its `tokens`, and behind them the `last`."""
        for token in tokens[len(self._tokens) :]:
            self._take(token)
        if len(self._tokens) == len(tokens):
            self._take(last)

    def draft(self, most: int) -> list[int]:
        """The tokens that are expected, at most so many; empty where nothing is known."""
        return [] if self._guess is None else self._tokens[self._guess : self._guess + most]

    def _take(self, token: int) -> None:
        right = self._guess is not None and self._tokens[self._guess] == token
        if self._guess is not None:
            self.right += RECENT * (right - self.right)
        self._tokens.append(token)
        run = tuple(self._tokens[-NGRAM:])
        if right and self._guess is not None:
            self._guess += 1
        else:
            self._guess = self._next.get(run)
        self._next[run] = len(self._tokens)


class Speculating(Protocol):
    """A stream as the scheduler knows it."""

    tokens: list[int]
    next: int
    stream: Stream
    lookup: PromptLookup
    draft: list[int]


class Speculation:
    """Which streams get a draft, and how long, by what drafts have cost and brought."""

    def __init__(self, longest: int) -> None:
        """A sequence has at most `longest` tokens."""
        self._longest = longest
        self._plain: dict[int, deque[float]] = defaultdict(lambda: deque(maxlen=16))
        """Seconds of passes without drafts, by the number of streams."""
        self._costs = {count: deque([EXTRA / count], COSTS) for count in range(1, MOST_STREAMS + 1)}
        """Of a drafted token by the number of streams, in passes without drafts."""
        self._undrafted = 0
        """Passes without drafts."""
        self._credit = CREDIT[0]
        """Passes that drafts may lose now."""

    def propose(self, streams: Sequence[Speculating], room: int) -> None:
        """Set the draft of each stream; all that run are given, and `room` tokens may be drafted in all."""
        count = len(streams)
        for running in streams:
            running.draft = []
            if count > MOST_STREAMS:
                continue
            running.lookup.sync(running.tokens, running.next)
            wanted = running.stream.group.sampling.max_tokens - running.stream.generated - 1
            most = min(room, wanted, self._longest - len(running.tokens) - 2)
            running.draft = self._draft(running.lookup, count, most)
            room -= len(running.draft)

    def observe(self, streams: int, drafted: int, said: int, seconds: float) -> None:
        """Take the time of a pass that computed nothing but the next tokens of streams and their drafts.

        Args:
            said: tokens that came of it, of all streams.
        """
        if streams > MOST_STREAMS:
            return
        if not drafted:
            self._plain[streams].append(seconds)
            self._undrafted += 1
            if self._undrafted % FORGET == 0:
                self._costs[streams].append(EXTRA / streams)
            self._credit = min(self._credit + ALLOWANCE, CREDIT[1])
        elif self._plain[streams]:
            passes = seconds / median(self._plain[streams])
            self._costs[streams].append(max(0.0, (passes - 1) / drafted))
            passes = 1 + median(self._costs[streams]) * drafted
            self._credit = min(self._credit + said / streams - passes, CREDIT[1])

    def _draft(self, lookup: PromptLookup, streams: int, most: int) -> list[int]:
        """The draft that promises the most tokens for its time; empty where none promises `GAIN`."""
        if most <= 0 or not self._plain[streams]:
            return []
        extra = median(self._costs[streams]) * streams
        best, gain = 0, GAIN
        for length in LENGTHS:
            # The draft counts up to its first wrong token, which comes right out of the same pass.
            expected = sum(lookup.right**i for i in range(length + 1))
            promised = expected / (1 + extra * length)
            if promised > gain and extra * length <= self._credit:
                best, gain = min(length, most), promised
        return lookup.draft(best)
