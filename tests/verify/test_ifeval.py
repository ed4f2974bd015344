"""Each of the 25 instruction types, followed told from not followed; strict, loose, and both levels."""

from __future__ import annotations

from typing import Any

import pytest

from localrl.verdict import Outcome, Response
from localrl.verify.base import VerifierSpec
from localrl.verify.ifeval_checks import CHECKS, sentences, words
from localrl.verify.verifiers import ifeval

STRICT = VerifierSpec(name="ifeval")
LOOSE = VerifierSpec(name="ifeval", params={"mode": "loose"})
GERMAN = "Das ist ein kurzer Text in deutscher Sprache, den jeder versteht."

# type, arguments, texts that follow, texts that do not
CASES: list[tuple[str, dict[str, Any], list[str], list[str]]] = [
    ("keywords:existence", {"keywords": ["cat", "Dog"]}, ["A CAT and a dog."], ["A cat."]),
    ("keywords:frequency", {"keyword": "a", "frequency": 3, "relation": "at least"}, ["a bad cab"], ["a b"]),
    (
        "keywords:frequency",
        {"keyword": "cat", "frequency": 2, "relation": "less than"},
        ["cat"],
        ["cat cats"],
    ),
    ("keywords:forbidden_words", {"forbidden_words": ["rain"]}, ["It is raining"], ["The Rain."]),
    (
        "keywords:letter_frequency",
        {"letter": "q", "let_frequency": 2, "let_relation": "at least"},
        ["Q and q"],
        ["quick"],
    ),
    (
        "language:response_language",
        {"language": "de"},
        [GERMAN, "123"],
        ["This text is in English, as you see."],
    ),
    (
        "length_constraints:number_sentences",
        {"num_sentences": 3, "relation": "at least"},
        ["One. Two! Three?", "Dr. Who came. He left. It was 3.5 p.m. then."],
        ["One. Two.", "Mr. Smith saw Dr. Jones, e.g. today."],
    ),
    (
        "length_constraints:number_sentences",
        {"num_sentences": 2, "relation": "less than"},
        ["One."],
        ["A b. C d."],
    ),
    (
        "length_constraints:number_paragraphs",
        {"num_paragraphs": 2},
        ["a\n***\nb", "***\na\n***\nb"],
        ["a\n\nb", "a\n***\n***\nb"],
    ),
    (
        "length_constraints:number_words",
        {"num_words": 3, "relation": "at least"},
        ["one two three"],
        ["one two"],
    ),
    (
        "length_constraints:nth_paragraph_first_word",
        {"num_paragraphs": 2, "nth_paragraph": 2, "first_word": "Hello"},
        ['One.\n\n"hello, you"'],
        ["One.\n\nBye", "Hello", "a\n\nhello\n\nc"],
    ),
    ("detectable_content:number_placeholders", {"num_placeholders": 2}, ["[a] and [b]"], ["[a]"]),
    ("detectable_content:postscript", {"postscript_marker": "P.S."}, ["x\nP.S. y", "p. s. y"], ["PS y"]),
    ("detectable_content:postscript", {"postscript_marker": "P.P.S"}, ["P.P.S y", "p. p. s y"], ["P.S. y"]),
    (
        "detectable_format:number_bullet_lists",
        {"num_bullets": 2},
        ["* a\n* b", "- a\n  * b"],
        ["* a", "* a\n* b\n- c"],
    ),
    (
        "detectable_format:constrained_response",
        {},
        ["My answer is yes.", "Well. My answer is maybe."],
        ["Yes."],
    ),
    (
        "detectable_format:number_highlighted_sections",
        {"num_highlights": 2},
        ["*a* and **b**"],
        ["*a*", "* * **"],
    ),
    (
        "detectable_format:multiple_sections",
        {"section_spliter": "SECTION", "num_sections": 2},
        ["SECTION 1\na\nSECTION 2\nb"],
        ["SECTION 1\na", "Section 1 Section 2"],
    ),
    ("detectable_format:json_format", {}, ['{"a": 1}', '```json\n{"a": 1}\n```', "[1]"], ["{a: 1}", "text"]),
    ("detectable_format:title", {}, ["<<A title>>\ntext"], ["<A title>", "<< >>"]),
    ("combination:two_responses", {}, ["a\n******\nb"], ["a\n******\na", "a", "a******b******c"]),
    ("combination:repeat_prompt", {"prompt_to_repeat": "Say it."}, ["say it. Yes"], ["Yes. Say it."]),
    ("startend:end_checker", {"end_phrase": "The end."}, ['"So: the end."', "the end.\n"], ["The end. Bye"]),
    (
        "change_case:capital_word_frequency",
        {"capital_frequency": 3, "capital_relation": "at least"},
        ["I saw NASA and the U.S. flag"],
        ["I saw NASA and Them"],
    ),
    ("change_case:english_capital", {}, ["THIS IS A TEXT IN ENGLISH."], ["This is not."]),
    ("change_case:english_lowercase", {}, ["this is a text in english."], ["This is not.", GERMAN.lower()]),
    ("punctuation:no_comma", {}, ["No comma here."], ["One, two"]),
    ("startend:quotation", {}, ['"quoted"', ' "quoted"\n'], ['"half', '"']),
]


def target(*pairs: tuple[str, dict[str, Any]]) -> dict[str, Any]:
    return {
        "prompt": "",
        "instructions": [name for name, _ in pairs],
        "kwargs": [given for _, given in pairs],
    }


@pytest.mark.parametrize(("name", "given", "good", "bad"), CASES)
def test_following_is_told_from_not_following(
    name: str, given: dict[str, Any], good: list[str], bad: list[str]
) -> None:
    ifeval.prepare()
    for text in good:
        assert ifeval.verify(Response(text), target((name, given)), STRICT).correct, text
    for text in bad:
        assert ifeval.verify(Response(text), target((name, given)), STRICT).outcome is Outcome.WRONG, text


def test_all_25_types_are_known_and_tried_here() -> None:
    assert len(CHECKS) == 25
    assert {name for name, *_ in CASES} == set(CHECKS)


def test_loose_forgives_an_introduction_and_asterisks_where_strict_does_not() -> None:
    goal = target(("startend:quotation", {}), ("punctuation:no_comma", {}))
    text = 'Sure, here it is:\n**"a quote"**'
    strict, loose = (ifeval.verify(Response(text), goal, spec) for spec in (STRICT, LOOSE))
    assert (strict.outcome, loose.outcome) == (Outcome.WRONG, Outcome.CORRECT)
    assert strict.detail["strict"] == [False, False]
    assert strict.detail["loose"] == [True, True]


def test_one_instruction_not_followed_makes_the_prompt_wrong_and_shows_in_the_score() -> None:
    goal = target(("punctuation:no_comma", {}), ("startend:quotation", {}))
    verdict = ifeval.verify(Response("No comma."), goal, STRICT)
    assert verdict.outcome is Outcome.WRONG
    assert verdict.score == 0.5


def test_nothing_said_is_no_answer_and_thinking_is_not_looked_at() -> None:
    goal = target(("punctuation:no_comma", {}))
    assert ifeval.verify(Response(" \n"), goal, STRICT).outcome is Outcome.NO_ANSWER
    assert ifeval.verify(Response("fine", thinking="one, two"), goal, STRICT).correct


def test_a_row_of_the_dataset_is_a_target() -> None:
    row = {"key": 1, "prompt": "p", "instruction_id_list": ["punctuation:no_comma"], "kwargs": [{}]}
    assert ifeval.verify(Response("fine"), row, STRICT).correct
    assert not ifeval.verify(Response("one, two"), row, STRICT).correct


def test_null_arguments_of_a_table_are_as_if_absent() -> None:
    goal = target(("punctuation:no_comma", {"keywords": None, "num_words": None}))
    assert ifeval.verify(Response("fine"), goal, STRICT).correct


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 0),
        ("no end", 1),
        ("One. Two", 2),
        ('He said "Stop!" Then he left.', 2),
        ("It costs 3.50 dollars. Cheap.", 2),
        ("What?! No...", 2),
        ("A title\nand its text. More.", 2),
        ("J. K. Rowling wrote it. I read it.", 2),
        ("So did I. You too.", 2),
        ("1. First item. 2. Second item.", 2),
        ("The U.S. is large. Yes.", 2),
        ("My answer is no. Sorry.", 2),
        ("It is No. 5 of ten. Yes.", 2),
        ("Well... maybe it is. Yes.", 2),
    ],
)
def test_sentences_are_counted_as_a_reader_would(text: str, count: int) -> None:
    assert sentences(text) == count


def test_words_are_split_as_in_the_penn_treebank() -> None:
    assert words("I DON'T know, U.S. (NASA)") == ["I", "DO", "N'T", "know", "U.S.", "NASA"]
    assert words("R&D at AT&T") == ["R", "D", "at", "AT", "T"]
