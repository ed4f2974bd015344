"""Continuous batching over a cache that is padded to its longest row, as mlx-lm's is.

Such a cache costs rows × longest row: one long trace makes every row long. So streams of similar expected
length run together, new ones are held back while they would not fit, and when the rows outgrow the memory the
youngest is preempted and computed again later. The library is behind `PaddedDevice`.
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field, replace
from itertools import repeat
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

from localrl.engine.metrics import StepMetrics
from localrl.engine.parallel import Parallel
from localrl.engine.protocol import (
    Event,
    FinishReason,
    GroupRequest,
    Metrics,
    ModelInfo,
    SampleRequest,
    TokenLogprob,
)
from localrl.engine.queueing import cancelled, encoded, refused
from localrl.engine.stream import Stream
from localrl.errors import LocalrlError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from localrl.sampling import Sampling

CHUNK = 512
"""Prompt tokens computed in one step beside the streams."""
START_STREAMS = 4


class Drawn(NamedTuple):
    """The next token of a row."""

    row: int
    token: int
    logits: Any
    """That it was drawn from; perhaps not computed before they are looked at."""


class PaddedDevice(Protocol):
    """A loaded model that generates rows of one padded batch."""

    info: ModelInfo
    cells: int
    """Tokens that the padding, too, may take."""
    longest: int
    """Most tokens in one row."""
    cell_step: int
    """PaddedDevice grow by so many tokens at a time."""
    most_rows: int

    def encode(self, group: GroupRequest) -> tuple[list[int], bool]:
        """The prompt's tokens, and whether it ends inside the thinking tags. Raises LocalrlError."""

    def tokenize(self, text: str, *, ends: bool = False, control: bool = False) -> list[int]: ...
    def piece(self, token: int) -> bytes: ...
    def token_bytes(self, token: int) -> bytes: ...
    def is_end(self, token: int) -> bool: ...
    def logprob(self, logits: Any, token: int, top: int) -> TokenLogprob:
        """How likely a token is by these logits, and which `top` tokens are likeliest."""

    def prefill(self, cache: Any, tokens: Sequence[int], outputs: bool) -> tuple[Any, Sequence[Any]]:
        """Compute tokens behind those of a cache, None for an empty one; the cache with them, and for
        `outputs` the logits after each token."""

    def insert(self, tokens: list[int], known: int, cache: Any, sampler: Any) -> int:
        """Start a row whose first `known` tokens are in the cache, which is not changed; its number."""

    def sampler(self, sampling: Sampling, seed: int, prompt: int, drawn: int) -> Any:
        """One for a prompt of so many tokens that has drawn so many already."""

    def next(self) -> tuple[int, list[Drawn]]:
        """One step: prompt tokens computed, and the token of each row that generates."""

    def remove(self, rows: list[int]) -> None: ...
    def detach(self, row: int) -> Any:
        """Remove a row; its cache, which holds all tokens that `next` has told of it."""

    def peak_memory_bytes(self) -> int: ...
    def close(self) -> None: ...


@dataclass(slots=True, eq=False)
class _PaddedPrompt:
    """A group's prompt, and its samples that have not started."""

    tokens: list[int]
    group: GroupRequest
    starts_thinking: bool
    submitted: float
    samples: deque[SampleRequest]
    cache: Any = None
    computed: int = 0
    served: bool = False
    """A sample has started from it."""
    logprobs: list[TokenLogprob] = field(default_factory=list)
    """Of its tokens, where the group asked for `echo`."""

    @property
    def bucket(self) -> int:
        """Prompts of the same bucket are expected to become equally long, within a factor of two."""
        return (len(self.tokens) + self.group.sampling.max_tokens).bit_length()

    @property
    def ready(self) -> bool:
        """What samples share, or ask about, is computed first; the last token is each row's own."""
        alone = len(self.samples) == 1 and not self.computed and not self.group.echo
        return alone or self.computed == len(self.tokens) - 1


@dataclass(slots=True, eq=False)
class _PaddedSample:
    stream: Stream
    prompt: list[int]
    bucket: int
    number: int = -1

    @property
    def length(self) -> int:
        return len(self.prompt) + len(self.stream.tokens)


class PaddedScheduler:
    """The `Backend` of a library with a padded batch cache."""

    def __init__(
        self, device: PaddedDevice, parallel: int | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.info, self.tokenizer = device.info, device
        self._device = device
        self._longest_row = min(device.longest, device.cells)
        self._clock = clock
        self._parallel = Parallel(parallel, START_STREAMS, device.most_rows)
        self._waiting: deque[_PaddedPrompt] = deque()
        self._prefilling: _PaddedPrompt | None = None
        self._running: list[_PaddedSample] = []
        self._preempted: deque[_PaddedSample] = deque()
        self._events: list[Event] = []
        self._steps = StepMetrics(self._parallel)

    # -- Backend: submit, cancel, step, close

    @property
    def busy(self) -> bool:
        return bool(self._waiting or self._prefilling or self._running or self._preempted or self._events)

    def submit(self, group: GroupRequest) -> None:
        try:
            tokens, inside = encoded(self._device.encode, group, self._longest_row)
        except LocalrlError as error:
            self._events += refused(group, str(error))
            return
        self._waiting.append(_PaddedPrompt(tokens, group, inside, self._clock(), deque(group.samples)))

    def cancel(self, name: str) -> None:
        self._events += cancelled([*self._waiting, *([self._prefilling] if self._prefilling else [])], name)
        self._waiting = deque(prompt for prompt in self._waiting if prompt.samples)
        if self._prefilling is not None and not self._prefilling.samples:
            self._prefilling = None
        ended = [
            (row, FinishReason.CANCELLED)
            for row in [*self._running, *self._preempted]
            if name in (row.stream.sample.id, row.stream.group.id)
        ]
        self._end(ended)

    def step(self) -> list[Event]:
        self._admit()
        self._make_room()
        if self._running or self._prefilling:
            began = self._clock()
            prefilled = self._prefill()
            decoding = 0
            if self._running:
                computed, drawn = self._device.next()
                prefilled += computed
                decoding = len(drawn)
                self._accept(drawn)
            self._steps.measure(decoding, prefilled, self._clock() - began)
            self._events.append(self._metrics())
        events, self._events = self._events, []
        return events

    def close(self) -> None:
        self._device.close()

    # -- what may run

    def _admit(self) -> None:
        """Continue what was preempted, oldest first; then start samples; then begin the next prompt."""
        while self._preempted and self._fits(self._preempted[0].length):
            row = self._preempted.popleft()
            self._insert(row, 0, None)
        if self._preempted:
            return
        while self._start_samples() and (following := self._following()) is not None:
            self._waiting.remove(following)
            self._prefilling = following

    def _start_samples(self) -> bool:
        """Start samples of the current prompt; True when it has none left, or there is no prompt."""
        prompt = self._prefilling
        if prompt is None:
            return True
        while prompt.ready and prompt.samples and self._open(len(prompt.tokens)):
            self._start(prompt, prompt.samples.popleft())
        if not prompt.samples:
            self._prefilling = None
        return not prompt.samples

    def _following(self) -> _PaddedPrompt | None:
        """The next prompt: one that becomes about as long as those that run, else the first, if it fits."""
        if not self._waiting:
            return None
        buckets = {row.bucket for row in self._running}
        found = next((p for p in self._waiting if p.bucket in buckets), self._waiting[0])
        return found if self._open(len(found.tokens)) else None

    def _open(self, length: int) -> bool:
        return len(self._running) < self._parallel.limit and self._fits(length)

    def _fits(self, length: int) -> bool:
        """Whether one more row of this length fits, with every row padded to the longest."""
        if not self._running:
            return True
        return self._padded(len(self._running) + 1, max(length, self._longest())) <= self._device.cells

    def _longest(self) -> int:
        return max((row.length for row in self._running), default=0)

    def _padded(self, rows: int, longest: int) -> int:
        step = self._device.cell_step
        return rows * -(-(longest + 1) // step) * step

    def _start(self, prompt: _PaddedPrompt, sample: SampleRequest) -> None:
        shared = prompt.computed if prompt.served else 0
        prompt.served = True
        if prompt.group.echo:
            prompt.logprobs = prompt.logprobs or [TokenLogprob(prompt.tokens[0], None)]
        stream = Stream(
            sample,
            prompt.group,
            prompt.submitted,
            len(prompt.tokens),
            prompt.starts_thinking,
            shared,
            tuple(prompt.logprobs),
        )
        self._insert(_PaddedSample(stream, prompt.tokens, prompt.bucket), prompt.computed, prompt.cache)

    def _insert(self, row: _PaddedSample, known: int, cache: Any) -> None:
        stream = row.stream
        drawn = len(stream.tokens)
        sampler = self._device.sampler(stream.group.sampling, stream.sample.seed, len(row.prompt), drawn)
        row.number = self._device.insert([*row.prompt, *stream.tokens], known, cache, sampler)
        self._running.append(row)

    def _make_room(self) -> None:
        """Preempt the youngest rows when all of them, padded, outgrow the memory."""
        removed = []
        while len(self._running) > 1 and (
            self._padded(len(self._running), self._longest()) > self._device.cells
        ):
            row = self._running.pop()
            removed.append(row.number)
            self._preempted.appendleft(row)
        if removed:
            self._device.remove(removed)

    # -- one step

    def _prefill(self) -> int:
        """Compute the next chunk of the prompt that several samples will share."""
        prompt = self._prefilling
        if prompt is None or prompt.ready:
            return 0
        end = min(prompt.computed + CHUNK, len(prompt.tokens) - 1)
        echo, tokens = prompt.group.echo, prompt.tokens[prompt.computed : end]
        prompt.cache, rows = self._device.prefill(prompt.cache, tokens, echo)
        if echo:
            prompt.logprobs = prompt.logprobs or [TokenLogprob(prompt.tokens[0], None)]
            following, top = prompt.tokens[prompt.computed + 1 : end + 1], prompt.group.logprobs or 0
            prompt.logprobs += map(self._device.logprob, rows, following, repeat(top))
        prompt.computed = end
        return len(tokens)

    def _accept(self, drawn: list[Drawn]) -> None:
        rows = {row.number: row for row in self._running}
        now = self._clock()
        ended = []
        for each in drawn:
            row = rows[each.row]
            if not row.stream.tokens:
                self._events.append(row.stream.started())
            reason = self._push(row, each, now)
            if reason is not None:
                ended.append((row, reason))
            else:
                self._events += row.stream.texts()
                if why := row.stream.must_close():
                    self._close_thinking(row, why)
        self._end(ended)

    def _close_thinking(self, row: _PaddedSample, why: Literal["budget", "sure"]) -> None:
        """Let a row go on as if it had said the closing text."""
        assert row.stream.group.thinking is not None
        known, cache = row.length, self._device.detach(row.number)
        closing = self._device.tokenize(row.stream.group.thinking.closing, control=True)
        row.stream.close_thinking(why, closing, b"".join(map(self._device.token_bytes, closing)))
        self._running.remove(row)
        self._insert(row, known, cache)

    def _push(self, row: _PaddedSample, drawn: Drawn, now: float) -> FinishReason | None:
        stream, token = row.stream, drawn.token
        top = stream.group.logprobs
        logprob = None if top is None else self._device.logprob(drawn.logits, token, top)
        if self._device.is_end(token) and not stream.group.ignore_end:
            stream.end(now, logprob)
            return FinishReason.STOP
        self._steps.generated += 1
        reason = stream.push(token, self._device.token_bytes(token), now, logprob)
        if reason is None and row.length + 1 >= self._longest_row:
            return FinishReason.CONTEXT
        return reason

    def _end(self, ended: list[tuple[_PaddedSample, FinishReason]]) -> None:
        if removed := [row.number for row, _ in ended if row in self._running]:
            self._device.remove(removed)
        for row, reason in ended:
            (self._running if row in self._running else self._preempted).remove(row)
            self._events += row.stream.finish(reason)

    def _metrics(self) -> Metrics:
        waiting = [*self._waiting, *([self._prefilling] if self._prefilling else [])]
        return replace(
            self._steps.metrics(),
            running=len(self._running),
            waiting=sum(len(prompt.samples) for prompt in waiting),
            preempted=len(self._preempted),
            cells_used=self._padded(len(self._running), self._longest()),
            cells=self._device.cells,
            peak_memory_bytes=self._device.peak_memory_bytes(),
        )
