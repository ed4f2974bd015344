"""What a row of `localrl speed` counts, on an engine that says what it did."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from localrl.engine.protocol import Event, Finished, FinishReason, GroupRequest, Metrics
from localrl.runs.speed import Speed, longest

if TYPE_CHECKING:
    from collections.abc import Iterator

PREFILL_S, DECODE_S = 1.0, 0.25


class Engine:
    """Computes one prompt a second, streams decoding beside it, then a token of each in a quarter of one."""

    def __init__(self, context: int) -> None:
        self.info = SimpleNamespace(context=context)
        self._waiting: list[GroupRequest] = []
        self._running: dict[str, int] = {}
        self._load = Metrics()
        self.longest = 0

    def submit(self, group: GroupRequest) -> None:
        self._waiting.append(group)

    def cancel(self, name: str) -> None:
        self._limits[name] = 0

    @property
    def in_flight(self) -> int:
        return len(self._waiting) + len(self._running)

    def events(self) -> list[Event]:
        if not self._running:
            self._limits = {group.id: group.sampling.max_tokens for group in self._waiting}
        seconds, prompts, decoding = DECODE_S, 0, len(self._running)
        if self._waiting:
            group = self._waiting.pop(0)
            seconds, prompts = PREFILL_S, len(group.prompt)
        for name in self._running:
            self._running[name] += 1
        if prompts:
            self._running[group.id] = 0
        self._load = Metrics(
            running=len(self._running),
            waiting=len(self._waiting),
            generated_tokens=self._load.generated_tokens + decoding,
            decode_s=self._load.decode_s + (seconds if decoding else 0.0),
            prefill_tokens=self._load.prefill_tokens + prompts,
            prefill_s=self._load.prefill_s + (seconds if prompts else 0.0),
        )
        return [*self._ended(), self._load]

    def _ended(self) -> Iterator[Finished]:
        for name, tokens in list(self._running.items()):
            self.longest = max(self.longest, tokens)
            if tokens >= self._limits[name]:
                del self._running[name]
                numbers: Any = {"ttft_s": 1.0, "tokens_per_s": 4.0}
                yield Finished(name, FinishReason.STOP, "", **numbers)


@pytest.mark.parametrize("streams", [1, 4, 16])
def test_decode_is_measured_while_all_streams_decode_and_nothing_else_is_done(streams: int) -> None:
    (row,) = Speed(Engine(streams * longest(streams, 100, 20))).rows([streams], 100, 20, 2)  # type: ignore[arg-type]
    assert row.decode_tokens_per_s == pytest.approx(streams / DECODE_S)
    assert row.prefill_tokens_per_s == pytest.approx(100 / PREFILL_S)
    assert row.stdev == pytest.approx(0.0)


def test_streams_end_when_all_have_had_their_tokens() -> None:
    engine = Engine(1_000_000)
    assert list(Speed(engine).rows([4], 100, 20, 1))  # type: ignore[arg-type]
    assert 20 <= engine.longest <= 20 + 4 + 2


def test_a_context_too_small_for_all_streams_at_once_still_gives_a_rate() -> None:
    (row,) = Speed(Engine(16 * (100 + 3))).rows([16], 100, 2, 1)  # type: ignore[arg-type]
    assert 0 < row.decode_tokens_per_s < 16 / DECODE_S
