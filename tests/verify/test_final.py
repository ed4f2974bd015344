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
CORRECTED = [
    ("I'd say 5. On reflection no - 6.", "6"),
    ("The answer is 12, or rather 13.", "13"),
    ("So $x=5$. Sorry, $x=7$.", "x=7"),
    ("The answer is 5. No, wait, 6.", "6"),
    ("The answer is 12, not 13. The old value was actually 13.", "12"),
    ("The answer is 12. Sorry, 13 would be wrong.", "12"),
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


MENTIONS = [
    "As you asked, I marked it with \\boxed so that it is easy to find.",
    "(The final answer is given in \\boxed{}.)",
    "It is in `\\boxed{}` as requested.",
    "I used \\fbox where needed, and \\boxed.",
    "(Format used: \\boxed{answer})",
    "$\\boxed{\\text{your final answer}}$ \\boxed{...}",
    "It is not \\boxed{41}.",
    "\\boxed{\\phantom{41}}",
    "% \\boxed{41}",
    "<!-- \\boxed{41} -->",
]
LABELLED = [
    ("The final result: 4.2 × 10^5 J", r"4.2\times 10^5"),
    ("Energy: 4.2 × 10⁵ J", "420000"),
    ("Speed = 3e8 m/s", "300000000"),
    ("Total: 3π", r"3\pi"),
    ("Side: 2√3", r"2\sqrt{3}"),
    ("So, there are $2^8 = 256$ subsets.", "256"),
    ("Thus the probability is $\\frac{5}{36}$ (about 13.9%).", "5/36"),
    ("Il risultato è 42.", "42"),
    ("O resultado é 42 metros.", "42"),
    ("Das Ergebnis lautet 12,5.", "12.5"),
    ('{"steps": ["6 * 7"], "answer": 42}', "42"),
    ('```json\n{"final_answer": "42 cm"}\n```', "42"),
    ("The program prints\n\n```\n42\n```", "42"),
    (r"Réponse finale : \boxed{12{,}5}", "12.5"),
    (r"\boxed{\frac{\pi}{4}+n\pi, n\in\mathbb{Z}}", r"\frac{\pi}{4}+n\pi"),
    ("So Carla waits 60 + 60 + 40 = 160.\n\nA: 160", "160"),
    ("Final: 12", "12"),
    ("ans = 3", "3"),
    ("3x = 36\n\nx = 12", "12"),
    ("Total = 12 + 15 = 27", "27"),
    ("**Sum:** 3/4", "3/4"),
    ("所以一共有 **36** 种方法。\n\n答案：36", "36"),
    ("因此，答案是 15 。", "15"),
    ("最终答案是 \\( 15 \\)", "15"),
    ("よって、答えは 24 です。", "24"),
    ("따라서 정답은 18입니다.", "18"),
    ("Ответ: 15 рублей", "15"),
    ("Die Antwort lautet 15.", "15"),
    ("**Antwort:** 2,5", "2.5"),
    ("**Réponse finale :** 48 km", "48"),
    ("La respuesta es 15.", "15"),
    ("الإجابة: ٢٥", "25"),
    ("答案：３６", "36"),
    ("Merkitään: 15", "15"),
    ("**Answer:** 200 minutes (3 h 20 min)", "200"),
    ("**Answer:** x = 4 (x = −1 is extraneous).", "4"),
    ("The total is 72 clips, altogether.", "72"),
    ("...the total cost of the order is $29.00.", "29"),
    ("**Answer:** 1\u202f440 minutes", "1440"),
    ("The sum is $45$.\n\n<|begin_of_box|>45<|end_of_box|>", "45"),
]
UNMARKED = [
    "Die Antwort ist nicht 5.",
    "答案不是5。",
    "Check: 5",
    "Step one: 5",
    "If x were known: 5",
    "Total: 5 of 7 = more than half",
    "因为有 5 个苹果，所以我们继续。",
]
HEDGED = [
    "<answer>4</answer> or <answer>5</answer>",
    "\\boxed{4} or possibly \\boxed{5}",
    "Answer: 4 or 5",
    "Die Antwort ist 4 oder 5.",
    "Answer: 5 (or 4)",
]


@pytest.mark.parametrize("mention", MENTIONS)
@pytest.mark.parametrize("name", ["boxed", "final"])
def test_a_box_without_a_value_is_no_answer_and_displaces_none(name: str, mention: str) -> None:
    assert extract(name, f"The total is \\boxed{{42}}.\n{mention}") == "42"
    assert not math.verify(Response(mention), "41", FINAL).correct


@pytest.mark.parametrize(("text", "gold"), LABELLED)
def test_an_answer_is_found_behind_its_label_in_any_language(text: str, gold: str) -> None:
    assert math.verify(Response(text), gold, FINAL).correct


@pytest.mark.parametrize("text", UNMARKED)
def test_a_label_that_names_no_result_labels_no_answer(text: str) -> None:
    assert not math.verify(Response(text), "5", FINAL).correct


@pytest.mark.parametrize("text", HEDGED)
def test_two_answers_are_not_the_right_one(text: str) -> None:
    assert not math.verify(Response(text), "5", FINAL).correct


@pytest.mark.parametrize("form", ["\\boxed{{{}}}", "<answer>{}</answer>", "Answer: {}"])
def test_of_answers_that_nothing_joins_the_last_counts(form: str) -> None:
    text = "\n\n".join(map(form.format, (4, 6, 5)))
    assert math.verify(Response(text), "5", FINAL).correct
    assert not math.verify(Response(text), "6", FINAL).correct


@pytest.mark.parametrize(("text", "found"), JOINED)
def test_boxes_joined_in_a_sentence_are_one_answer(text: str, found: str) -> None:
    assert extract("final", text) == found
    assert extract("boxed", text) == found
    assert math.verify(Response(text), found, FINAL).correct
    assert not math.verify(Response(text), found.rpartition(", ")[2], FINAL).correct, (
        "who names two names none"
    )


@pytest.mark.parametrize(("text", "found"), LAST_ALONE)
def test_of_other_boxes_the_last_counts(text: str, found: str | None) -> None:
    assert extract("final", text) == found


@pytest.mark.parametrize(("text", "found"), TAKEN_BACK)
def test_a_box_that_is_taken_back_gives_way_to_what_is_called_the_answer(text: str, found: str) -> None:
    assert extract("final", text) == found


@pytest.mark.parametrize(("text", "found"), CORRECTED)
def test_an_answer_gives_way_to_the_one_that_corrects_it(text: str, found: str) -> None:
    assert extract("final", text) == found


@pytest.mark.parametrize(("text", "found"), KEPT)
def test_a_box_stays_where_no_other_answer_follows(text: str, found: str) -> None:
    assert extract("final", text) == found


@pytest.mark.parametrize(
    ("text", "gold"),
    [
        ("So the store sold 48 + 24 = 72 clips altogether in April and May.", "72"),
        ("She spent $12 + $30 + $8 = $50 in total. So she has $100 - $50 = $50 left.", "50"),
        ("There are 3 rows.\nTherefore we need 3 * 14 = 42 chairs!", "42"),
    ],
)
def test_a_conclusion_that_computes_its_value_states_it(text: str, gold: str) -> None:
    said = Response(answer=text)
    assert math.verify(said, gold, FINAL).outcome is Outcome.CORRECT
    assert math.verify(said, str(int(gold) + 1), FINAL).outcome is Outcome.WRONG


@pytest.mark.parametrize(
    "text",
    [
        "We know 48 + 24 = 72 clips were sold.",
        "So 48 + 24 = 72 is more than allowed.",
        "So from 48 + 24 = 72 we take 12 away.",
    ],
)
def test_a_computation_that_concludes_nothing_is_no_answer(text: str) -> None:
    assert math.verify(Response(answer=text), "72", FINAL).outcome is not Outcome.CORRECT


@pytest.mark.parametrize(("text", "gold"), BOLD)
def test_the_one_value_of_the_last_paragraph_is_the_answer(text: str, gold: str) -> None:
    assert math.verify(Response(text), gold, FINAL).correct


@pytest.mark.parametrize("text", NO_ANSWER)
def test_a_number_that_nothing_marks_is_no_answer(text: str) -> None:
    assert math.verify(Response(text), "5", FINAL).outcome is Outcome.NO_ANSWER
