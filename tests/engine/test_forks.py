"""Thinking budgets, forks and probes on a scripted thinker whose knowledge at each token is known."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from localrl.chat import ThinkingControl, ThinkingTags
from localrl.engine.backends.scripted import Script, ScriptedBackend
from localrl.engine.conformance import SampleEvents, run
from localrl.engine.protocol import FinishReason, GroupRequest, SampleRequest
from localrl.sampling import Sampling, fork_seed
from localrl.thinking import ThinkingMeter

TAGS = ThinkingTags(budget_message=" Time is up.</think>\n\n")
THINKER = "<think>" + " hm" * 19 + " </think> \\boxed{42}"
KNOWS = ((0, "\\boxed{1}"), (8, "\\boxed{7}"), (12, "\\boxed{42}"))


def group(**more: Any) -> GroupRequest:
    asked = GroupRequest("g", "how much", (SampleRequest("s", 0),), thinking=TAGS)
    return replace(asked, **{"sampling": Sampling(max_tokens=100), **more})


def said(asked: GroupRequest, text: str = THINKER, knows: Any = KNOWS, parallel: int = 8) -> SampleEvents:
    return run(ScriptedBackend(Script((text,), (knows,)), parallel), [asked])["s"]


def test_each_fork_answers_what_is_known_at_its_budget() -> None:
    end = said(group(budgets=(4, 8, 11, 12, 16))).finished
    assert [fork.text for fork in end.forks] == ["\\boxed{1}", *["\\boxed{7}"] * 2, *["\\boxed{42}"] * 2]
    assert [fork.thinking_tokens for fork in end.forks] == [4, 8, 11, 12, 16]
    assert [end.text[: fork.at].count("hm") for fork in end.forks] == [3, 7, 10, 11, 15]
    assert len({fork.seed for fork in end.forks}) == 5
    assert end.forks[0].seed == fork_seed(0, 4)
    assert (end.reason, end.closed, end.thinking_tokens) == (FinishReason.STOP, "", 21)


def test_budgets_beyond_the_thinking_are_natural_and_decode_nothing() -> None:
    end = said(group(budgets=(16, 64, 128))).finished
    assert [(fork.budget, fork.forced, fork.text) for fork in end.forks][1:] == [
        (64, False, ""),
        (128, False, ""),
    ]


def test_a_sample_ends_after_its_forks_whose_text_nobody_hears() -> None:
    long = " ".join(["because"] * 30)
    outcome = said(group(budgets=(18,)), knows=((0, long),))
    assert outcome.finished.forks[0].text == long
    assert "because" not in "".join(text.text for text in outcome.texts)


def test_a_fork_is_cut_at_its_own_limit() -> None:
    (fork,) = said(group(budgets=(4,), budget_answer_tokens=3), knows=((0, "a b c d e"),)).finished.forks
    assert (fork.text, fork.reason, fork.answer_tokens) == ("a b c", FinishReason.LENGTH, 3)


def test_forks_take_no_stream_from_samples() -> None:
    backend = ScriptedBackend(Script((THINKER,), (KNOWS,)), 2)
    asked = group(budgets=(2, 4, 6), samples=tuple(SampleRequest(str(i), 0) for i in range(4)))
    outcomes = run(backend, [asked])
    assert outcomes.most_running == 2
    assert all(len(outcome.finished.forks) == 3 for outcome in outcomes.values())


def test_cancelling_a_sample_cancels_its_forks() -> None:
    backend = ScriptedBackend(Script((THINKER,), (((0, "a b c d e f"),),)))
    backend.submit(group(budgets=(2, 4, 40)))
    for _ in range(6):
        backend.step()
    backend.cancel("s")
    end = run(backend)["s"].finished
    assert (end.reason, end.forks) == (FinishReason.CANCELLED, ())
    assert not backend.busy


def test_a_sample_that_waits_for_its_forks_can_still_be_cancelled() -> None:
    backend = ScriptedBackend(Script((THINKER,), (((0, "a " * 60),),)))
    backend.submit(group(budgets=(2, 18)))
    for _ in range(30):
        backend.step()
    backend.cancel("s")
    assert run(backend)["s"].reason is FinishReason.CANCELLED


def test_a_budget_closes_the_thinking_once_with_the_message_and_the_answer_follows() -> None:
    outcome = said(group(control=ThinkingControl(budget=9)))
    end = outcome.finished
    assert end.text == "<think>" + " hm" * 8 + " Time is up.</think>\n\n\\boxed{7}"
    assert (end.closed, end.thinking_tokens, end.answer_tokens, end.forced_tokens) == ("budget", 9, 1, 4)
    assert [text.text for text in outcome.texts if not text.thinking] == ["\n\n", "\\boxed{7}"]
    assert sum(text.tokens for text in outcome.texts) == 10


def test_a_budget_never_fires_in_an_answer() -> None:
    end = said(group(control=ThinkingControl(budget=20)), "<think> a b </think>" + " word" * 50).finished
    assert (end.closed, end.forced_tokens) == ("", 0)


def test_thinking_that_is_opened_again_counts_on_and_is_closed_at_most_once() -> None:
    text = "<think> a b </think> first\n<think>" + " c" * 20
    end = said(group(control=ThinkingControl(budget=9)), text).finished
    assert end.text.count("Time is up.") == 1
    assert end.text.endswith("\n<think>" + " c" * 4 + " Time is up.</think>\n\n\\boxed{7}")
    assert end.reopened
    again = said(group(control=ThinkingControl(budget=3)), knows=((0, "x\n<think>" + " c" * 20),)).finished
    assert (again.text.count("Time is up."), again.reopened) == (1, True)


def test_an_answer_may_talk_about_the_tags() -> None:
    meter = ThinkingMeter(TAGS)
    for word in ("<think>", "a", "</think>", "The", " tag `<think>`", " and <think> too"):
        meter.take(word)
    assert (meter.tokens, meter.reopened, meter.inside) == (3, False, False)


def test_a_stream_is_not_closed_inside_a_tag_or_where_the_thinking_ends_by_itself() -> None:
    meter = ThinkingMeter(TAGS, starts_inside=True)
    meter.take("a</thi")
    assert not meter.inside
    meter.take("nk>")
    assert (meter.tokens, meter.inside) == (2, False)


def test_equal_answers_of_probes_in_a_row_close_the_thinking() -> None:
    end = said(group(control=ThinkingControl(stop_when_sure=2), probe_every=4)).finished
    # a probe of one word has ended when the next token comes
    assert [(probe.thinking_tokens, probe.answer) for probe in end.probes] == [
        (4, "1"),
        (8, "7"),
        (12, "42"),
        (16, "42"),
    ]
    assert (end.closed, end.thinking_tokens) == ("sure", 18)


def test_probes_alone_leave_the_sample_as_it_was() -> None:
    end = said(group(probe_every=4)).finished
    assert (end.closed, end.text) == ("", THINKER)
    assert [probe.answer for probe in end.probes] == ["1", "7", "42", "42", "42"]


@pytest.mark.parametrize("parallel", [1, 8])
def test_forks_and_a_budget_go_together(parallel: int) -> None:
    asked = group(budgets=(4, 9, 16), control=ThinkingControl(budget=9))
    end = said(asked, parallel=parallel).finished
    assert [(fork.budget, fork.forced) for fork in end.forks] == [(4, True), (9, True), (16, False)]
    assert end.forks[1].text == "\\boxed{7}"
    assert end.closed == "budget"
