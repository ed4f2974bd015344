"""A letter is found however it is said, and a hedge is no choice."""

from __future__ import annotations

from typing import Any

import pytest

from localrl.verdict import Outcome, Response
from localrl.verify.base import VerifierSpec
from localrl.verify.registry import extract
from localrl.verify.verifiers import choice

SPEC = VerifierSpec(name="choice", extractor="letter")
TARGET = {"answer": "C", "options": ["a cat", "a dog", r"3.0 \times 10^8 m/s", "None of them"]}

SAID = [
    ("The answer is:\n\nC because it is heavier.", "C"),
    ("Selection: B\nThe rest follows.", "B"),
    ("B", "B"),
    ("(c).", "C"),
    (r"so \boxed{D}", "D"),
    (r"\boxed{\text{A}}", "A"),
    (r"\boxed{C) 42}", "C"),
    (r"\boxed{\textbf{(E)}}", "E"),
    (r"The final answer is $\boxed{\text{(B)}}$.", "B"),
    (r"\boxed{\text{Answer: G}}", "G"),
    (r"\boxed{\text{The correct answer is C}}", "C"),
    (r"$$\text{Answer: } \mathbf{A}$$", "A"),
    ("答案是 B。", "B"),
    ("答案：C", "C"),
    ("ANSWER: C", "C"),
    ("ANSWER: $B$", "B"),
    ("The answer is (B), not A.", "B"),
    ("**Answer: A**", "A"),
    ("**Final Answer:** **D**", "D"),
    ("The correct option is D.", "D"),
    ("The correct answer is **B) Paris**", "B"),
    ("The best answer is option D: foo", "D"),
    ("I choose C.", "C"),
    ("(C) is correct", "C"),
    ("Option A is wrong. Option C is correct.", "C"),
    ("ANSWER: A, B is wrong", "A"),
    ("It can't be A.\n\n**C**", "C"),
    ("the answer is c", "C"),
    ("Answer - C", "C"),
    ("Answer: <C>", "C"),
    ("The answer is definitely C.", "C"),
    ("The answer is neither A nor B; it is C.", "C"),
    ("**B**\n\nOption A ignores friction, C counts twice.", "B"),
    ("Option A: wrong units.\nOption B: right in the limit.\nOption C: diverges.\n\nB", "B"),
    ("**Option C: 0.5 eV**", "C"),
    ("It is not A. It is not C. So it must be B.", "B"),
    ("(A) is too large and (D) is negative, leaving (B).", "B"),
    ("The choice that matches is C!", "C"),
    ("The statement that is not true is D.", "D"),
    ("So, the answer to the problem is C.", "C"),
    ("The best option is therefore **A**.", "A"),
    ("Only option A agrees with both observations.", "A"),
    ("After leaving out the others, B remains.", "B"),
    ("Given (A) 1.2, (B) 2.4 and (C) 3.6, our result agrees with (B).", "B"),
    ("Both A and C look plausible, but A is the better choice.", "A"),
    ("Therefore C.", "C"),
    (r"boxed{B}", "B"),
    ("La bonne réponse est (C) : le scorbut.", "C"),
    ("La respuesta correcta es la D.", "D"),
    ("Die richtige Antwort ist B.", "B"),
    ("Choice B is the most defensible.", "B"),
    ("**Option D: $E^\\circ < 0$** - no.\n\nAll in all, C is the right criterion.", "C"),
    ("Option B: B cells.\nOption D: no lymphocytes.\n\nIn summary, **B) B cells** secrete antibodies.", "B"),
    ("Answer: B\n\nQuestion: Which one falls?\nA) a stone\nB) a cloud\nAnswer: A", "B"),
    ("I'm torn between A and B, but I'll go with B.", "B"),
    ("ANSWER: A\nWait, no.\nANSWER: C", "C"),
    ("the answer is (c) because", "C"),
    ("Answer:\nB", "B"),
    ("Answer: B. Because A is bad", "B"),
    ('my answer is "B"', "B"),
    ("Answer: [C]", "C"),
    ("<answer>C</answer>", "C"),
    ("A) x\nB) y\n\nThe answer is B) y", "B"),
    ("Reasoning...\nC) because it is", "C"),
    (r"The answer is \(\text{C}\).", "C"),
    ("[C]", "C"),
    ("The correct option is: **C. 0.5**", "C"),
    ("ANSWER: `C`", "C"),
    ("ANSWER: 'C'", "C"),
    ("Thus the correct letter is B", "B"),
    ("The solution is B.", "B"),
    ("The answer to the question is B.", "B"),
    ("The correct statement is B.", "B"),
    ("Answer: C, I think", "C"),
    ("ANSWER: C. A and B violate conservation.", "C"),
    ("The answer is C, A and B are wrong", "C"),
]
NOT_SAID = [
    "Die richtige Antwort ist nicht A.",
    "La respuesta no es A.",
    "La réponse n'est pas A.",
    "答案不是 A。",
    "If it is neglected, the answer is A (3 s). It is not said, so I can't determine a single answer.",
    "If isothermal, it is 1.7 kJ (option A). More is required, so I cannot give a definite answer.",
    "B: zero order, so a linear decay.\nA: ",
    "Answer: A. But let me double-check the contour, since it is traversed",
    "Wait, maybe B? Symptoms as in the stem, that would be A. But the history was long, so",
    "If the array is sorted, then the correct answer is (A)? No, binary search is",
    "A is incorrect because it is a base. This leaves C and",
    "A few words that choose nothing",
    "The answer is unclear.",
    "The answer is a matter of taste.",
    "The answer: I think it is hard",
    "The answer is not A.",
    "Option A is wrong.",
    "Choice A ignores friction.",
    "The answer depends on A",
    "ANSWER: ABCD",
    "A) x\nB) y\nC) z\nD) w",
    "ANSWER: $LETTER",
    "none of these",
    "Neither A nor B fits the data.",
    "None of A, B, C or D matches.",
    "Could the answer be A?",
    "Is the correct answer A?",
    "Let me check whether option A is correct.",
    "Compound A reacts with HBr to give B.",
    r"\boxed{42}",
    "",
]
HEDGES = [
    r"\boxed{A} or \boxed{B}",
    r"I can see arguments for both. $\boxed{B \text{ or } C}$",
    "answer is A or B",
    "The answer is either A or C.",
    r"\boxed{A or B}",
    r"$\boxed{A}$ and $\boxed{B}$",
    "ANSWER: A, B",
    "Answer: (A) and (C)",
    "Answer: C/D",
    "Answer: A, B, C, D",
    "ANSWER: A B C D",
    "ANSWER: C?? or D??",
    "ANSWER: A; C",
    "Answer: C, or maybe A",
    "Answer: C|A",
    "ANSWER: A + C",
    "ANSWER: C-D",
    "ANSWER: C to D",
    "ANSWER: C (or A)",
    "Both A and C are correct.",
    "A, B, and C are all correct.",
    "ANSWER: C, but A is also possible",
]


DENIED_OR_SUPPOSED = [
    ("Neither A nor B is correct, and D contradicts charge conservation. That leaves C as the answer.", "C"),
    ("Option A is not correct. Option B is not correct. So D must be correct.", "D"),
    ("I would rule out A, B and C, which leaves D.", "D"),
    ("The answer isn't B because of the Pauli principle; it's A.", "A"),
    ("If the answer were A, the energy would be negative. So the answer is B.", "B"),
    ("I initially thought the answer was B, but D is the right answer.", "D"),
    ("One might think that the answer is C, but the actual answer is A.", "A"),
    ("Although D looks attractive, A is the answer.", "A"),
]
ANSWER_THEN_COMMENT = [
    ("Option A: B.\nOption B: D.\nI pick B.", "B"),
    ("The answer is B. Perhaps the answer is C?", "B"),
    ("The answer is C. With more heat B is best.", "C"),
    ("I choose C. The facts match option B and option D.", "C"),
    ("Correct answer: **C**\n\n*Note: option B would be right if the gas were monatomic.*", "C"),
    ("Answer: **B**\n\nNote that answer (C) would only be obtained with excess base.", "B"),
    ("**Answer: B**\n\nOption A is correct in the classical case.", "B"),
    ("The answer is C.\n\nMany students choose B.", "C"),
    ("The answer is D.\n\nA common error is to say the answer is B.", "D"),
    ("Answer: B\n\nIn contrast, the answer is A for diatomic gases.", "B"),
    ("**A. Gravity**\n\nOption B is the right choice for charged bodies.", "A"),
]
CHANGED_MIND = [
    ("I'd say A. On reflection no - B.", "B"),
    ("The answer is A. No, C.", "C"),
    ("The answer is B, or rather C.", "C"),
    ("The answer is B — make that D.", "D"),
    ("Answer: A. Hmm, I mean B.", "B"),
    ("The answer is (A)... no, (B).", "B"),
    ("The answer is B. There is no C here.", "B"),
    ("Option B? No: it violates A. So C.", "C"),
    ("The answer is B.\n\nWait, let me reconsider. The correct option is A.", "A"),
    ("Answer: A\n\nActually, the sign is wrong, so C is correct.", "C"),
    ("So the answer is A. That gives a negative mass. So the answer must be D.", "D"),
]
ARRIVED_AT = [
    ("That is precisely his view. So D is the one I'd pick.", "D"),
    ("A says both: no.\nB says neither: no.\nC says continuous but not differentiable: yes.", "C"),
    ("Only A survives this scrutiny.", "A"),
    ("Going through each choice:\n\n(A) is potassium.\n(B) is strontium.\n(C) is rubidium. ✓", "C"),
    ("The correct answer is ( C ).", "C"),
    ("The correct answer is A) the endo-cis dicarboxylic acid", "A"),
    (r"Answer: \\boxed{C}", "C"),
    ("G (170 W) is nearest, so that is the choice I would make.", "G"),
    ("Reduced compliance (D) is what accounts for the findings.", "D"),
    ('{"steps": ["p = 0.6"], "final_answer": "A"}', "A"),
    ("It is the sixth one, F.", "F"),
    ("Die richtige Antwort ist daher B.", "B"),
    ("Price up, quantity down: A describes it best.", "A"),
    ("Cannon is the man, and he is listed at A.", "A"),
    ("My first impression was (A). But it appears under (C). I therefore change my answer to (C).", "C"),
    (r"The right cosets are $H, Hg$. $\Rightarrow$ it is listed under $\textbf{D}$.", "D"),
    ("That is anaphase II, therefore C wins.", "C"),
    ("So the court should dismiss, the first answer choice, A. (B is about venue.)", "A"),
    ("The statement is admissible, and **A** gives the right reason.", "A"),
    ("The only workable sequence is the one in C.", "C"),
    ("* (A) T < 0 ✗.\n* (B) S = 0 ✗.\n* (C) U = 0 and S > 0 ✓.", "C"),
    ("Only the decay in row D conserves all three, so D is the allowed one.", "D"),
    ("What the students can conclude is the one in option C (more light).", "C"),
    ("That is the hippocampus, listed as B.", "B"),
    ("The proton transfer, i.e. C, is what we are looking for.", "C"),
    ("The fold would be least affected in case D.", "D"),
    ('{"answer": "D. Habeas corpus"}', "D"),
    (r"$$\boxed{B \; \tfrac{7}{16}}$$", "B"),
    ("$$T(n) = \\boxed{\\Theta(n\\log n)}$$\n\nSo the answer is **B**.", "B"),
    (r"The current is $\boxed{3 \text{ A}}$, so the answer is C.", "C"),
    ("I conclude that (C) is the right doctrine rather than (D).", "C"),
    ("On this criterion (D) drops out and (B) is the best answer.", "B"),
    ("* **B** is true as a fact, but no reason.\n\nSo the best explanation is **C**.", "C"),
    ("**Conclusion:** the compartment in question is the Golgi apparatus (B).", "B"),
    ("Choice C is therefore the best experimental design, since it changes one variable.", "C"),
    ("- A. Toluene: 5 signals\n- B. Benzene: 1 signal\n\n✅ **D. *p*-xylene**", "D"),
    ("**The correct answer is (A) $D = 4 - E$.**", "A"),
    ("So it is not A, but **B: the price level increases**.", "B"),
    ("Option D states precisely this, so D it is.", "D"),
    ("The closest value is **1.9**, i.e. **D**.", "D"),
    ('Option D ("I and III only") is therefore correct.', "D"),
    ("Thus, the first action should be **B) Assess the airway**.", "B"),
    ("A. Incorrect: too hot.\nB. Correct: it freezes.\nC. Incorrect: too dry.", "B"),
    ("By elimination, D is the only possible option.", "D"),
    ("The right choice is d) 12 mV.", "D"),
    ("Hmm, the right option seems to be (a).", "A"),
    ("I'm going with B.", "B"),
    ("The answer must therefore be A.", "A"),
    ("That makes D the correct answer.", "D"),
    ("The most likely diagnosis is (A) acute appendicitis.", "A"),
    ("Option C is therefore the correct structure.", "C"),
    ("Overall, (A) best explains the results.", "A"),
    ("The correct option is not B but D.", "D"),
    ("The incorrect statement is B.", "B"),
    ("C, because the wavelength doubles.", "C"),
    ("答案为（C）。", "C"),
    ("With $B = 2$ T the speed is 3 m/s, which corresponds to choice (C).", "C"),
    ("Comparing with the options, the closest value is (B) 1.6 eV.", "B"),
]


@pytest.mark.parametrize(("text", "letter"), DENIED_OR_SUPPOSED)
def test_a_letter_that_is_denied_or_supposed_is_not_chosen(text: str, letter: str) -> None:
    assert extract("letter", text) == letter


@pytest.mark.parametrize(("text", "letter"), ANSWER_THEN_COMMENT)
def test_comment_after_the_answer_does_not_change_it(text: str, letter: str) -> None:
    assert extract("letter", text) == letter


@pytest.mark.parametrize(("text", "letter"), CHANGED_MIND)
def test_the_last_answer_of_a_changed_mind_counts(text: str, letter: str) -> None:
    assert extract("letter", text) == letter


@pytest.mark.parametrize(("text", "letter"), ARRIVED_AT)
def test_a_letter_may_be_arrived_at_without_being_called_the_answer(text: str, letter: str) -> None:
    assert extract("letter", text) == letter


@pytest.mark.parametrize(("text", "letter"), SAID)
def test_a_letter_is_found(text: str, letter: str) -> None:
    assert extract("letter", text) == letter
    assert choice.verify(Response(text), letter, SPEC).correct


@pytest.mark.parametrize("text", NOT_SAID)
def test_no_letter_is_found_where_none_is_chosen(text: str) -> None:
    assert choice.verify(Response(text), "A", SPEC).outcome is Outcome.NO_ANSWER


@pytest.mark.parametrize("text", HEDGES)
@pytest.mark.parametrize("right", "ABCD")
def test_two_letters_are_never_correct(text: str, right: str) -> None:
    assert choice.verify(Response(text), right, SPEC).outcome is Outcome.WRONG


def test_an_option_in_words_in_a_box_counts_as_its_letter() -> None:
    assert choice.verify(Response(r"\boxed{3.0\times 10^8 m/s}"), TARGET, SPEC).extracted == "C"
    assert choice.verify(Response(r"\boxed{\text{A dog}}"), TARGET, SPEC).outcome is Outcome.WRONG
    assert choice.verify(Response(r"\boxed{a bird}"), TARGET, SPEC).outcome is Outcome.NO_ANSWER


OPTIONS = {
    "A": "10",
    "B": "11",
    "C": "It is spontaneous only at high temperature",
    "D": "Protein degradation",
}


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("\\boxed{11}", "B"),
        ("\\boxed{11.0}", "B"),
        ("After computing we get 11.\n\nAnswer: 11", "B"),
        ("**Answer:** It is spontaneous only at high temperature.", "C"),
        ("The correct answer is: protein degradation", "D"),
        ("\\boxed{\\text{Protein degradation}}", "D"),
        ("Protein degradation", "D"),
        ("The answer is 12.", None),
        ("It is not protein degradation.", None),
    ],
)
@pytest.mark.parametrize("options", [OPTIONS, list(OPTIONS.values())], ids=["by letter", "in order"])
def test_an_options_own_text_chooses_it(options: Any, text: str, letter: str | None) -> None:
    for right in "ABCD":
        target = {"answer": right, "options": options}
        assert choice.verify(Response(text), target, VerifierSpec(name="choice")).correct == (right == letter)


def test_a_text_that_two_options_have_chooses_neither() -> None:
    target = {"answer": "A", "options": ["11", "11.0", "12"]}
    assert not choice.verify(Response("\\boxed{11}"), target, VerifierSpec(name="choice")).correct


@pytest.mark.parametrize(
    "text",
    [
        *(
            "Antwort: C",
            "Jawaban: C",
            "正解：C",
            "答案：C",
            "정답: C",
            "उत्तर: C",
            "الإجابة: C",
            "Jibu: C",
            "উত্তর: C",
        ),
        *(
            "答案：Ｃ",
            "故选 C。",
            "因此选项C正确。",
            "La respuesta correcta es la C.",
            "Réponse : C",
            "Odpowiedź: C",
        ),
        *(
            "Câu trả lời: C",
            "Elegido: C",
            "<|begin_of_box|>C<|end_of_box|>",
            "Die richtige Antwort ist Option C.",
        ),
    ],
)
def test_a_letter_is_found_behind_its_label_in_any_language(text: str) -> None:
    assert extract("letter", text) == "C"


@pytest.mark.parametrize(
    "text",
    ["选项C错误。", "答案不是C。", "Die Antwort ist nicht C.", "Eliminated: C", "La réponse n'est pas C."],
)
def test_a_letter_that_is_denied_in_any_language_is_not_chosen(text: str) -> None:
    assert extract("letter", text) != "C"


@pytest.mark.parametrize(
    "text",
    [
        '{"reasoning": "It rains.", "answer": "I and II"}',
        'The answer is "I and II".',
        "<answer>I and II</answer>",
    ],
)
def test_an_options_own_text_chooses_it_in_json_a_tag_or_quotes(text: str) -> None:
    target = {"answer": "C", "options": ["Only I", "Only II", "I and II", "Neither I nor II"]}
    assert choice.verify(Response(answer=text), target, SPEC).outcome is Outcome.CORRECT
    assert choice.verify(Response(answer=text), target | {"answer": "A"}, SPEC).outcome is Outcome.WRONG


@pytest.mark.parametrize("text", ["Таким образом, ответ — C.", "Ответ – C", "Отже, відповідь — C."])
def test_a_dash_is_a_copula_where_there_is_no_other(text: str) -> None:
    assert choice.verify(Response(answer=text), "C", SPEC).outcome is Outcome.CORRECT
