"""Tool calls are found in what models write, the same however the text arrives."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localrl.chat import ThinkingTags
from localrl.engine.protocol import Finished, FinishReason, Text
from localrl.serve.calls import FORMATS, format_of
from localrl.serve.choices import Choice
from localrl.thinking import Splitter

FAMILIES = {"qwen3-hermes": "hermes", "qwen3-xml": "qwen-xml", "deepseek": "deepseek", "gpt-oss": "harmony"}
"""Of the corpus, and our formats for them."""
HARMONY = ThinkingTags(open="<|channel|>analysis<|message|>", close="<|end|>")
CLAIMED = 0.9
"""Of a family's fixtures; the others are malformed in ways that nobody reads alike."""
TOOLS = {"weather": {"properties": {"city": {"type": "string"}, "days": {"type": "integer"}}}}
WRITTEN = {
    "hermes": (
        'Let me see.\n<tool_call>\n{"name": "weather", "arguments": '
        '{"city": "a </tool_call>", "days": 3}}\n</tool_call>'
    ),
    "qwen-xml": (
        "Let me see.\n<tool_call>\n<function=weather>\n<parameter=city>\na </tool_call>\n</parameter>\n"
        "<parameter=days>\n3\n</parameter>\n</function>\n</tool_call>"
    ),
    "deepseek": (
        "Let me see.<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>weather\n```json\n"
        '{"city": "a </tool_call>", "days": 3}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>'
    ),
    "harmony": (
        "<|channel|>commentary<|message|>Let me see.<|end|><|start|>assistant<|channel|>commentary "
        'to=functions.weather <|constrain|>json<|message|>{"city": "a </tool_call>", "days": 3}'
    ),
}


def read(
    name: str, text: str, cuts: list[int], tags: ThinkingTags | None = None, inside: bool = False
) -> Choice:
    """An answer that arrives in pieces, cut at these places."""
    tools = dict(TOOLS)
    return _read(name, tools, text, cuts, tags, inside)


def _read(
    name: str, tools: dict[str, Any], text: str, cuts: list[int], tags: ThinkingTags | None, inside: bool
) -> Choice:
    choice, splitter = Choice(0, FORMATS.get(name).parser(tools)), Splitter(tags, inside)
    places = [0, *sorted(cut for cut in cuts if cut < len(text)), len(text)]
    parts = [part for a, b in pairwise(places) for part in splitter.feed(text[a:b])]
    for thinking, part in [*parts, *splitter.flush()]:
        choice.take(Text("s", part, thinking))
    choice.take(Finished("s", FinishReason.STOP, text))
    return choice


@pytest.mark.parametrize("name", WRITTEN)
@given(cuts=st.lists(st.integers(0, 300), max_size=40))
def test_a_call_is_read_from_any_pieces_and_marks_in_its_arguments_do_not_end_it(
    name: str, cuts: list[int]
) -> None:
    choice = read(name, WRITTEN[name], cuts)
    (call,) = choice.calls
    assert (call.name, json.loads(call.arguments)) == ("weather", {"city": "a </tool_call>", "days": 3})
    assert choice.content == "Let me see."
    assert choice.finish_reason == "tool_calls"


@pytest.mark.parametrize("name", WRITTEN)
def test_an_answer_without_calls_is_text_as_it_is(name: str) -> None:
    text = "a < b, and <tool is no mark\n\n"
    assert read(name, text, [3, 9, 14]).content == text
    assert read(name, text, []).calls == []


@pytest.mark.parametrize("name", WRITTEN)
def test_a_call_that_was_cut_is_no_call(name: str) -> None:
    choice = read(name, WRITTEN[name][: WRITTEN[name].index("3")], [])
    assert choice.calls == []
    assert choice.content == "Let me see."


def test_a_model_s_format_is_told_by_its_template_or_else_by_its_family() -> None:
    assert format_of("qwen3", "x <function=example> y") is FORMATS.get("qwen-xml")
    assert format_of("gpt-oss", "") is FORMATS.get("harmony")
    assert format_of("llama", "") is None


@pytest.mark.parametrize("family", FAMILIES)
def test_the_corpus_of_canitoolcall_is_read_and_streams_are_read_alike(family: str) -> None:
    from canitoolcall.checks import case_status, run_checks
    from canitoolcall.fixtures import load_fixtures
    from canitoolcall.results import Observation, ParsedToolCall, ParseResult

    tags = HARMONY if family == "gpt-oss" else ThinkingTags()
    passed = total = 0
    for fixture in load_fixtures():
        sub = {"x-deepseek-v3", "x-deepseek-v31"} & set(fixture.tags)  # later ones are other formats
        if fixture.family != family or (family == "deepseek" and not sub):
            continue
        tools = {tool["function"]["name"]: tool["function"].get("parameters") or {} for tool in fixture.tools}
        inside = (fixture.generation_prompt or "").rstrip().endswith(tags.open)
        length = len(fixture.raw_output)
        found = [
            _read(FAMILIES[family], tools, fixture.raw_output, list(range(0, length, size)), tags, inside)
            for size in (length + 1, 1, 7)
        ]
        said = [
            (each.content.strip(), each.thinking.strip(), [(c.name, c.arguments) for c in each.calls])
            for each in found
        ]
        assert said[1:] == said[:1] * 2, fixture.id
        calls = tuple(ParsedToolCall(call.name, call.arguments) for call in found[0].calls)
        parsed = ParseResult(found[0].content or None, found[0].thinking or None, calls)
        rows = run_checks(fixture, None, Observation(nonstream=parsed, streams={}))
        passed += str(case_status(rows)) != "Status.FAIL"
        total += 1
    assert passed >= CLAIMED * total > 20
