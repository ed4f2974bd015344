"""The scheduler keeps every promise of the engine on a device that checks each of its calls."""

from __future__ import annotations

from dataclasses import replace
from itertools import count as counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from localrl.chat import ThinkingTags
from localrl.engine.protocol import Event, Finished, FinishReason, GroupRequest, SampleRequest, Started, Text
from localrl.engine.scheduler import Scheduler
from localrl.sampling import Sampling
from tests.engine.fake_device import FakeDevice, expected, fake_logprob


def group(name: str, prompt: tuple[int, ...] | str, k: int = 1, max_tokens: int = 50) -> GroupRequest:
    samples = tuple(SampleRequest(f"{name}.{i}", seed=i) for i in range(k))
    return GroupRequest(name, prompt, samples, Sampling(max_tokens=max_tokens), loop_guard=False)


def run(scheduler: Scheduler, steps: int = 5_000) -> list[Event]:
    events: list[Event] = []
    for _ in range(steps):
        if not scheduler.busy:
            return events
        events += scheduler.step()
    raise AssertionError("the scheduler never came to an end")


def finished(events: list[Event]) -> dict[str, Finished]:
    ends = [event for event in events if isinstance(event, Finished)]
    assert len({end.sample for end in ends}) == len(ends), "a sample ended twice"
    return {end.sample: end for end in ends}


def said(end: Finished) -> list[int]:
    return [int(word) for word in end.text.split()]


PROMPT = tuple(range(1, 30))


def test_every_stream_says_what_it_would_say_alone() -> None:
    device = FakeDevice()
    scheduler = Scheduler(device, parallel=8)
    for i in range(20):
        scheduler.submit(group(f"g{i}", (*PROMPT, i + 1), k=3))
    ends = finished(run(scheduler))
    for i in range(20):
        for seed in range(3):
            assert said(ends[f"g{i}.{seed}"]) == expected((*PROMPT, i + 1), seed, 50)
    assert device.samplers == 0


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    cells=st.integers(150, 600),
    parallel=st.integers(1, 20),
    partial=st.booleans(),
    prompts=st.lists(
        st.tuples(st.integers(1, 60), st.integers(1, 4), st.integers(1, 50)), min_size=1, max_size=12
    ),
)
def test_no_sample_is_lost_cut_or_changed_however_small_the_pool(
    cells: int, parallel: int, partial: bool, prompts: list[tuple[int, int, int]]
) -> None:
    device = FakeDevice(cells, sequences=40, partial=partial)
    scheduler = Scheduler(device, parallel)
    for i, (length, k, limit) in enumerate(prompts):
        scheduler.submit(group(f"g{i}", PROMPT[:20] + tuple(range(30, 30 + length)), k, limit))
    ends = finished(run(scheduler))
    for i, (length, k, limit) in enumerate(prompts):
        for seed in range(k):
            prompt = PROMPT[:20] + tuple(range(30, 30 + length))
            assert said(ends[f"g{i}.{seed}"]) == expected(prompt, seed, limit)
            assert ends[f"g{i}.{seed}"].reason in (FinishReason.STOP, FinishReason.LENGTH)
    assert device.samplers == 0


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    cells=st.integers(150, 600),
    partial=st.booleans(),
    prompts=st.lists(st.tuples(st.integers(1, 100), st.integers(1, 3)), min_size=1, max_size=8),
)
def test_echoed_prompts_have_every_token_s_log_probability_however_they_are_cut(
    cells: int, partial: bool, prompts: list[tuple[int, int]]
) -> None:
    device = FakeDevice(cells, sequences=16, partial=partial)
    scheduler = Scheduler(device, parallel=6)
    asked = {}
    for i, (length, k) in enumerate(prompts):
        request = group(f"g{i}", tuple(1 + (i * j) % 96 for j in range(length)), k, max_tokens=5)
        asked[request.id] = replace(request, logprobs=0, echo=i % 3 < 2)
        scheduler.submit(asked[request.id])
    events = run(scheduler)
    ends = finished(events)
    for started in [event for event in events if isinstance(event, Started)]:
        request = asked[started.sample.partition(".")[0]]
        prompt = tuple(token for token in request.prompt if isinstance(token, int))
        assert [(token.id, token.logprob) for token in started.logprobs] == (
            [(token, fake_logprob(prompt[:at], token) if at else None) for at, token in enumerate(prompt)]
            if request.echo
            else []
        )
        end, so_far = ends[started.sample], list(prompt)
        for token in end.logprobs:
            assert token.logprob == fake_logprob(tuple(so_far), token.id)
            so_far.append(token.id)
        assert [token.id for token in end.logprobs if not token.end] == said(end)
        assert [token.end for token in end.logprobs[-1:]] == [end.reason is FinishReason.STOP]


def test_streams_are_preempted_when_cells_run_out_and_end_the_same() -> None:
    device = FakeDevice(cells=150, end_every=10**9)
    scheduler = Scheduler(device, parallel=16)
    for i in range(16):
        scheduler.submit(group(f"g{i}", (i + 1, *PROMPT[:8]), max_tokens=60))
    events: list[Event] = []
    preempted = 0
    while scheduler.busy:
        events += scheduler.step()
        preempted = max(preempted, scheduler.metrics.preempted)
    ends = finished(events)
    assert preempted > 0
    for i in range(16):
        assert said(ends[f"g{i}.0"]) == expected((i + 1, *PROMPT[:8]), 0, 60, 10**9)


def test_the_samples_of_a_group_share_one_prefill() -> None:
    device = FakeDevice(end_every=10**9)
    scheduler = Scheduler(device, parallel=16)
    scheduler.submit(group("g", PROMPT, k=16, max_tokens=1))
    ends = finished(run(scheduler))
    assert device.computed == len(PROMPT)
    assert sorted(end.shared_tokens for end in ends.values()) == [0] + 15 * [len(PROMPT)]


def test_a_common_preamble_is_computed_once_over_many_problems() -> None:
    device = FakeDevice()
    scheduler = Scheduler(device, parallel=4)
    preamble = tuple(range(1, 61))
    for i in range(10):
        scheduler.submit(group(f"g{i}", (*preamble, 70 + i, 71 + i), max_tokens=1))
    ends = finished(run(scheduler))
    assert device.computed == len(preamble) + 10 * 2
    assert sum(end.prompt_tokens - end.shared_tokens for end in ends.values()) == device.computed


@pytest.mark.parametrize("partial", [True, False])
def test_the_next_turn_of_a_chat_computes_only_what_is_new(partial: bool) -> None:
    device = FakeDevice(partial=partial, end_every=10**9)
    scheduler = Scheduler(device, parallel=4)
    scheduler.submit(group("first", PROMPT, max_tokens=40))
    reply = said(finished(run(scheduler))["first.0"])
    before = device.computed
    new = tuple(range(60, 70))
    scheduler.submit(group("next", (*PROMPT, *reply, *new), max_tokens=1))
    end = finished(run(scheduler))["next.0"]
    assert said(end) == expected((*PROMPT, *reply, *new), 0, 1, end_every=10**9)
    assert device.computed - before == 1 + len(new)  # the reply's last token was drawn and not computed
    assert end.shared_tokens == len(PROMPT) + len(reply) - 1


def talk(scheduler: Scheduler, name: str, prompt: tuple[int, ...]) -> tuple[tuple[int, ...], Finished]:
    """One turn: the text so far with its reply."""
    scheduler.submit(group(name, prompt, max_tokens=40))
    end = finished(run(scheduler))[f"{name}.0"]
    assert said(end) == expected(prompt, 0, 40, end_every=10**9)
    return (*prompt, *said(end)), end


def test_a_talk_that_rests_leaves_the_cells_and_comes_back_from_host_memory() -> None:
    device = FakeDevice(end_every=10**9, idle=20)
    scheduler = Scheduler(device, parallel=1)
    first, _ = talk(scheduler, "a", PROMPT)
    second, _ = talk(scheduler, "b", tuple(range(50, 80)))
    assert device.saves == 1
    assert device.used == len(second) - 1  # the last token was drawn and not computed
    _, end = talk(scheduler, "c", (*first, 90, 91))
    assert end.shared_tokens == len(first) - 1


def test_host_memory_for_resting_talks_is_bounded() -> None:
    device = FakeDevice(end_every=10**9, idle=20, stored=100)
    scheduler = Scheduler(device, parallel=1)
    oldest, _ = talk(scheduler, "a", PROMPT)
    newer, _ = talk(scheduler, "b", tuple(range(50, 80)))
    talk(scheduler, "c", tuple(range(80, 96)) * 2)
    assert talk(scheduler, "d", (*newer, 90))[1].shared_tokens == len(newer) - 1
    assert talk(scheduler, "e", (*oldest, 90))[1].shared_tokens == 0


def test_of_a_prompt_that_is_done_only_the_beginning_of_those_that_wait_keeps_cells() -> None:
    device = FakeDevice(end_every=10**9)
    scheduler = Scheduler(device, parallel=1)
    for i in range(4):
        scheduler.submit(group(f"g{i}", (*PROMPT, *range(40 + 10 * i, 50 + 10 * i)), max_tokens=20))
    seen = 0
    while len(scheduler.step()) and scheduler.busy:
        seen = max(seen, device.used)
    assert len(PROMPT) + 10 < seen < len(PROMPT) + 10 + 20
    assert device.computed == len(PROMPT) + 4 * (10 + 20 - 1)


def test_thinking_is_not_kept_for_the_next_turn_which_does_not_repeat_it() -> None:
    device = FakeDevice(end_every=10**9)
    scheduler = Scheduler(device, parallel=1)
    thinking = GroupRequest(
        "a",
        PROMPT,
        (SampleRequest("a.0", seed=0),),
        Sampling(max_tokens=40),
        thinking=ThinkingTags(open="<think>", close="</think>"),
        loop_guard=False,
    )
    device.starts_thinking = True
    scheduler.submit(thinking)
    run(scheduler)
    assert device.used == len(PROMPT)


def test_a_long_prompt_never_stalls_running_streams() -> None:
    device = FakeDevice(batch=32, end_every=10**9)
    scheduler = Scheduler(device, parallel=4)
    scheduler.submit(group("short", PROMPT[:5], max_tokens=40))
    scheduler.step()
    scheduler.submit(group("long", tuple(i % 90 + 1 for i in range(600)), max_tokens=1))
    for _ in range(10):
        texts = [event.sample for event in scheduler.step() if isinstance(event, Text)]
        assert texts == ["short.0"]
    decoding, total = device.batches[-1]
    assert decoding == 1
    assert total > 1, "the long prompt moves on beside the short stream"


@pytest.mark.parametrize(
    ("on_processor", "first", "begins"), [(True, None, 8), (False, None, 32), (True, 20, 20)]
)
def test_the_number_of_streams_begins_where_it_was_best_before_or_with_what_the_device_is(
    on_processor: bool, first: int | None, begins: int
) -> None:
    device = FakeDevice()
    device.info = replace(device.info, on_processor=on_processor)
    assert Scheduler(device, first_parallel=first).metrics.parallel == begins


def test_where_only_the_end_of_the_run_counts_a_prompt_takes_whole_batches() -> None:
    device = FakeDevice(batch=32, end_every=10**9)
    scheduler = Scheduler(device, parallel=4, clock=counter(1.0).__next__, aim="throughput")
    scheduler.submit(group("short", PROMPT[:5], max_tokens=40))
    scheduler.step()
    scheduler.submit(group("long", tuple(i % 90 + 1 for i in range(600)), max_tokens=1))
    for _ in range(10):
        scheduler.step()
        assert device.batches[-1][1] == 32


def test_cancelling_takes_effect_within_one_step_and_frees_the_cells() -> None:
    device = FakeDevice(end_every=10**9)
    scheduler = Scheduler(device, parallel=2)
    scheduler.submit(group("a", PROMPT, k=2, max_tokens=500))
    scheduler.submit(group("b", PROMPT[:9], k=2, max_tokens=500))
    for _ in range(5):
        scheduler.step()
    scheduler.cancel("a.1")
    scheduler.cancel("b")
    ends = finished(scheduler.step())
    assert {name: end.reason for name, end in ends.items()} == dict.fromkeys(
        ["a.1", "b.0", "b.1"], FinishReason.CANCELLED
    )
    assert said(ends["a.1"]) == expected(PROMPT, 1, 500, 10**9)[: len(said(ends["a.1"]))] != []
    scheduler.cancel("a")
    scheduler.step()
    assert not scheduler.busy
    assert device.samplers == 0


def test_a_stream_that_fills_the_whole_pool_ends_as_context() -> None:
    scheduler = Scheduler(FakeDevice(cells=64, end_every=10**9), parallel=4)
    scheduler.submit(group("a", PROMPT, k=2, max_tokens=500))
    ends = finished(run(scheduler))
    assert [end.reason for end in ends.values()] == [FinishReason.CONTEXT] * 2
    assert all(len(said(end)) >= 64 - len(PROMPT) - 1 for end in ends.values())


@pytest.mark.parametrize(
    ("prompt", "words"), [("bad", "refused"), ((), "empty"), (tuple(range(64)), "does not fit")]
)
def test_an_impossible_prompt_fails_its_samples_in_words(prompt: tuple[int, ...] | str, words: str) -> None:
    scheduler = Scheduler(FakeDevice(cells=64), parallel=4)
    scheduler.submit(group("a", prompt, k=2))
    scheduler.submit(group("b", PROMPT))
    ends = finished(run(scheduler))
    assert ends["a.0"].reason is ends["a.1"].reason is FinishReason.REFUSED
    assert words in ends["a.0"].error
    assert ends["b.0"].reason is not FinishReason.REFUSED


def test_tokens_counted_are_tokens_computed() -> None:
    device = FakeDevice()
    scheduler = Scheduler(device, parallel=8)
    for i in range(5):
        scheduler.submit(group(f"g{i}", (*PROMPT, i + 40), k=2))
    events = run(scheduler)
    ends = finished(events)
    metrics = scheduler.metrics
    assert metrics.prefill_tokens == sum(end.prompt_tokens - end.shared_tokens for end in ends.values())
    assert metrics.generated_tokens == sum(end.answer_tokens for end in ends.values())
    assert sum(isinstance(event, Started) for event in events) == 10


@pytest.mark.parametrize("unified", [True, False])
def test_nothing_computed_with_one_adapter_is_used_with_another(unified: bool) -> None:
    device = FakeDevice(cells=2400, sequences=16, idle=10, unified=unified)
    scheduler = Scheduler(device, parallel=4)
    for adapter in (None, "a", "b", None):
        scheduler.set_adapter(adapter)
        for name in "xy":  # the second shares the first's prompt, in cells or from host memory
            scheduler.submit(group(name, (*PROMPT, *PROMPT), k=2))
            ends = finished(run(scheduler))
            for seed in range(2):
                assert said(ends[f"{name}.{seed}"]) == expected((*PROMPT, *PROMPT), seed, 50, adapter=adapter)
        assert ends["y.0"].shared_tokens
