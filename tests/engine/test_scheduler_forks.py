"""Forks and budgets in the scheduler: what a stream would say behind the closing text, in every cache."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from localrl.chat import ThinkingControl, ThinkingTags
from localrl.engine.conformance import EventLog, run
from localrl.engine.protocol import FinishReason, GroupRequest, SampleRequest
from localrl.engine.scheduler import Scheduler
from localrl.sampling import Sampling, fork_seed
from tests.engine.fake_device import FakeDevice, expected

TAGS = ThinkingTags(open="<", close=">")
CLOSING = FakeDevice().tokenize(TAGS.closing, control=True)
PROMPT = tuple(range(1, 30))
ANSWER = 12


def group(name: str, *last: int, k: int = 1, tokens: int = 50, **more: Any) -> GroupRequest:
    samples = tuple(SampleRequest(f"{name}.{i}", seed=i) for i in range(k))
    asked = GroupRequest(name, (*PROMPT, *last), samples, Sampling(max_tokens=tokens), thinking=TAGS)
    return replace(asked, **{"loop_guard": False, "budget_answer_tokens": ANSWER, **more})


def words(text: str) -> list[int]:
    return [int(word) for word in text.split()]


def device(cells: int = 1000, **more: Any) -> FakeDevice:
    made = FakeDevice(cells, **more)
    made.starts_thinking = True
    return made


def check(asked: GroupRequest, outcomes: EventLog, end_every: int = 40) -> None:
    """The samples are as without forks, and each fork is what a stream says behind its beginning."""
    assert isinstance(asked.prompt, tuple)
    prompt = tuple(token for token in asked.prompt if isinstance(token, int))
    for sample in asked.samples:
        end = outcomes[sample.id].finished
        said = expected(prompt, sample.seed, asked.sampling.max_tokens, end_every)
        assert words(end.text) == said
        assert [fork.budget for fork in end.forks] == list(asked.budgets)
        for fork in end.forks:
            assert fork.forced == (fork.budget <= len(said))
            if fork.forced:
                begun = (*prompt, *said[: fork.budget], *CLOSING)
                seed = fork_seed(sample.seed, fork.budget)
                assert words(fork.text) == expected(begun, seed, ANSWER, end_every)
                assert words(end.text[: fork.at]) == said[: fork.budget]


CACHES: dict[str, dict[str, Any]] = {
    "unified": {},
    "few numbers": {"sequences": 10},
    "slots": {"sequences": 8, "unified": False},
    "recurrent": {"partial": False},
    "recurrent, few states": {"partial": False, "sequences": 10},
}


@pytest.mark.parametrize("cache", CACHES)
@pytest.mark.parametrize("cells", [4000, 1000])
def test_forks_say_what_a_stream_would_say_behind_the_closing_text(cache: str, cells: int) -> None:
    made = device(cells, **CACHES[cache])
    scheduler = Scheduler(made, parallel=4)
    asked = [group(f"g{i}", 30 + i, k=3, budgets=(1, 7, 20, 50, 51)) for i in range(4)]
    outcomes = run(scheduler, asked)
    for each in asked:
        check(each, outcomes)
    assert made.samplers == 0
    assert outcomes.most_running <= 4


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    cells=st.integers(200, 900),
    parallel=st.integers(1, 12),
    cache=st.sampled_from(["unified", "few numbers", "recurrent", "recurrent, few states"]),
    budgets=st.lists(st.integers(1, 60), unique=True, max_size=5).map(sorted),
    groups=st.lists(st.tuples(st.integers(1, 4), st.integers(1, 60)), min_size=1, max_size=8),
)
def test_no_fork_is_lost_or_changed_however_small_the_pool(
    cells: int, parallel: int, cache: str, budgets: list[int], groups: list[tuple[int, int]]
) -> None:
    made = device(cells, **CACHES[cache])
    asked = [
        group(f"g{i}", 30 + i, k=k, tokens=tokens, budgets=tuple(budgets))
        for i, (k, tokens) in enumerate(groups)
    ]
    outcomes = run(Scheduler(made, parallel), asked)
    for each in asked:
        check(each, outcomes)
    assert made.samplers == 0


def test_in_a_pool_a_quarter_of_the_size_forks_lose_hardly_any_cells() -> None:
    asked = [group(f"g{i}", 30 + i, tokens=200, budgets=(16, 32, 64, 128)) for i in range(8)]
    outcomes = run(Scheduler(device(8 * 260 // 4, end_every=10**9), 8), asked)
    for each in asked:
        check(each, outcomes, 10**9)
    forks = [fork for outcome in outcomes.values() for fork in outcome.finished.forks]
    again = sum(fork.computed_tokens for fork in forks) - len(forks) * len(CLOSING)
    generated = sum(fork.answer_tokens for fork in forks) + 8 * 200
    assert again < 0.05 * generated


def test_a_fork_computes_nothing_but_the_closing_text_while_cells_last() -> None:
    outcomes = run(Scheduler(device(4000), 4), [group("g", k=4, budgets=(5, 20))])
    forks = [fork for outcome in outcomes.values() for fork in outcome.finished.forks if fork.forced]
    assert {fork.computed_tokens for fork in forks} == {len(CLOSING)}


def test_cancelling_a_sample_frees_the_cells_of_its_forks() -> None:
    for cache in CACHES:
        made = device(4000, **CACHES[cache])
        scheduler = Scheduler(made, 4)
        scheduler.submit(group("g", k=4, tokens=100, budgets=(2, 3, 4), budget_answer_tokens=90))
        for _ in range(12):
            scheduler.step()
        scheduler.cancel("g")
        outcomes = run(scheduler)
        assert {outcome.reason for outcome in outcomes.values()} <= {
            FinishReason.CANCELLED,
            FinishReason.STOP,
        }
        assert made.samplers == 0
        assert len(made.sequences) <= 4  # the prefix cache


def test_a_budget_lets_a_stream_go_on_behind_the_closing_text() -> None:
    for cache in CACHES:
        asked = group("g", k=3, control=ThinkingControl(budget=9))
        outcomes = run(Scheduler(device(1500, **CACHES[cache]), 4), [asked])
        for sample in asked.samples:
            end, said = outcomes[sample.id].finished, expected(PROMPT, sample.seed, 9)
            if len(said) < 9:
                assert end.closed == ""
                continue
            begun = (*PROMPT, *said, *CLOSING)
            assert words(end.text) == [*said, *CLOSING, *expected(begun, sample.seed, 41)]
            assert (end.closed, end.forced_tokens) == ("budget", len(CLOSING))


def test_forks_do_not_disturb_the_search_for_the_best_number_of_streams() -> None:
    scheduler = Scheduler(device(4000, end_every=10**9), first_parallel=8)
    scheduler.submit(group("g", k=8, tokens=20, budgets=(1,), budget_answer_tokens=40))
    run(scheduler)
    assert scheduler.metrics.parallel == 8
