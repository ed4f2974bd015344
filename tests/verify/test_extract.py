"""What each extractor finds, and that it finds nothing where there is nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localrl.errors import UsageError
from localrl.verify.registry import EXTRACTORS, extract

CASES = [
    ("text", "  a b \n", "a b"),
    ("text", " \n ", None),
    ("last_line", "one\ntwo\n\n", "two"),
    ("last_number", "12 and then 7.", "7"),
    ("last_number", "It costs $1,234,567.50 now", "1234567.50"),
    ("last_number", "the difference 9-4 is -5", "-5"),
    ("last_number", "9-4", "4"),
    ("last_number", "(3)-2", "2"),
    ("last_number", "temperature: −3", "-3"),
    ("last_number", "pairs 1, 2, 3", "3"),
    ("last_number", "x = 5, y = 12,345", "12345"),
    ("last_number", "1,23", "23"),
    ("last_number", "none", None),
    ("last_number", "version v2", "2"),
    ("last_number", ".5", ".5"),
    ("last_number", "+8", "8"),
    ("boxed", r"\boxed{1} then \boxed{\frac{1}{2}}", r"\frac{1}{2}"),
    ("boxed", r"\boxed{17} and \boxed{204}", "204"),
    ("boxed", r"\boxed{\{1, 2\}}", r"\{1, 2\}"),
    ("boxed", r"\boxed{\left\{1\right.}", r"\left\{1\right."),
    ("boxed", r"\boxed{12} wait \boxed{3", None),
    ("boxed", r"\boxed 5", "5"),
    ("boxed", r"$\boxed {7}$", "7"),
    ("boxed", r"\fbox{8}", "8"),
    ("boxed", r"\boxed{}", None),
    ("boxed", "17", None),
    ("boxed", r"\boxed{1} or \boxed{2}", "1, 2"),
    ("boxed", r"not \boxed{2}, but \boxed{3}", "3"),
    ("boxed", "\\boxed{1\u202f234}", "1234"),
    ("boxed", r"50 % of \boxed{8}", "8"),
    ("answer_tag", "<answer>3</answer>, not <answer></answer>", "3"),
    ("answer_line", "Answer: 3\nThe format was Answer: ...", "3"),
    ("boxed", r"\boxed{\boxed{5}+1}", "{5}+1"),
    ("boxed", r"$\boxed{\boxed{5}}$", "{5}"),
    ("boxed", r"\boxed{\fbox{3}} wait \boxed{4", None),
    ("boxed", r"\boxed{3 no: \boxed{4}", "4"),
    ("answer_tag", "<answer>3</answer> no: <Answer> 4\n</Answer>", "4"),
    ("answer_tag", "<answer>3", None),
    ("answer_line", "Answer: 3\nAnswer: $4$", "$4$"),
    ("answer_line", "**Answer:** 12", "12"),
    ("answer_line", "Answer: 3" + " " * 300, None),
    ("answer_line", "the answer is 3", None),
    ("letter", "B", "B"),
    ("letter", "(c).", "C"),
    ("letter", r"so \boxed{D}", "D"),
    ("letter", r"\boxed{\text{A}}", "A"),
    ("letter", "ANSWER: C", "C"),
    ("letter", "The answer is (B), not A.", "B"),
    ("letter", "**Answer: A**", "A"),
    ("letter", "The correct option is D.", "D"),
    ("letter", "Reasoning...\nC) because it is", "C"),
    ("letter", "A few words that choose nothing", None),
    ("letter", "The answer is unclear.", None),
    ("code", "```python\na\n```\ntext\n```\nb\n```", "a\n"),
    ("code", "no code", None),
    ("code", "```python\na\n```\n```\n\n```", "a\n"),
    ("code", "```\na\n```\ntext\n```\nb\n```", "b\n"),
    ("code", "```python\na", "a"),
    ("code", "```\na", None),
    ("code", "````\n```\nb\n```\n````", "```\nb\n```\n"),
    ("final", "The answer is 42.", "42"),
    ("final", r"The answer is $\frac{1}{2}$.", r"\frac{1}{2}"),
    ("final", "**Answer:** 5 apples", "5 apples"),
    ("final", "1/2", "1/2"),
    ("final", "So it goes.\n\n### Final Answer\n\n$42$", "42"),
    ("final", "so it is 3.5. The answer is 3.5.", "3.5"),
    ("final", "<answer>7</answer>", "7"),
    ("final", "Final Answer: The final answer is $12$. I hope it is correct.", "12"),
    ("final", "The answer is 15, not 5.", "15"),
    ("final", "He sold 48/2 = 24.\nSo 72 in all.\n#### 72", "72"),
    ("final", "#### Step 1\nWe do not know.", None),
    ("final", "I believe 42 is plausible but cannot decide", None),
    ("final", r"\boxed{5} \boxed{6", None),
    ("final", "**Final Answer:**\n\n$$23$$", "23"),
    ("final", "Hence the final answer is:\n\n$$x^2$$", "x^2"),
    ("final", "So the answer must be 23.", "23"),
    ("final", "In the end the answer turns out to be 13.", "13"),
    ("final", "The answers are 2 and 3.", "2 and 3"),
    ("final", "The answer is\n\n\\[\n13\n\\]\n\nas claimed.", "\\[ 13 \\]"),
    ("final", "Hence\n$$n = 13.$$", "13"),
    ("final", "60 + 180 + 126.\n\nSo the number of downloads is **366**.", "366"),
    ("final", "To conclude, the sides satisfy $AB = 294$.", "AB = 294"),
    ("final", "Josh paid $130,000.\nTherefore, Josh made a profit of $70,000.", "70000"),
    ("final", "Therefore, 3 of the 7 remain.", None),
    ("final", "So we need to find the speed.", None),
    ("final", r"The answer is \boxed{5", None),
    ("boxed|last_number", "is 4", "4"),
    ("boxed | last_number", r"\boxed{3} or 4", "3"),
]


@pytest.mark.parametrize(("name", "text", "found"), CASES)
def test_the_answer_is_found_as_the_extractor_says(name: str, text: str, found: str | None) -> None:
    assert extract(name, text) == found


@given(name=st.sampled_from(EXTRACTORS.names()), text=st.text(alphabet="aA1-.,{}\\boxed<>/answer: `\n"))
def test_no_text_breaks_an_extractor_and_an_answer_is_never_empty(name: str, text: str) -> None:
    assert extract(name, text) != ""


@pytest.mark.parametrize("name", ["last_numbr", "boxed|last_numbr", "boxed|", ""])
def test_an_unknown_extractor_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="no extractor named"):
        extract(name, "1")


@pytest.mark.parametrize("name", EXTRACTORS.names())
@pytest.mark.parametrize(
    "piece",
    [
        "answer ",
        "<answer>",
        "\n",
        " ",
        "```\n",
        "\\boxed{",
        "(",
        "1,",
        "A\n",
        "a",
        "Answer: **",
        "1",
        "option ",
        "option A ignores it ",
        "\\boxed{\\boxed{",
        "*",
        "$",
        "so ",
        "A, ",
        "A is correct ",
        "the answer is A. ",
        "option A: ",
        "\\boxed{1}, ",
        "**1** ",
        "the answer is 1 ",
    ],
)
def test_long_texts_take_linear_time(name: str, piece: str) -> None:
    """Quadratic time would be minutes here; extractors run in the app's own process."""
    extract(name, "answer" + piece * (400_000 // len(piece)) + "x")
