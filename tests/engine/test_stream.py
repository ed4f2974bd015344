"""From tokens to text: UTF-8, thinking, stop strings, limits and the loop guard."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localrl.chat import ThinkingTags
from localrl.engine import loopguard
from localrl.engine.protocol import Finished, FinishReason, GroupRequest, SampleRequest, Text
from localrl.engine.stream import Stream
from localrl.sampling import Sampling
from localrl.thinking import split, unfinished

TAGS = ThinkingTags()


def play(
    pieces: list[bytes],
    stop: tuple[str, ...] = (),
    tags: ThinkingTags | None = TAGS,
    inside: bool = False,
    max_tokens: int = 10_000,
) -> tuple[Finished, str, str]:
    """Push pieces until the stream ends; returns its end, and the streamed thinking and answer."""
    group = GroupRequest("g", "p", (SampleRequest("s", 0),), Sampling(max_tokens=max_tokens), stop, tags)
    stream = Stream(group.samples[0], group, submitted=0.0, prompt_tokens=5, starts_thinking=inside)
    seen: list[Text] = []
    reason = None
    for i, piece in enumerate(pieces):
        reason = stream.push(i, piece, now=1.0 + i)
        seen += stream.texts()
        if reason is not None:
            break
    *rest, end = stream.finish(reason or FinishReason.STOP)
    assert isinstance(end, Finished)
    seen += [text for text in rest if isinstance(text, Text)]
    assert sum(text.tokens for text in seen) <= len(stream.tokens)
    joined = {kind: "".join(t.text for t in seen if t.thinking is kind) for kind in (True, False)}
    return end, joined[True], joined[False]


def chop(text: str, size: int) -> list[bytes]:
    raw = text.encode()
    return [raw[i : i + size] for i in range(0, len(raw), size)]


@given(
    thinking=st.text(alphabet="ab<think/>é€😀 \n", max_size=40),
    answer=st.text(alphabet="ab<think/>é€😀 \n", max_size=40),
    size=st.integers(1, 7),
)
def test_thinking_is_split_the_same_however_the_bytes_arrive(thinking: str, answer: str, size: int) -> None:
    thinking = thinking.replace("</think>", "")
    if ("x" + thinking + "</think>").find("</think>") != len(thinking) + 1:
        return  # the end of the thinking and the tag make an earlier tag
    end, thought, said = play(chop(f"<think>{thinking}</think>{answer}", size))
    assert (thought, said) == (thinking, answer)
    whole = split(end.text, TAGS)
    assert (whole.thinking, whole.answer) == (thinking, answer)


def test_a_prompt_that_opens_the_thinking_starts_inside() -> None:
    end, thought, said = play([b"so", b" 2", b"</think>", b"4"], inside=True)
    assert (thought, said) == ("so 2", "4")
    assert (end.thinking_tokens, end.answer_tokens) == (3, 1)


def test_a_closing_tag_without_an_opening_one_ends_thinking_that_the_prompt_began() -> None:
    assert split("so it is</think>4", TAGS).answer == "4"


def test_a_text_cut_inside_its_thinking_has_no_answer() -> None:
    end, _, said = play([b"<think>", b"the answer is 4", b" or 5"], max_tokens=3)
    assert end.reason is FinishReason.LENGTH
    assert said == split(end.text, TAGS).answer == ""
    assert (end.thinking_tokens, end.answer_tokens) == (3, 0)
    assert unfinished(end.text, TAGS)
    assert not unfinished("<think>x</think>", TAGS)


def test_an_answer_may_talk_about_tags() -> None:
    _, thought, said = play([b"use <think> and </think>"])
    assert (thought, said) == ("", "use <think> and </think>")


def test_without_tags_everything_is_answer() -> None:
    _, thought, said = play([b"<think>x</think>y"], tags=None)
    assert (thought, said) == ("", "<think>x</think>y")


@pytest.mark.parametrize("size", range(1, 9))
def test_a_stop_string_ends_the_answer_however_it_is_split(size: int) -> None:
    end, _, said = play(chop("one two\n\nQuestion: three", size), stop=("\n\nQuestion:", "never"))
    assert end.reason is FinishReason.STOP
    assert said == end.text == "one two"


def test_a_stop_string_inside_the_thinking_stops_nothing() -> None:
    end, thought, said = play(chop("<think>a END b</think>c END d", 3), stop=("END",))
    assert (thought, said) == ("a END b", "c ")
    assert end.text == "<think>a END b</think>c "


def test_the_beginning_of_a_stop_string_is_text_when_nothing_follows() -> None:
    end, _, said = play(chop("done EN", 2), stop=("END",))
    assert said == end.text == "done EN"


@pytest.mark.slow
@given(st.text(min_size=1, max_size=60), st.integers(1, 5))
def test_the_tokens_of_the_texts_add_up_to_those_generated(answer: str, size: int) -> None:
    group = GroupRequest("g", "p", (SampleRequest("s", 0),), Sampling(), (), None)
    stream = Stream(group.samples[0], group, submitted=0.0, prompt_tokens=5)
    pieces, told = chop(answer, size), 0
    for i, piece in enumerate(pieces):
        stream.push(i, piece, now=1.0 + i)
        told += sum(text.tokens for text in stream.texts())
    assert told == len(pieces)


def test_a_character_split_over_tokens_arrives_whole_and_a_broken_one_is_marked() -> None:
    end, _, said = play([bytes([byte]) for byte in "3 €😀".encode()])
    assert said == end.text == "3 €😀"
    assert play([b"a", "€".encode()[:2], b"b"])[0].text == "a\ufffdb"


@pytest.mark.parametrize("stop", [(), ("END",)])
def test_a_character_that_was_cut_off_at_the_end_is_not_shown_in_part(stop: tuple[str, ...]) -> None:
    end, _, said = play([b"a", b"END" + "😀".encode()[:3]], stop)
    assert said == end.text == ("a" if stop else "aEND")


def test_rates_use_n_minus_one_intervals() -> None:
    end, _, _ = play([b"a", b"b", b"c", b"d"])
    assert end.ttft_s == 1.0
    assert end.tokens_per_s == pytest.approx(3 / 3.0)
    assert play([b"a"])[0].tokens_per_s is None


def tokens(text: str) -> tuple[list[int], list[bool]]:
    """A crude tokenizer: words, digits and signs become numbers, the same ones the same number."""
    table: dict[str, int] = {}
    parts = re.findall(r"[a-zA-Z]+|-+|\S|\n", text)
    return [table.setdefault(part, len(table)) for part in parts], [part.isalpha() for part in parts]


def fires_after(said: list[int], letters: list[bool]) -> int | None:
    """How many tokens the loop guard lets pass."""
    lengths = range(0, len(said) + 1, loopguard.EVERY)
    return next((n for n in lengths if loopguard.loops(said[:n], letters[:n])), None)


ENUMERATIONS = {
    "counting": ", ".join(str(i) for i in range(2000)),
    "a multiplication table": "\n".join(f"7 x {i} = {7 * i}" for i in range(400)),
    "a markdown table": "\n".join(f"| {i} | {i * i} | yes |" for i in range(400)),
    "cases": "\n".join(
        f"Case {i}: n = {i}, then f(n) = {3 * i + 1}, which is not prime." for i in range(200)
    ),
    "a long markdown table": "\n".join(f"| {i} | {i * i} | yes |" for i in range(4000)),
    "a long schedule": "\n".join(
        f"Week {week}, {day}: run, swim, rest."
        for week in range(500)
        for day in ("Monday", "Friday", "Sunday")
    ),
    "a matrix of zeros": "\n".join("[" + ", ".join("0" * 20) + "]" for _ in range(20)),
    "a grid of the ARC kind": "\n".join(" ".join("0" * 30) for _ in range(30)),
    "the digits of a third and a seventh": "0." + "3" * 400 + " and 0." + "142857" * 60,
    "a power of ten": "1" + "0" * 1000,
    "rows of a table in which nothing happens": "2024-01-01,0,0,0\n" * 60,
    "a rule and a list": "-" * 300 + "\n".join(f"- item {i}" for i in range(300)),
}


@pytest.mark.parametrize("name", ENUMERATIONS)
def test_the_loop_guard_does_not_fire_on_ordinary_enumerations(name: str) -> None:
    assert fires_after(*tokens(ENUMERATIONS[name])) is None


@pytest.mark.parametrize("period", [1, 2, 7, 40, 200, 1000, 1500, 4096])
def test_the_loop_guard_fires_on_a_block_repeated_without_end(period: int) -> None:
    said = list(range(10_000, 10_300)) + [i % period for i in range(4 * period + 2048)]
    fired = fires_after(said, [True] * len(said))
    assert fired is not None
    late = loopguard.EVERY if period <= loopguard.SHORT_BLOCK else loopguard.RARELY
    assert fired <= 300 + max(loopguard.SPAN, loopguard.REPEATS * period) + late


def test_the_loop_guard_fires_on_signs_without_a_letter_too_but_later() -> None:
    fired = fires_after(*tokens("The sum is " + "0 + " * 3000))
    assert fired is not None
    assert loopguard.WORDLESS_SPAN < fired <= loopguard.WORDLESS_SPAN + 3 + loopguard.EVERY


def test_the_loop_guard_ends_a_stream_and_can_be_switched_off() -> None:
    for guard, reason in ((True, FinishReason.LOOP), (False, FinishReason.LENGTH)):
        group = GroupRequest("g", "p", (SampleRequest("s", 0),), Sampling(max_tokens=600), loop_guard=guard)
        stream = Stream(group.samples[0], group, 0.0, 1)
        ends = [end for i in range(600) if (end := stream.push(i % 3, b"x", 1.0))]
        assert ends[0] is reason
