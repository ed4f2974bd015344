"""Speculation says what would have been said without it, sooner where texts repeat, and never later."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from localrl.engine.metrics import StepMetrics
from localrl.engine.parallel import Parallel
from localrl.engine.protocol import Event, Finished, FinishReason, GroupRequest, SampleRequest
from localrl.engine.scheduler import Scheduler
from localrl.engine.speculation import NGRAM, PromptLookup
from localrl.sampling import Sampling
from tests.engine.fake_device import END, FakeDevice, next_token

if TYPE_CHECKING:
    from localrl.engine.device import Batch

DISTANCE = 23
"""What a copying model copies was said so many tokens before."""
PROMPT = tuple(range(1, 30))


def copied(tokens: tuple[int, ...], seed: int, invents: int, end_every: int = 100) -> int:
    """The token said DISTANCE before, or one in `invents` times another one, or the end."""
    invented = next_token((len(tokens), *tokens[-8:]), seed, end_every)
    return invented if invented == END or invented % invents == 0 else tokens[-DISTANCE]


class CopyingDevice(FakeDevice):
    """Repeats itself, and takes time: one for a pass, and `extra` for every token after the first."""

    def __init__(
        self, invents: int = 12, extra: float = 0.1, end_every: int = 10**9, **settings: Any
    ) -> None:
        super().__init__(**settings)
        self.now = 0.0
        self._invents, self._extra, self._ends = invents, extra, end_every

    def decode(self, batch: Batch) -> bool:
        self.now += 1 + self._extra * (len(batch.tokens) - 1)
        return super().decode(batch)

    def sample_from(self, sampler: Any, logits: Any) -> int:
        return copied(logits, sampler, self._invents, self._ends)


def expected(
    prompt: tuple[int, ...], seed: int, max_tokens: int, invents: int, end_every: int = 100
) -> list[int]:
    tokens = list(prompt)
    while len(tokens) < len(prompt) + max_tokens:
        token = copied(tuple(tokens), seed, invents, end_every)
        if token == END:
            break
        tokens.append(token)
    return tokens[len(prompt) :]


def group(name: str, prompt: tuple[int, ...], k: int = 1, max_tokens: int = 400) -> GroupRequest:
    samples = tuple(SampleRequest(f"{name}.{i}", seed=i) for i in range(k))
    return GroupRequest(name, prompt, samples, Sampling(max_tokens=max_tokens), loop_guard=False)


def run(scheduler: Scheduler) -> list[Event]:
    events: list[Event] = []
    while scheduler.busy:
        events += scheduler.step()
    return events


def said(events: list[Event]) -> dict[str, list[int]]:
    ends = [event for event in events if isinstance(event, Finished)]
    return {end.sample: [int(word) for word in end.text.split()] for end in ends}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    cells=st.integers(250, 900),
    parallel=st.integers(1, 10),
    batch=st.integers(12, 64),
    invents=st.integers(2, 30),
    extra=st.floats(0, 1),
    samples=st.lists(
        st.tuples(st.integers(0, 5), st.integers(1, 3), st.integers(1, 120)), min_size=1, max_size=6
    ),
)
def test_every_stream_says_what_it_would_say_alone_whatever_is_drafted(
    cells: int, parallel: int, batch: int, invents: int, extra: float, samples: list[tuple[int, int, int]]
) -> None:
    device = CopyingDevice(invents, extra, end_every=100, cells=cells, batch=batch)
    scheduler = Scheduler(device, parallel, clock=lambda: device.now)
    for i, (first, k, tokens) in enumerate(samples):
        scheduler.submit(group(f"g{i}", (first, *PROMPT), k, tokens))
    texts = said(run(scheduler))
    for i, (first, k, tokens) in enumerate(samples):
        for seed in range(k):
            assert texts[f"g{i}.{seed}"] == expected((first, *PROMPT), seed, tokens, invents)
    assert device.samplers == 0
    assert device.used <= scheduler.metrics.cells_used


def time_taken(speculate: bool, streams: int, **settings: Any) -> float:
    device = CopyingDevice(cells=10_000, batch=512, **settings)
    scheduler = Scheduler(device, streams, clock=lambda: device.now, speculate=speculate)
    for i in range(streams):
        scheduler.submit(group(f"g{i}", (i, *PROMPT), max_tokens=500))
    run(scheduler)
    return device.now


@pytest.mark.parametrize(("streams", "extra"), [(1, 0.45), (1, 0.02), (4, 0.02)])
def test_a_text_that_repeats_itself_takes_far_less_time(streams: int, extra: float) -> None:
    times = [time_taken(speculate, streams, extra=extra, invents=96) for speculate in (False, True)]
    assert times[0] / times[1] > 1.3


@pytest.mark.parametrize("streams", [1, 4])
@pytest.mark.parametrize("invents", [2, 4, 8, 96])
@pytest.mark.parametrize("extra", [0.02, 0.45, 1.0])
def test_no_text_takes_longer_however_much_a_drafted_token_costs(
    streams: int, invents: int, extra: float
) -> None:
    times = [time_taken(speculate, streams, extra=extra, invents=invents) for speculate in (False, True)]
    assert times[0] / times[1] > 0.98


def test_a_text_that_never_repeats_itself_gets_no_drafts() -> None:
    device = FakeDevice(cells=10_000, batch=512, end_every=10**9)
    scheduler = Scheduler(device, 1)
    scheduler.submit(group("g", PROMPT))
    run(scheduler)
    assert all(tokens == 1 for _, tokens in device.batches[1:])


def test_cells_of_wrong_guesses_are_free_again_after_each_step() -> None:
    device = CopyingDevice(cells=10_000, batch=512, extra=0.02)
    scheduler = Scheduler(device, 2, clock=lambda: device.now)
    for i in range(2):
        scheduler.submit(group(f"g{i}", (i, *PROMPT)))
    drafted = 0
    while scheduler.busy:
        scheduler.step()
        drafted += device.batches[-1][1] > 2
        assert device.used == scheduler.metrics.cells_used
    assert drafted > 10


@pytest.mark.parametrize(("drafted", "limit"), [(0, 16), (5, 8)])
def test_drafts_tell_nothing_of_the_number_of_streams_worth_having(drafted: int, limit: int) -> None:
    steps = StepMetrics(Parallel(start=8))
    for _ in range(10):
        steps.measure(8, 0, 0.1, drafted)
    assert steps.metrics().parallel == limit


def test_a_stop_string_within_a_draft_ends_the_text_there() -> None:
    device = CopyingDevice(cells=10_000, batch=512, extra=0.02, invents=10**6)
    scheduler = Scheduler(device, 1, clock=lambda: device.now)
    whole = "".join(f"{token} " for token in expected(PROMPT, 0, 400, 10**6, 10**9))
    stop = whole[len(whole) // 2 :][:25]
    request = GroupRequest(
        "g", PROMPT, (SampleRequest("g.0", 0),), Sampling(max_tokens=400), stop=(stop,), loop_guard=False
    )
    scheduler.submit(request)
    (end,) = [event for event in run(scheduler) if isinstance(event, Finished)]
    assert end.reason is FinishReason.STOP
    assert end.text == whole[: whole.index(stop)]


def test_a_lookup_expects_what_followed_the_last_time_and_counts_how_often_that_is_right() -> None:
    lookup = PromptLookup()
    lookup.sync([1, 2, 3, 4, 5, 9, 1, 2], 3)
    assert lookup.draft(2) == [4, 5]
    assert lookup.draft(10) == [4, 5, 9, 1, 2, 3]
    assert lookup.right == 0
    lookup.sync([1, 2, 3, 4, 5, 9, 1, 2, 3], 4)
    assert lookup.draft(1) == [5]
    assert lookup.right > 0
    once = lookup.right
    lookup.sync([1, 2, 3, 4, 5, 9, 1, 2, 3, 4], 7)
    assert lookup.draft(1) == []
    assert lookup.right < once
    assert NGRAM == 3
