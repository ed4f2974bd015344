"""Continuous batching over the KV cells of one device: what runs in the next step, and what waits.

Each step decodes the next token of every running stream together with a chunk of waiting prompts. Streams are
admitted while cells last; when cells run out, the youngest is set aside and continued later, so no sample is
cut because others are long. The scheduler knows nothing of the library: a `Device` holds cells and computes.
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import TYPE_CHECKING, Any

from localrl.engine.device import Batch, Device
from localrl.engine.kv_cache.cache import Holder, Memory
from localrl.engine.metrics import StepMetrics
from localrl.engine.parallel import Parallel
from localrl.engine.protocol import Event, FinishReason, GroupRequest, Metrics, SampleRequest
from localrl.engine.queueing import cancelled, encoded, refused, unstarted
from localrl.engine.stream import Stream
from localrl.errors import LocalrlError

if TYPE_CHECKING:
    from collections.abc import Callable

STALL_S = 0.2
"""How long prompts may make the running streams wait in one step."""
SMALLEST_CHUNK = 16
"""Prompt tokens computed beside the streams while their speed is not known."""

COMING = 8
"""Waiting prompts that are looked at for what they share with one that is done."""


@dataclass(slots=True, eq=False)
class _Prompt(Holder):
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


@dataclass(slots=True, eq=False)
class _Running(Holder):
    """A sample that has started; `tokens` are those before `next`, prompt included."""

    stream: Stream = field(kw_only=True)
    sampler: Any = field(kw_only=True)
    born: int = field(kw_only=True)
    """Counts starts: the higher, the younger."""
    next: int = -1
    """The token that was drawn last; the next step computes it."""
    state: Any = None
    """Its saved cells while it is set aside; None when they are computed again instead."""


class Scheduler:
    """The `Backend` of every library that offers a `Device`."""

    def __init__(
        self, device: Device, parallel: int | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.info = device.info
        self._device = device
        self._clock = clock
        self._memory = Memory(device)
        self._parallel = Parallel(parallel, highest=max(1, device.most_streams))
        self._waiting: deque[_Prompt] = deque()
        self._filling: list[_Prompt] = []
        self._ready: deque[_Prompt] = deque()
        self._running: list[_Running] = []
        self._preempted: deque[_Running] = deque()
        self._events: list[Event] = []
        self._prefill_rate = 0.0
        self._started = 0
        self._steps = StepMetrics(self._parallel)

    # -- Backend: submit, cancel, step, close

    @property
    def busy(self) -> bool:
        return bool(
            self._running or self._preempted or self._ready or self._filling or self._waiting or self._events
        )

    def submit(self, group: GroupRequest) -> None:
        longest = min(self._memory.capacity, self._device.longest)
        try:
            tokens, starts_thinking = encoded(self._device.encode, group, longest)
        except LocalrlError as error:
            self._events += refused(group, str(error))
            return
        self._waiting.append(
            _Prompt(
                tokens,
                group=group,
                starts_thinking=starts_thinking,
                submitted=self._clock(),
                samples=deque(group.samples),
            )
        )

    def cancel(self, name: str) -> None:
        waiting = [*self._waiting, *self._filling, *self._ready]
        self._events += cancelled(waiting, name)
        for prompt in waiting:
            if not prompt.samples:
                self._forget(prompt)
        for running in [*self._running, *self._preempted]:
            if name in (running.stream.sample.id, running.stream.group.id):
                self._finish(running, FinishReason.CANCELLED)

    def step(self) -> list[Event]:
        self._admit()
        self._make_room()
        batch, current, chunks = self._compose()
        if batch.tokens:
            began = self._clock()
            if self._device.decode(batch):
                self._advance(batch, current, chunks)
                self._measure(len(current), len(batch.tokens) - len(current), self._clock() - began)
            else:
                self._no_cells()
        elif not self._events and self.busy:
            self._no_cells()
        events, self._events = self._events, []
        if batch.tokens:
            events.append(self.metrics)
        return events

    def close(self) -> None:
        for running in [*self._running, *self._preempted]:
            self._device.free_sampler(running.sampler)
        self._device.close()

    # -- what may run

    def _admit(self) -> None:
        """Continue what was set aside, oldest first; then start samples; then begin prompts."""
        while self._preempted:
            if not self._resume(self._preempted[0]):
                return
            self._running.append(self._preempted.popleft())
            self._running.sort(key=lambda running: running.born)
        self._start_samples()
        while self._waiting and self._open_slots() > 0:
            prompt = self._waiting[0]
            if self._memory.worth_waiting(prompt.tokens):
                return
            shared = self._memory.place(prompt, len(self._running), self._prefill_rate)
            if shared is None:
                return
            prompt.shared = shared
            self._filling.append(self._waiting.popleft())

    def _open_slots(self) -> int:
        """Streams that may still be started, besides those whose prompts are under way."""
        coming = sum(len(prompt.samples) for prompt in [*self._filling, *self._ready])
        return self._parallel.limit - len(self._running) - coming

    def _start_samples(self) -> None:
        """Start samples of computed prompts while streams and cells last."""
        while self._ready:
            prompt = self._ready[0]
            while prompt.samples:
                if len(self._running) >= self._parallel.limit or not self._memory.reserve(
                    1, len(self._running)
                ):
                    return
                self._start(prompt, prompt.samples.popleft())
            prompt.logits = None
            coming = [waiting.tokens for waiting in islice(self._waiting, COMING)]
            self._memory.keep(self._ready.popleft(), coming=coming)

    def _start(self, prompt: _Prompt, sample: SampleRequest) -> None:
        """Give a sample the prompt's cells, which are shared, and draw its first token."""
        shared = len(prompt.tokens) if prompt.served else prompt.shared
        prompt.served = True
        stream = Stream(
            sample, prompt.group, prompt.submitted, len(prompt.tokens), prompt.starts_thinking, shared
        )
        sampler = self._device.sampler(prompt.group.sampling, sample.seed)
        self._started += 1
        running = _Running(list(prompt.tokens), stream=stream, sampler=sampler, born=self._started)
        self._memory.fork(prompt, running, len(prompt.tokens))
        self._running.append(running)
        self._events.append(stream.started())
        self._accept(running, self._device.sample_from(sampler, prompt.logits))

    def _resume(self, running: _Running) -> bool:
        """Bring a stream back: put its saved cells into place, or have them computed again."""
        if running.state is None:
            return self._memory.place(running, len(self._running), self._prefill_rate) is not None
        if not self._memory.bring_back(running, running.state, len(self._running)):
            return False
        running.state = None
        return True

    def _forget(self, prompt: _Prompt) -> None:
        """Nobody waits for this prompt any more."""
        for queue in (self._waiting, self._filling, self._ready):
            if prompt in queue:
                queue.remove(prompt)
        self._memory.release(prompt)

    # -- when cells run out

    def _make_room(self) -> None:
        """See to it that every running stream finds a cell for its next token."""
        while self._memory.free < len(self._running):
            if not self._memory.drop_kept() and not self._preempt_youngest():
                return

    def _preempt_youngest(self) -> bool:
        """Free the cells of whoever came last; the very last stream left has used up the context."""
        if self._filling:
            self._send_back(self._filling.pop())
        elif len(self._running) > 1:
            running = self._running.pop()
            running.state = self._memory.preempt(running, self._prefill_rate)
            self._preempted.appendleft(running)
        elif self._ready:
            self._send_back(self._ready.pop())
        elif self._running:
            self._finish(self._running[0], FinishReason.CONTEXT)
        else:
            return False
        return True

    def _send_back(self, prompt: _Prompt) -> None:
        """A prompt gives its cells up and is computed again when its turn comes."""
        self._memory.release(prompt)
        prompt.logits = None
        self._waiting.appendleft(prompt)

    def _no_cells(self) -> None:
        """Nothing can move: not enough cells for what waits, or fewer than were counted. Let go of one."""
        if self._memory.drop_kept():
            return
        holders = len(self._filling) + len(self._ready) + len(self._running)
        if holders > 1 or self._running:
            self._preempt_youngest()
        elif self._preempted and not holders:
            self._finish(self._preempted[0], FinishReason.CONTEXT)
        elif self._preempted:
            self._send_back((self._filling or self._ready).pop())
        else:
            self._give_up((self._filling or self._ready or self._waiting).pop())

    def _give_up(self, prompt: _Prompt) -> None:
        """A prompt finds no room although it has all cells for itself."""
        self._memory.release(prompt)
        error = "no room in the context for this prompt; give more with --ctx"
        for sample in prompt.samples:
            self._events.append(unstarted(prompt, sample, FinishReason.REFUSED, error))

    # -- one forward pass

    def _compose(self) -> tuple[Batch, list[_Running], list[tuple[Holder, int]]]:
        """The next batch, the streams that decode in it, and how much of which prompts it computes."""
        batch = Batch()
        current = [running for running in self._running if not running.missing]
        current = current[: self._device.batch_tokens]
        for running in current:
            batch.add([running.next], running.filled, running.sequence, output=True)
        behind = [running for running in self._running if running.missing]
        room = min(self._chunk_tokens(len(current)), self._memory.free - len(current))
        chunks: list[tuple[Holder, int]] = []
        for holder in [*behind, *self._filling]:
            count = min(room, holder.missing)
            if count <= 0:
                break
            end = holder.filled + count
            last = isinstance(holder, _Prompt) and end == len(holder.tokens)
            batch.add(holder.tokens[holder.filled : end], holder.filled, holder.sequence, output=last)
            chunks.append((holder, count))
            room -= count
        return batch, current, chunks

    def _chunk_tokens(self, decoding: int) -> int:
        """How many prompt tokens fit beside the streams without stalling them for long."""
        room = self._device.batch_tokens - decoding
        if not decoding:
            return room
        return min(room, max(SMALLEST_CHUNK, int(self._prefill_rate * STALL_S)))

    def _advance(self, batch: Batch, current: list[_Running], chunks: list[tuple[Holder, int]]) -> None:
        """After the forward pass: count cells, draw tokens, start the samples of finished prompts."""
        for holder, count in chunks:
            self._memory.computed(holder, count)
        rows = iter(batch.outputs)
        for running in current:
            running.tokens.append(running.next)
            self._memory.computed(running, 1)
            self._accept(running, self._device.sample(running.sampler, next(rows)))
        done = [holder for holder, _ in chunks if not holder.missing]
        for prompt in done:
            if isinstance(prompt, _Prompt):
                prompt.logits = self._device.logits(next(rows))
                self._filling.remove(prompt)
                self._ready.append(prompt)
        if not self._preempted:
            self._start_samples()

    def _accept(self, running: _Running, token: int) -> None:
        """Take the token that was drawn for a stream, and end the stream where it says so."""
        now, stream = self._clock(), running.stream
        if self._device.is_end(token) and not stream.group.ignore_end:
            stream.end(now)
            self._finish(running, FinishReason.STOP)
            return
        self._steps.generated += 1
        reason = stream.push(token, self._device.piece(token), now)
        if reason is None and len(running.tokens) + 1 >= self._device.longest:
            reason = FinishReason.CONTEXT
        running.next = token
        if reason is not None:
            self._finish(running, reason)
        else:
            self._events += stream.texts()

    def _finish(self, running: _Running, reason: FinishReason) -> None:
        self._events += running.stream.finish(reason)
        self._device.free_sampler(running.sampler)
        (self._running if running in self._running else self._preempted).remove(running)
        nothing_else = not (self._running or self._preempted or self._ready or self._filling or self._waiting)
        if nothing_else and not running.missing:
            # In a chat the next prompt begins with it, but for what was thought.
            self._memory.keep(running, running.stream.prompt_tokens if running.stream.thought else None)
        else:
            self._memory.release(running)

    def _measure(self, decoding: int, prefilled: int, seconds: float) -> None:
        self._steps.measure(decoding, prefilled, seconds)
        if prefilled >= SMALLEST_CHUNK and seconds > 0:
            rate = (decoding + prefilled) / seconds
            self._prefill_rate += (0.3 if self._prefill_rate else 1.0) * (rate - self._prefill_rate)

    @property
    def metrics(self) -> Metrics:
        """How busy the engine is now."""
        return replace(
            self._steps.metrics(),
            running=len(self._running),
            waiting=sum(len(p.samples) for p in [*self._waiting, *self._filling, *self._ready]),
            preempted=len(self._preempted),
            cells_used=self._memory.used,
            cells=self._memory.capacity,
            peak_memory_bytes=self._device.peak_memory_bytes(),
        )
