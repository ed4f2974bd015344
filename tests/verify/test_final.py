"""What counts as the answer of a mathematical text that follows no protocol."""

from __future__ import annotations

import pytest

from localrl.verdict import Outcome, Response
from localrl.verify.base import VerifierSpec
from localrl.verify.registry import extract
from localrl.verify.verifiers import math

FINAL = VerifierSpec(name="math", extractor="final")

JOINED = [
    (r"The solutions are $\boxed{1}$ and $\boxed{-2}$.", "1, -2"),
    (r"They are $\boxed{2}, \boxed{3}$.", "2, 3"),
    (r"\boxed{3} or \boxed{-3}", "3, -3"),
    ("$$\\boxed{x=1}$$\n\nand\n\n$$\\boxed{x=-2}$$", "x=1, x=-2"),
    (r"The solutions are $x=\boxed{-2}$ and $x=\boxed{1}$.", "-2, 1"),
    (r"\(\boxed{(1,2)}\) and \(\boxed{(3,4)}\)", "(1,2), (3,4)"),
]
LAST_ALONE = [
    (r"First boxed{17}. Then boxed{204}.", "204"),
    (r"First $\boxed{17}$. Then $\boxed{204}$.", "204"),
    (r"First $a = \boxed{5}$ and $b = \boxed{2}$.", "2"),
    (r"\boxed{17} and \boxed{204}", "204"),
    ("$$\\boxed{3}$$\n\n$$\\boxed{4}$$", "4"),
    (r"$\boxed{5}$, $\boxed{5}$", "5"),
    (r"$\boxed{1}$, $\boxed{2", None),
]
TAKEN_BACK = [
    ("$\\boxed{7}$.\n\nHold on, let me recheck: 12 - 4 = 8. So the correct answer is 8.", "8"),
    ("$\\boxed{24}$\n\nActually, I overlooked the reflection; the right count is 12, not 24.", "12"),
    (
        "\\boxed{\\frac{1}{5}}\n\nHmm, wait. Both orders count, so the answer is $\\frac{2}{5}$.",
        r"\frac{2}{5}",
    ),
]
KEPT = [
    ("$\\boxed{10}$\n\nLet me double-check: 3 + 7 = 10. Yes.", "10"),
    ("$\\boxed{10}$\n\nActually, another method gives the same.", "10"),
    ("$\\boxed{30}$.\n\nNote: if the order mattered, the answer would be 60.", "30"),
]
BOLD = [
    ("Therefore\n\n**m + n = 45**", "45"),
    ("16 − 7 = 9 eggs × $2 = **$18 per day**", "18"),
    ("It takes Carla **160 minutes** (2 hours and 40 minutes) to download the file.", "160"),
    ("**Final Answer:** Wendi needs to give her chickens **20 cups** of feed.", "20"),
    ("There are **1,000,000** such codes (one million).", "1000000"),
    ("**Answer: John is 45 miles from home.**", "45"),
    ("The train travels at **60 km/h**.", "60"),
    ("The farmer has **13 pigs** left.\n\nLet me know if you have questions.", "13"),
    ("In total, 2 + 1 = **3** bolts are needed.", "3"),
    ("The solutions are **x = 3 and x = -3**.", "3, -3"),
    ("The distance is **250 km**.\n\n*(Note that the speed is constant.)*", "250"),
    ("The number of orders is $4! = \\mathbf{24}$.", "24"),
    ("The cost per bag is $15.00.", "15"),
    ("We solve $3x=4$. **The value of x is 4/3.**", "\\frac43"),
    ("So she makes 990.\n#### 990 dollars", "990"),
]
NO_ANSWER = [
    "We add **7** and **4**.",
    "**Step 7**: find the rate.",
    "**The cases of 3:**",
    "She has at least **5** apples.",
    "Tom has 5 marbles left.",
    "We start with 5 marbles.\n\nThen there is more.",
]


@pytest.mark.parametrize(("text", "found"), JOINED)
def test_boxes_joined_in_a_sentence_are_one_answer(text: str, found: str) -> None:
    assert extract("final", text) == found
    assert math.verify(Response(text), found, FINAL).correct
    assert not math.verify(Response(text), extract("boxed", text), FINAL).correct


@pytest.mark.parametrize(("text", "found"), LAST_ALONE)
def test_of_other_boxes_the_last_counts(text: str, found: str | None) -> None:
    assert extract("final", text) == found


@pytest.mark.parametrize(("text", "found"), TAKEN_BACK)
def test_a_box_that_is_taken_back_gives_way_to_what_is_called_the_answer(text: str, found: str) -> None:
    assert extract("final", text) == found


@pytest.mark.parametrize(("text", "found"), KEPT)
def test_a_box_stays_where_no_other_answer_follows(text: str, found: str) -> None:
    assert extract("final", text) == found


@pytest.mark.parametrize(("text", "gold"), BOLD)
def test_the_one_value_of_the_last_paragraph_is_the_answer(text: str, gold: str) -> None:
    assert math.verify(Response(text), gold, FINAL).correct


@pytest.mark.parametrize("text", NO_ANSWER)
def test_a_number_that_nothing_marks_is_no_answer(text: str) -> None:
    assert math.verify(Response(text), "5", FINAL).outcome is Outcome.NO_ANSWER
