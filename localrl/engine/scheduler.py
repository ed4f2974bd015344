"""Continuous batching over the KV cells of one device: what runs in the next step, and what waits.

Each step decodes the next token of every running stream together with a chunk of waiting prompts. Streams are
admitted while cells last; when cells run out, the youngest is preempted and continued later, so no sample is
cut because others are long. The scheduler knows nothing of the library: a `BatchDevice` computes.
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal

from localrl.engine.device import Batch, BatchDevice
from localrl.engine.forks import ForkStream, due
from localrl.engine.kv_cache.cache import KVCache, TokenSequence
from localrl.engine.metrics import StepMetrics
from localrl.engine.parallel import Parallel
from localrl.engine.protocol import Event, FinishReason, GroupRequest, Metrics, SampleRequest, TokenLogprob
from localrl.engine.queueing import cancelled, encoded, refused, unstarted
from localrl.engine.sequences import QueuedPrompt, RunningStream
from localrl.engine.speculation import Speculation
from localrl.engine.stream import Stream
from localrl.errors import LocalrlError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

STALL_S = 0.2
"""How long prompts may make the running streams wait in one step, where somebody waits for their tokens."""
SMALLEST_CHUNK = 16
"""Prompt tokens computed beside the streams while their speed is not known."""

FIRST_STREAMS = {True: 8, False: 32}
"""Streams that are tried first where nothing is known, on the processor or on an accelerator; that reads all
weights in a step, for one stream as for many."""
COMING = 8
"""Waiting prompts that are looked at for what they share with one that is done."""


Chunk = tuple[TokenSequence, int]
"""How many further tokens of whom are computed in a step."""


class Scheduler:
    """The `Backend` of every library that offers a `BatchDevice`."""

    def __init__(
        self,
        device: BatchDevice,
        parallel: int | None = None,
        clock: Callable[[], float] = time.monotonic,
        aim: Literal["latency", "throughput"] = "latency",
        speculate: bool = True,
        first_parallel: int | None = None,
    ) -> None:
        """
        Args:
            parallel: streams at once; None finds the number, and begins with `first_parallel`.
            aim: whether somebody waits for the next token, or only for the end of the run.
            speculate: whether few streams may get drafts.
        """
        self.info, self.tokenizer = device.info, device
        self._device = device
        self._clock = clock
        self._stalls_matter = aim == "latency"
        self._cache = KVCache(device)
        first = first_parallel or FIRST_STREAMS[self.info.on_processor]
        self._parallel = Parallel(parallel, first, max(1, device.most_streams))
        self._waiting: deque[QueuedPrompt] = deque()
        self._prefilling: list[QueuedPrompt] = []
        self._ready: deque[QueuedPrompt] = deque()
        self._running: list[RunningStream] = []
        self._preempted: deque[RunningStream] = deque()
        self._events: list[Event] = []
        self._prefill_rate = 0.0
        self._started = 0
        self._steps = StepMetrics(self._parallel)
        self._speculation = Speculation(device.longest) if speculate and device.partial else None

    # -- Backend: submit, cancel, step, close

    @property
    def busy(self) -> bool:
        return self._working or bool(self._events)

    @property
    def _working(self) -> bool:
        return bool(self._running or self._preempted or self._ready or self._prefilling or self._waiting)

    def submit(self, group: GroupRequest) -> None:
        longest = min(self._cache.capacity, self._device.longest)
        try:
            tokens, starts_thinking = encoded(self._device.encode, group, longest)
        except LocalrlError as error:
            self._events += refused(group, str(error))
            return
        self._waiting.append(
            QueuedPrompt(
                tokens,
                group=group,
                starts_thinking=starts_thinking,
                submitted=self._clock(),
                samples=deque(group.samples),
            )
        )

    def cancel(self, name: str) -> None:
        waiting = [*self._waiting, *self._prefilling, *self._ready]
        self._events += cancelled(waiting, name)
        for prompt in waiting:
            if not prompt.samples:
                self._drop(prompt)
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
                generated = self._steps.generated
                self._advance(batch, current, chunks)
                self._measure(current, chunks, self._steps.generated - generated, self._clock() - began)
            else:
                self._free_any()
        elif not self._events and self.busy:
            self._free_any()
        events, self._events = self._events, []
        if batch.tokens:
            events.append(self.metrics)
        return events

    def set_adapter(self, path: str | None) -> None:
        """As `protocol.Adaptable`."""
        assert not self._working
        self._cache.clear()
        self._device.set_adapter(path)

    def close(self) -> None:
        for running in [*self._running, *self._preempted]:
            for each in (running, *running.deferred):
                self._device.free_sampler(each.sampler)
        self._device.close()

    # -- what may run

    def _admit(self) -> None:
        """Resume what was preempted, oldest first; then start samples; then begin prompts."""
        while self._preempted:
            if not self._resume(self._preempted[0]):
                return
            self._running.append(self._preempted.popleft())
            self._running.sort(key=lambda running: running.born)
        self._start_samples()
        while self._waiting and self._free_streams() > 0:
            prompt = self._waiting[0]
            share = not prompt.group.echo
            if share and self._cache.worth_waiting(prompt.tokens):
                return
            shared = self._cache.allocate(prompt, len(self._running), self._prefill_rate, share)
            if shared is None:
                return
            prompt.shared = shared
            self._prefilling.append(self._waiting.popleft())

    def _free_streams(self) -> int:
        """Streams that may still be started, besides those whose prompts are under way."""
        coming = sum(len(prompt.samples) for prompt in [*self._prefilling, *self._ready])
        return self._parallel.limit - self._streams - coming

    @property
    def _streams(self) -> int:
        """Running samples; forks come on top of the limit."""
        return sum(not running.is_fork for running in self._running)

    def _start_samples(self) -> None:
        """Start samples of computed prompts while streams and cells last."""
        while self._ready:
            prompt = self._ready[0]
            while prompt.samples:
                full = self._streams >= self._parallel.limit
                if full or not self._cache.reserve(1, len(self._running)):
                    return
                self._start(prompt, prompt.samples.popleft())
            prompt.logits = None
            coming = [waiting.tokens for waiting in islice(self._waiting, COMING)]
            self._cache.cache_prefix(self._ready.popleft(), coming=coming)

    def _start(self, prompt: QueuedPrompt, sample: SampleRequest) -> None:
        """Give a sample the prompt's cells, which are shared, and draw its first token."""
        shared = len(prompt.tokens) if prompt.served else prompt.shared
        prompt.served = True
        stream = Stream(
            sample,
            prompt.group,
            prompt.submitted,
            len(prompt.tokens),
            prompt.starts_thinking,
            shared,
            tuple(prompt.logprobs),
        )
        sampler = self._device.sampler(prompt.group.sampling, sample.seed, prompt.tokens, ())
        if prompt.group.grammar:
            sampler = self._device.constrained(sampler, prompt.group.grammar, stream)
        self._started += 1
        running = RunningStream(list(prompt.tokens), stream=stream, sampler=sampler, born=self._started)
        self._cache.fork(prompt, running, len(prompt.tokens))
        self._running.append(running)
        self._events.append(stream.started())
        self._take_token(running, self._device.sample_from(sampler, prompt.logits), prompt.logits)

    def _resume(self, running: RunningStream) -> bool:
        """Bring a stream back: put its saved cells into place, or have them computed again."""
        if running.state is None:
            return self._cache.allocate(running, len(self._running), self._prefill_rate) is not None
        if not self._cache.restore(running, running.state, running.state_tokens, len(self._running)):
            return False
        running.state = None
        return True

    def _drop(self, prompt: QueuedPrompt) -> None:
        """Nobody waits for this prompt any more."""
        for queue in (self._waiting, self._prefilling, self._ready):
            if prompt in queue:
                queue.remove(prompt)
        self._cache.release(prompt)

    # -- when cells run out

    def _make_room(self) -> None:
        """See to it that every running stream finds a cell for its next token."""
        while self._cache.free < len(self._running):
            if not self._cache.evict() and not self._preempt_youngest():
                return

    def _preempt_youngest(self) -> bool:
        """Free the cells of whoever came last; the very last stream left has used up the context."""
        if self._prefilling:
            self._requeue(self._prefilling.pop())
        elif len(self._running) > 1:
            running = self._running.pop()
            running.state_tokens = running.computed
            running.state = self._cache.preempt(running, self._prefill_rate)
            self._preempted.appendleft(running)
        elif self._ready:
            self._requeue(self._ready.pop())
        elif self._running:
            self._finish(self._running[0], FinishReason.CONTEXT)
        else:
            return False
        return True

    def _requeue(self, prompt: QueuedPrompt) -> None:
        """A prompt gives its cells up and is computed again when its turn comes."""
        self._cache.release(prompt)
        prompt.logits = None
        prompt.logprobs.clear()
        self._waiting.appendleft(prompt)

    def _free_any(self) -> None:
        """Nothing can move: not enough cells for what waits, or fewer than were counted. Let go of one."""
        if self._cache.evict():
            return
        holders = len(self._prefilling) + len(self._ready) + len(self._running)
        if holders > 1 or self._running:
            self._preempt_youngest()
        elif self._preempted and not holders:
            self._finish(self._preempted[0], FinishReason.CONTEXT)
        elif self._preempted:
            self._requeue((self._prefilling or self._ready).pop())
        else:
            self._give_up((self._prefilling or self._ready or self._waiting).pop())

    def _give_up(self, prompt: QueuedPrompt) -> None:
        """A prompt finds no room although it has all cells for itself."""
        self._cache.release(prompt)
        error = "no room in the context for this prompt; give more with --ctx"
        for sample in prompt.samples:
            self._events.append(unstarted(prompt, sample, FinishReason.REFUSED, error))

    # -- one forward pass

    def _compose(self) -> tuple[Batch, list[RunningStream], list[Chunk]]:
        """The next batch, the streams that decode in it, and how much of which prompts it computes."""
        batch = Batch()
        current = [running for running in self._running if not running.missing]
        current = current[: self._device.batch_tokens]
        self._cache.arrange(current)
        if self._speculation:  # beside prompts the time that drafts take could not be told from theirs
            alone = len(current) == len(self._running) and not self._prefilling
            room = min(self._cache.free, self._device.batch_outputs, self._device.batch_tokens) - len(current)
            self._speculation.propose(current, room if alone else 0)
        for running in current:
            tokens = [running.next, *running.draft]
            batch.add(tokens, running.computed, running.seq_id, outputs=len(tokens))
        behind = [running for running in self._running if running.missing]
        room = min(self._chunk_tokens(len(current)), self._cache.free - len(current))
        chunks: list[Chunk] = []
        for sequence in [*behind, *self._prefilling]:
            count = min(room, sequence.missing)
            if echo := isinstance(sequence, QueuedPrompt) and sequence.group.echo:  # leave each prompt a row
                count = min(count, self._device.batch_outputs - len(batch.outputs) - len(self._prefilling))
            if count <= 0:
                break
            end = sequence.computed + count
            last = isinstance(sequence, QueuedPrompt) and end == len(sequence.tokens)
            tokens = sequence.tokens[sequence.computed : end]
            batch.add(tokens, sequence.computed, sequence.seq_id, outputs=count if echo else int(last))
            chunks.append((sequence, count))
            room -= count
        return batch, current, chunks

    def _chunk_tokens(self, decoding: int) -> int:
        """How many prompt tokens fit beside the streams, without a long stall where that matters."""
        room = self._device.batch_tokens - decoding
        if decoding and self._stalls_matter:
            room = min(room, max(SMALLEST_CHUNK, int(self._prefill_rate * STALL_S)))
        return room

    def _advance(self, batch: Batch, current: list[RunningStream], chunks: list[Chunk]) -> None:
        """After the forward pass: count cells, draw tokens, start the samples of finished prompts."""
        for sequence, count in chunks:
            self._cache.append(sequence, count)
            if isinstance(sequence, RunningStream) and isinstance(sequence.stream, ForkStream):
                sequence.stream.computed_tokens += count
        rows = iter(batch.outputs)
        for running in current:
            self._take_rows(running, list(islice(rows, 1 + len(running.draft))))
        for prompt, count in chunks:
            if isinstance(prompt, QueuedPrompt):
                self._take_prompt(prompt, count, rows)
        if not self._preempted:
            self._start_samples()

    def _take_rows(self, running: RunningStream, rows: list[int]) -> None:
        """Draw the token behind the last one, and those behind its draft as far as that was right."""
        self._cache.append(running, 1, drafted=len(running.draft))
        for row, guess in zip(rows, [*running.draft, None], strict=True):
            running.tokens.append(running.next)
            logits = None if running.stream.group.logprobs is None else self._device.logits(row)
            self._take_token(running, self._device.sample(running.sampler, row), logits)
            if running.next != guess or running not in self._running or running.missing:
                break
            self._cache.accept(running)
        self._cache.drop_draft(running)

    def _take_prompt(self, prompt: QueuedPrompt, count: int, rows: Iterator[int]) -> None:
        """Take what was computed of a prompt: its tokens' log-probabilities, and the end of it."""
        if prompt.group.echo:
            top = prompt.group.logprobs or 0
            prompt.logprobs = prompt.logprobs or [TokenLogprob(prompt.tokens[0], None)]
            following = prompt.tokens[prompt.computed - count + 1 : prompt.computed + 1]
            for token in following:
                prompt.logprobs.append(self._device.logprob(self._device.logits(next(rows)), token, top))
        if not prompt.missing:
            prompt.logits = self._device.logits(next(rows))
            self._prefilling.remove(prompt)
            self._ready.append(prompt)

    def _take_token(self, running: RunningStream, token: int, logits: Any) -> None:
        """Take the token that was drawn for a stream, and end the stream where it says so.

        Args:
            logits: those that it was drawn from, where the group asked for `logprobs`.
        """
        now, stream = self._clock(), running.stream
        top = stream.group.logprobs
        logprob = None if top is None else self._device.logprob(logits, token, top)
        if self._device.is_end(token) and not stream.group.ignore_end:
            stream.end(now, logprob)
            self._finish(running, FinishReason.STOP)
            return
        self._steps.generated += 1
        reason = stream.push(token, self._device.token_bytes(token), now, logprob)
        if reason is None and len(running.tokens) + 1 >= self._device.longest:
            reason = FinishReason.CONTEXT
        running.next = token
        for fork in due(stream, now):
            self._fork(running, fork)
        if reason is not None:
            self._finish(running, reason)
            return
        self._events += stream.texts()
        if why := stream.must_close():
            self._close_thinking(running, why)

    def _close_thinking(self, running: RunningStream, why: Literal["budget", "sure"]) -> None:
        """Let a stream go on as if it had said the closing text, which the next steps compute."""
        assert running.stream.group.thinking is not None
        closing = self._device.tokenize(running.stream.group.thinking.closing, control=True)
        running.stream.close_thinking(why, closing, b"".join(map(self._device.token_bytes, closing)))
        running.tokens += [running.next, *closing[:-1]]
        running.next = closing[-1]
        if len(running.tokens) + 1 >= self._device.longest:
            self._finish(running, FinishReason.CONTEXT)

    def _fork(self, parent: RunningStream, stream: ForkStream) -> None:
        """Start a fork on its parent's cells; where it cannot have them now, see to it that it can later."""
        closing = self._device.tokenize(stream.closing, control=True)
        said = parent.stream.tokens if stream.group.sampling.penalises else ()
        fork = RunningStream(
            [*parent.tokens, parent.next, *closing[:-1]],
            stream=stream,
            sampler=self._device.sampler(
                stream.group.sampling, stream.sample.seed, parent.tokens[: stream.prompt_tokens], said
            ),
            born=0,  # the eldest: preempted last
            next=closing[-1],
        )
        if self._cache.branch(parent, fork):
            self._running.insert(0, fork)
        elif self._device.partial:
            parent.deferred.append(fork)
        else:  # the state changes with the next token
            fork.state, fork.state_tokens = self._device.save(parent.seq_id), parent.computed
            self._preempted.appendleft(fork)

    def _finish(self, running: RunningStream, reason: FinishReason) -> None:
        self._events += running.stream.finish(reason)
        self._cache.drop_draft(running)
        self._device.free_sampler(running.sampler)
        (self._running if running in self._running else self._preempted).remove(running)
        if reason is FinishReason.CANCELLED:
            for fork in running.deferred:
                self._events += fork.stream.finish(reason)
                self._device.free_sampler(fork.sampler)
        elif running.deferred:
            self._start_deferred(running)
            return
        if not self._working and not running.missing:
            # In a chat the next prompt begins with it, but for what was thought.
            self._cache.cache_prefix(
                running, running.stream.prompt_tokens if running.stream.thought else None
            )
        else:
            self._cache.release(running)

    def _start_deferred(self, ended: RunningStream) -> None:
        """Give the cells of a stream that has ended to the longest of its forks that wait for them."""
        fork = ended.deferred.pop()
        fork.deferred = ended.deferred
        if self._cache.hand_over(ended, fork):
            self._running.insert(0, fork)
        else:
            self._preempted.appendleft(fork)

    def _measure(self, current: list[RunningStream], chunks: list[Chunk], said: int, seconds: float) -> None:
        decoding, prefilled = len(current), sum(count for _, count in chunks)
        forks, drafted = sum(each.is_fork for each in current), sum(len(each.draft) for each in current)
        self._steps.measure(decoding, prefilled, seconds, forks + drafted)
        if self._speculation and not prefilled:
            self._speculation.observe(decoding, drafted, said, seconds)
        if prefilled >= SMALLEST_CHUNK and seconds > 0:
            rate = (decoding + prefilled) / seconds
            self._prefill_rate += (0.3 if self._prefill_rate else 1.0) * (rate - self._prefill_rate)

    @property
    def metrics(self) -> Metrics:
        """How busy the engine is now."""
        return replace(
            self._steps.metrics(),
            running=self._streams,
            forks=sum(running.is_fork for running in self._running),
            waiting=sum(len(p.samples) for p in [*self._waiting, *self._prefilling, *self._ready]),
            preempted=len(self._preempted),
            cells_used=self._cache.used,
            cells=self._cache.capacity,
            peak_memory_bytes=self._device.peak_memory_bytes(),
        )
