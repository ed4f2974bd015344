"""Measure tokens per second: prefill, one stream, and many streams at once.

As llama-bench does it: prompts of random tokens, a warm-up that does not count, then repetitions; the
deviation is the sample deviation of the decode rate. That rate is taken while all streams decode and no
prompt is computed, so the streams whose prompts came first go on until the last has had its tokens.
"""

from __future__ import annotations

import random
import statistics
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from localrl.engine.protocol import Finished, GroupRequest, Metrics, SampleRequest
from localrl.errors import LocalrlError
from localrl.sampling import Sampling

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from localrl.engine.client import EngineClient

TOKENS = (1000, 20_000)
"""Random tokens are drawn from here: ordinary text in every vocabulary of this size and up."""
SAMPLING = Sampling(temperature=0.7, top_k=40, top_p=0.95)


@dataclass(frozen=True, slots=True)
class Row:
    """One number of streams; rates in tokens per second, medians over the repetitions."""

    parallel: int
    prompt_tokens: int
    generate_tokens: int
    prefill_tokens_per_s: float
    decode_tokens_per_s: float
    stream_tokens_per_s: float
    ttft_s: float
    repeats: int
    stdev: float

    def as_dict(self) -> dict[str, float]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class _Round:
    prefill: float
    decode: float
    stream: float
    ttft: float


def longest(parallel: int, prompt_tokens: int, generate_tokens: int) -> int:
    """Tokens of a stream: beside its own, those that it gains while later prompts are computed."""
    return prompt_tokens + generate_tokens + 32 + 2 * parallel


class Speed:
    """Measurements on one engine, which must allow as many streams as are asked for."""

    def __init__(self, engine: EngineClient) -> None:
        self._engine = engine
        self._seen = Metrics()
        """The engine's counters after the last round."""

    def rows(
        self, parallels: Sequence[int], prompt_tokens: int, generate_tokens: int, repeats: int
    ) -> Iterator[Row]:
        """A row for each number of streams.

        Raises:
            LocalrlError: a stream failed, because the context is too small, say.
        """
        for parallel in parallels:
            rounds = [
                self._round(parallel, prompt_tokens, generate_tokens, repeat) for repeat in range(repeats + 1)
            ][1:]
            rates = [each.decode for each in rounds]
            yield Row(
                parallel=parallel,
                prompt_tokens=prompt_tokens,
                generate_tokens=generate_tokens,
                prefill_tokens_per_s=statistics.median(each.prefill for each in rounds),
                decode_tokens_per_s=statistics.median(rates),
                stream_tokens_per_s=statistics.median(each.stream for each in rounds),
                ttft_s=statistics.median(each.ttft for each in rounds),
                repeats=repeats,
                stdev=statistics.stdev(rates) if repeats > 1 else 0.0,
            )

    def _round(self, parallel: int, prompt_tokens: int, generate_tokens: int, repeat: int) -> _Round:
        """All streams once, each with a prompt of its own, so that nothing is shared."""
        dice = random.Random(f"{parallel}/{repeat}")
        room = self._engine.info.context // parallel - prompt_tokens - 1
        sampling = SAMPLING.model_copy(update={"max_tokens": max(generate_tokens, room)})
        names = [f"{parallel}/{repeat}/{i}" for i in range(parallel)]
        for i, name in enumerate(names):
            prompt = tuple(dice.randrange(*TOKENS) for _ in range(prompt_tokens))
            sample = SampleRequest(name, seed=i)
            self._engine.submit(
                GroupRequest(name, prompt, (sample,), sampling, loop_guard=False, ignore_end=True)
            )
        before, after, ends = self._seen, self._seen, list[Finished]()
        together: list[Metrics] = []
        while self._engine.in_flight:
            for event in self._engine.events():
                if isinstance(event, Finished):
                    if event.error:
                        raise LocalrlError(event.error)
                    ends.append(event)
                elif isinstance(event, Metrics):
                    after = event
                    if event.running == parallel and not event.waiting:
                        together.append(event)
            if together and _gained(together) >= parallel * generate_tokens:
                while names:
                    self._engine.cancel(names.pop())
        self._seen = after
        # Too few tokens, or too little context, for all streams to run at once: count all of the round.
        first, last = (together[0], together[-1]) if together and _gained(together) else (before, after)
        return _Round(
            prefill=_rate(after.prefill_tokens - before.prefill_tokens, after.prefill_s - before.prefill_s),
            decode=_rate(last.generated_tokens - first.generated_tokens, last.decode_s - first.decode_s),
            stream=statistics.median(end.tokens_per_s or 0.0 for end in ends),
            ttft=statistics.median(end.ttft_s or 0.0 for end in ends),
        )


def _gained(seen: list[Metrics]) -> int:
    """Tokens generated between the first and the last of them."""
    return seen[-1].generated_tokens - seen[0].generated_tokens


def _rate(tokens: int, seconds: float) -> float:
    return tokens / seconds if seconds > 0 else 0.0
