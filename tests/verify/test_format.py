"""Tags in order, once, with nothing beside them."""

from __future__ import annotations

from typing import Any

import pytest

from localrl.verdict import Response
from localrl.verify.base import VerifierSpec
from localrl.verify.verifiers import format as form


def spec(**params: Any) -> VerifierSpec:
    return VerifierSpec(name="format", params=params)


GOOD = "<think>a</think>\n<answer>b</answer>"


@pytest.mark.parametrize("text", [GOOD, f"  {GOOD}\n", "<think></think><answer>b</answer>"])
def test_the_right_form_is_correct(text: str) -> None:
    assert form.verify(Response("", raw=text), None, spec()).correct


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("<answer>b</answer>", "<think> comes 0 times"),
        ("<think>a</think>b", "<answer> comes 0 times"),
        (GOOD + "<answer>c</answer>", "<answer> comes 2 times"),
        ("<answer>b</answer><think>a</think>", "out of order"),
        ("</think><think><answer>b</answer>", "out of order"),
        ("Well: " + GOOD, "text before <think>"),
        (GOOD + " done", "text after </answer>"),
        ("<think>a</think> so <answer>b</answer>", "text between"),
        ("<think>a</think><answer> </answer>", "empty"),
        ("<think>a <answer>b</answer>", "</think> comes 0 times"),
        ("", "comes 0 times"),
    ],
)
def test_a_fault_is_named(text: str, fault: str) -> None:
    verdict = form.verify(Response("", raw=text), None, spec())
    assert not verdict.correct
    assert fault in verdict.detail["fault"]


def test_thinking_that_the_prompt_opened_needs_no_opening_tag() -> None:
    response = Response("b", thinking="a", raw="a</think><answer>b</answer>")
    assert form.verify(response, None, spec()).correct


def test_either_pair_of_tags_can_be_left_out() -> None:
    assert form.verify(Response("", raw="<think>a</think> b"), None, spec(answer=False)).correct
    assert form.verify(Response("", raw="<answer>b</answer>"), None, spec(thinking=False)).correct
    assert not form.verify(Response("", raw="b"), None, spec(thinking=False)).correct
