"""Pairs that a person judges equal or not, among them those that math-verify gets wrong."""

from __future__ import annotations

import pytest

from localrl.verdict import Outcome, Response
from localrl.verify.base import VerifierSpec
from localrl.verify.pool import VerifierPool
from localrl.verify.verifiers import math

WHOLE = VerifierSpec(name="math")
BOXED = VerifierSpec(name="math", extractor="boxed")

EQUAL = [
    ("42", "42"),
    ("73", "073"),
    ("42", "42.0"),
    ("42", r"42 \text{ cm}"),
    ("42", r"42^\circ"),
    ("50", r"50\%"),
    ("0.5", r"50\%"),
    (r"\frac{1}{2}", "0.5"),
    (r"\frac12", r"\dfrac{1}{2}"),
    ("1/2", r"\frac{2}{4}"),
    ("1000", "1,000"),
    ("1000", "1{,}000"),
    ("1000", r"1\,000"),
    ("3, 5, 7", "7, 5, 3"),
    ("3,5,7", r"\{3,5,7\}"),
    ("(3,5)", "(3, 5)"),
    ("(3,5)", r"\left(3,5\right)"),
    ("(5,3)", "(5,3)"),
    ("[3,5)", r"\left[3, 5\right)"),
    (r"1 \pm \sqrt{2}", r"1+\sqrt{2}, 1-\sqrt2"),
    (r"\frac{7}{2}", r"3\frac{1}{2}"),
    ("y=2x+3", "y = 3 + 2x"),
    ("y=2x+3", "2x-y+3=0"),
    ("y=2x+3", "2x+3"),
    ("x=5", "5"),
    ("5", "x=5"),
    ("5", "x = 5."),
    (r"x\le 5", r"(-\infty,5]"),
    (r"(-\infty, 2) \cup (3, \infty)", r"(3,\infty)\cup(-\infty,2)"),
    ("52_8", "52_{8}"),
    (r"\text{Evelyn}", "Evelyn"),
    ("east", r"\text{East}"),
    (r"2\sqrt{3}i", r"2i\sqrt3"),
    ("120000", r"1.2 \times 10^5"),
    (r"\frac{\sqrt{3}}{3}", r"\frac{1}{\sqrt{3}}"),
    (r"\frac{1}{2^{99}}", "2^{-99}"),
    ("x^2-1", "(x-1)(x+1)"),
    ("6r^2-4r-24", "2(3r^2-2r-12)"),
    (r"2\pi", "2pi"),
    (r"2\pi", "2*pi"),
    (r"\pi/2", r"\frac{\pi}{2}"),
    (r"\begin{pmatrix}1\\2\end{pmatrix}", r"\begin{bmatrix} 1 \\ 2 \end{bmatrix}"),
    ("5", "2+3"),
    (r"1 \pm \sqrt2", r"x=1+\sqrt2 \text{ or } x=1-\sqrt2"),
    ("120", "5!"),
    (r"11\sqrt2", r"11 \sqrt{2}"),
    (r"\$5", "5"),
    ("p-q", "-q+p"),
    (r"\frac{1}{3}", "0.33333333"),
    ("90", r"90 \text{ degrees}"),
    (r"\left(3, \frac{\pi}{2}\right)", r"(3,\pi/2)"),
    (r"\{1\}", "1"),
    ("-4<x<2", "(-4,2)"),
    ("3x-y+13=0", "y=3x+13"),
    (r"\textbf{(C)}", "C"),
    ("10", "10 apples"),
    ("7", "7 = x"),
    ("7", r"\color{blue}{7}"),
    ("7", r"{\color{red} 7}"),
    ("45", "€45"),
    ("4", r"\begin{aligned} x &= 4 \end{aligned}"),
    ("(1,2)", r"\begin{cases} x=1\\ y=2\end{cases}"),
    (r"\begin{pmatrix} 1 \\ -7 \end{pmatrix}", "(1, -7)"),
    (r"\frac{x-1}{2}", r"f^{-1}(x)=\frac{x-1}{2}"),
    (r"15", r"15\%"),
    (r"5\%", "5"),
    ("ABC", r"\text{ABC}"),
    (r"x \in [-2,7]", "[-2,7]"),
    ("[-2,7]", r"x \in [-2,7]"),
    ("2516_8", "2516_8"),
    (r"-\frac{1}{2}", "-0.5"),
    (r"\frac{-1}{2}", r"-\frac12"),
    ("1,2", "2,1"),
    (r"3\text{ or }4", "3, 4"),
    ("(1,2),(3,4)", "(3,4), (1,2)"),
    (r"\sqrt{51}", "51^{1/2}"),
    (r"4\sqrt{3}\text{ cm}^2", r"4\sqrt3"),
    ("0", "-0"),
    ("10^{2}", "100"),
    (r"\frac{\sqrt3}{2}", "sqrt(3)/2"),
    (r"\frac{x+1}{x-1}", r"\frac{1+x}{-1+x}"),
    ("1-2i", "1 - 2i"),
    (r"\infty", r"+\infty"),
    (r"e^{i\pi}", "-1"),
    ("f(x)=x+1", "x+1"),
    (r"\frac{9}{19}", "9/19"),
    (r"\dbinom{5}{2}", "10"),
    (r"16\sqrt{3}", "16√3"),
    ("7", "7."),
    ("7", "$7$"),
    ("7", r"\text{7}"),
    ("2,3", r"x=2 \text{ or } x=3"),
    (r"\text{(A)}", "A"),
    ("x^{12}", "x^{10}x^2"),
    ("0.3", "0.1+0.2"),
    (r"25\%", r"\frac{1}{4}"),
    (r"\frac{1}{4}", r"25\%"),
    (r"\mathbb{R}", r"(-\infty,\infty)"),
    (r"\sqrt[3]{2}", "2^{1/3}"),
    (r"\frac{1}{2}x+3", "0.5x+3"),
    (r"y=\frac{1}{2}x+3", "y=0.5x+3"),
    ("(x-1)^2+(y+2)^2=9", "x^2-2x+y^2+4y-4=0"),
    ("2x+4y=6", "x+2y=3"),
    (r"\pm 3", "3, -3"),
    ("3,-3", r"\pm 3"),
    (r"x=\pm 3", r"\pm3"),
    ("1024", "2^{10}"),
    ("2", r"\log_{10} 100"),
    (r"1-\cos^2 x", r"\sin^2 x"),
    (r"0.\overline{3}", r"\frac13"),
    (r"\frac{1}{3}", r"0.\overline{3}"),
    ("1000", "1e3"),
    ("18.90", r"\$18.9"),
    ("12", r"\textbf{(B) } 12"),
    (r"12 \text{ cm}^2", r"12\,\mathrm{cm}^2"),
    ("no solution", r"\text{No solution}"),
    ("5000000", "5,000,000"),
    ("-5", "−5"),
    (r"x\in(-\infty,3]", r"(-\infty, 3]"),
    (r"\frac{3}{4}", "0.75"),
    (r"\frac{a}{b}", "a/b"),
    ("(5,3)", r"\left(5,\,3\right)"),
    (r"\frac{1}{1+\sqrt2}", r"\sqrt{2}-1"),
    ("2^{99}", "633825300114114700748351602688"),
    ("1,2,3", "1, 2, and 3"),
    ("3, 4", r"3 \text{ and } 4"),
    (r"\{(1,2),(3,4)\}", r"\{(3,4),(1,2)\}"),
    (r"[0,1]\cup[2,3]", r"[2,3] \cup [0,1]"),
    ("x<3", r"(-\infty,3)"),
    (r"x \geq 2", r"[2, \infty)"),
    ("k=5", "5"),
    (r"\frac{2}{3}\pi", r"\frac{2\pi}{3}"),
    ("a^2-b^2", "(a-b)(a+b)"),
    ("5", "05"),
    (r"\dfrac{17}{3}", r"\frac{17}{3}"),
    (r"14\pi", r"14\pi \text{ square units}"),
    ("6+9i", "6 + 9i"),
    ("6+9i", "9i+6"),
    (r"\cot x", r"\frac{1}{\tan x}"),
    (
        r"\begin{pmatrix} 1/3 & 2/3 \\ 0 & 1 \end{pmatrix}",
        r"\begin{pmatrix} \frac13 & \frac23 \\ 0 & 1 \end{pmatrix}",
    ),
    (r"3 \sqrt{13}", r"3\sqrt{13}"),
    ("2", "2.0"),
    ("2", "2.00"),
    (r"-\frac{35}{9}", r"\frac{-35}{9}"),
    (r"\text{Monday}", "monday"),
    (r"\frac{\sqrt{6}}{3}", r"\sqrt{\frac{2}{3}}"),
    (r"(0,9) \cup (9,36)", r"(0,9)\cup(9,36)"),
    ("4x^2+4x+1", "(2x+1)^2"),
    ("z=x+y", "x+y"),
    (r"11,\! 111,\! 111,\! 100", "11111111100"),
    ("10,080", "10080"),
    (r"\text{(C)}", "C"),
    ("45", r"45^\circ"),
    (r"70 \sqrt{2}", r"70\sqrt2"),
    ("x^3+3x-6", "-6+3x+x^3"),
    ("m = 1, b=2", "m=1, b=2"),
    (r"\frac{9 + \sqrt{3}}{2}", r"4.5+\frac{\sqrt3}{2}"),
    (r"1 \frac{4}{5}", r"\frac95"),
    (r"5.4 \text{ cents}", "5.4"),
    ("6 - 5i", "6-5i"),
    ("-2 + 7i", "7i-2"),
    ("(6,31,-1)", "(6, 31, -1)"),
    ("y = 2x + 3", "y=2x+3"),
    ("16", r"16\text{ units}"),
    (r"\frac{1}{4}", "0.25"),
    (r"\frac{270}{7}\text{ degrees}", r"\frac{270}{7}"),
    ("3R^2", "3 R^2"),
    ("0.0000672", r"6.72 \times 10^{-5}"),
    ("x = 1, 2", "1,2"),
    (r"\left\{1, 2\right\}", "1,2"),
    ("3.5", "3 1/2"),
    (r"12\frac{3}{4}", "12 3/4"),
    ("1234567", r"1\,234\,567"),
    ("1234567", "1 234 567"),
    ("17", r"\underline{17}"),
    ("17", r"17 \pmod{20}"),
    ("60", r"m\angle ABC = 60^\circ"),
    ("60", r"60 \frac{\text{m}}{\text{s}}"),
    ("60", r"60\,\text{m}/\text{s}"),
    ("204", "m+n = 204"),
    ("204", r"\text{Area} = 204"),
    (r"3.2 \times 10^{-4}", "3.2e-4"),
    ("144000000", r"144\text{ million}"),
    ("5 million", "5{,}000{,}000"),
    ("2^{1/3}", r"\sqrt[3]2"),
    (r"\ln 2", r"\log_e 2"),
    ("3+4i", r"3+4\mathrm{i}"),
    ("3x^2-4", "3x²-4"),
    ("(2,-3)", "(x, y) = (2, -3)"),
    (r"\left(3,\frac{\pi}{2}\right)", r"(r,\theta)=(3,\frac{\pi}{2})"),
    (r"(4,0),(-4,0)", r"(\pm4,0)"),
    (r"\{1,2,3\}", r"\lbrace 1,2,3\rbrace"),
    (r"2\pm\sqrt{3}", r"\frac{4\pm\sqrt{12}}{2}"),
    (r"(-\infty,-1)\cup(3,\infty)", r"x<-1 \text{ or } x>3"),
    ("x>2", r"\{x \mid x>2\}"),
    (r"[0,\infty)", r"\{x \in \mathbb{R} : x\ge0\}"),
    ("1101_2", "(1101)_2"),
    ("4B_{16}", r"4\text{B}_{16}"),
    ("204_5", r"204_{\text{five}}"),
    ("17", "17_{10}"),
    ("B", r"\textbf{(B)}\ 12"),
    ("5", "2+3=5"),
    ("120", r"\binom{10}{3} = 120"),
    (r"\binom{10}{3}", r"{10 \choose 3}"),
    (r"\frac{\sqrt{3}}{3}", r"\tan 30^\circ"),
    (r"f^{-1}(x)=\frac{x-1}{2}", r"f^{-1}(x) = \frac{x}{2}-\frac12"),
    (r"f^{-1}(x)=\frac{x-1}{2}", r"\frac{x-1}{2}"),
    (r"\emptyset", r"\{\}"),
    ("3:15", "3{:}15"),
    (r"\text{25 minutes}", r"25 \text{ min}"),
    (r"\text{June 20}", "June 20"),
    (r"\text{June 20}", r"\text{June 20th}"),
    ("3, 5, 7", r"3\text{, }5\text{, and }7"),
    (r"\begin{pmatrix} 2 \\ 3 \end{pmatrix}", r"\begin{pmatrix}2\\[4pt]3\end{pmatrix}"),
    (r"(-\infty,\infty)", r"x\in\mathbb{R}"),
    (r"y = \pm\frac{3}{4}x", r"y=\frac{3}{4}x, y=-\frac34x"),
    ("a^2+2ab+b^2", "a^2+b^2+2ab"),
    ("2ab", "2ba"),
    (r"\emptyset", r"\text{no solution}"),
    (r"\mathbb{R}", r"\text{all real numbers}"),
    ("721", r"\approx 721"),
    ("C", r"\text{C}"),
    ("n", r"\mathrm{n}"),
    (r"\frac{1+\sqrt{5}}{2}", r"\dfrac{1+\sqrt5}{2}\;(\approx 1.618)"),
    ("294", r"AB \cdot AC = \mathbf{294}"),
    ("50", r"\overline{AB}^2 = 50"),
    (r"\frac{3}{5}", r"P(X > 2) = \frac35"),
    ("5", "|z| = 5"),
    ("2", r"\text{two}"),
    ("12:30", "12{:}30"),
    ("7:05", r"7:05 \text{ p.m.}"),
    ("2:3", r"\frac{2}{3}"),
    ("3:2:1", r"3 : 2 : 1"),
    ("x = 3, y = 4", "(3,4)"),
    ("m = 1, b = 2", "(1,2)"),
    ("(3,4)", "y = 4, x = 3"),
    (r"\begin{pmatrix} 2 & 0 \\ 0 & 2 \end{pmatrix}", r"2\begin{pmatrix}1&0\\0&1\end{pmatrix}"),
    (r"\begin{pmatrix} 1/3 \\ 2/3 \end{pmatrix}", r"\frac{1}{3}\begin{pmatrix} 1 \\ 2 \end{pmatrix}"),
    ("x^{12}", "x¹²"),
    ("1101_2", "1101₂"),
    (r"\frac{9}{2}", "4½"),
    (r"\frac43", "4⁄3"),
    (r"5\sqrt{3}", "5√3 cm"),
    (r"24\pi", "24π cm^3"),
    ("6", r"\boxed{\boxed{5}+1}"),
    ("12", r"\boxed{m+n=\boxed{12}}"),
    (r"\{\{0\},1\}", r"\{1,\{0\}\}"),
]
DIFFERENT = [
    (r"\frac{1}{2^{99}}", r"\frac{1}{2^{98}}"),
    ("3*x-1*y+13=0", "3x+4y+14=0"),
    ("52_8", "52"),
    ("52", "52_8"),
    ("42", "43"),
    ("42", "42 or 43"),
    ("42", "41, 42"),
    ("42", "x"),
    ("(3,5)", "(5,3)"),
    ("(3,5)", "[3,5]"),
    ("(5,3)", "(7,2)"),
    ("[3,5)", "(3,5]"),
    (r"\{1,2\}", r"\{1,3\}"),
    ("y=2x+3", "y=2x+4"),
    ("x=5", "y=5"),
    (r"\frac{1}{3}", "0.33"),
    (r"\text{Evelyn}", r"\text{Carla}"),
    ("east", "seat"),
    ("x^2+1", "x^2-1"),
    (r"\pi", "3.14"),
    (r"\pi", "3.1416"),
    ("1.0001", "1"),
    ("42", "420"),
    ("42", "-42"),
    ("204", "17204"),
    (r"5\text{ cm}", r"5\text{ m}"),
    ("0.5", "50"),
    ("3,5,7", "7"),
    ("3,5,7", "3,5"),
    ("2^{100}", "2^{101}"),
    (r"\frac{10^{40}+1}{10^{40}}", "1"),
    ("x", "y"),
    ("2x", "2y"),
    (r"\sqrt{2}", "1.41421"),
    ("1,2,3", "1,2,3,4"),
    ("-4<x<2", r"-4 \le x \le 2"),
    ("x<5", "x>5"),
    (r"\begin{pmatrix}1\\2\end{pmatrix}", r"\begin{pmatrix}2\\1\end{pmatrix}"),
    ("10", "10000"),
    ("1", "1^2+1"),
    ("100", "1e3"),
    (r"\emptyset", "0"),
    ("3", r"\{3,4\}"),
    ("(1,2)", "1"),
    ("12", "1 2 3"),
    ("6", "2, 3"),
    ("x^2+y^2=1", "x^2+y^2=2"),
    ("0.1", "0.10001"),
    ("A", "B"),
    ("5", "5i"),
    ("x+1", "x+1+C"),
    ("5", "0/0"),
    ("5", "5=5"),
    (r"\frac14", r"0.25\%"),
    ("0.5", r"0.5\%"),
    (r"11:30 \text{ AM}", r"11:30 \text{ PM}"),
    ("ABCD", "DCBA"),
    ("x", "X"),
    ("e", "E"),
    (r"\begin{pmatrix} 1 \\ -7 \end{pmatrix}", "(-7, 1)"),
    ("x^2+y^2=2", r"x=\pm 3"),
    (r"\pi", r"p \land q"),
    ("2^{99}", "2^{98}"),
    ("10^{100}", "10^{100}+1"),
    ("1/3", "0.3333"),
    ("x+1", "t+1"),
    (r"\infty", r"-\infty"),
    ("(0,1)", "[0,1]"),
    (r"\pm 3", "3"),
    ("3", r"\pm 3"),
    ("x<3", r"x \le 3"),
    (r"25\%", "0.025"),
    ("1,2,3", "1,2"),
    ("(1,2,3)", "(3,2,1)"),
    ("6+9i", "6-9i"),
    ("a-b", "b-a"),
    (r"\frac{1}{x}", "x"),
    ("x^2", "x^3"),
    ("2x+4y=6", "2x+4y=7"),
    (r"\sin x", r"\cos x"),
    ("no solution", "0"),
    ("Monday", "Tuesday"),
    ("7", "1,2,3,4,5,6,7"),
    ("12", r"\text{twelve or thirteen}"),
    ("5", r"5 \text{ or } -5"),
    (r"\begin{pmatrix}1&2\\3&4\end{pmatrix}", r"\begin{pmatrix}1&3\\2&4\end{pmatrix}"),
    ("1000", "1.000"),
    ("0.5", ".05"),
    ("3:4", "4:3"),
    ("99", "99!"),
    ("1", "0.999999"),
    ("1", "0.99999999999"),
    ("2", r"\sqrt[3]{8.000001}"),
    ("x=2y", "x=3y"),
    ("y=x^2", "y=|x|^3"),
    ("1011_2", "1011"),
    ("1011_2", "11"),
    ("11_{10}", "11_2"),
    ("2k", "k"),
    ("x", "-x"),
    (r"\{1,2\}", "(1,2)"),
    ("[1,3]", "(1,3)"),
    ("1<x<2", "1<x<3"),
    (r"(0,9) \cup (9,36)", "(0,36)"),
    ("5", r"5\mathrm{i}"),
    ("5", r"5\mathbf{v}"),
    ("5", r"\text{not } 5"),
    ("5", r"5\text{ is wrong}"),
    ("5", r"\text{more than }5"),
    ("5", r"5\text{ or more}"),
    ("5", r"5\text{ million}"),
    ("5", "5 thousand"),
    ("5", r"5\text{ dozen}"),
    ("5", r"5\text{ squared}"),
    ("5", r"\text{none of } 5"),
    ("7", "7 or so"),
    ("5", "5=6"),
    ("6", "5=6"),
    ("11", "1 1"),
    ("1000", "1 00 0"),
    ("100200", "100, 200"),
    ("-2,5", "(-2,5)"),
    (r"1+e^{-200}", "1"),
    (r"\frac{10^{61}+1}{10^{61}}\sqrt2", r"\sqrt2"),
    (r"\pi", "3.141592653589793"),
    (r"\sqrt{2}", "1.41421356"),
    (r"2\pm\sqrt{3}", r"2\pm\sqrt{2}"),
    (r"(-\infty,-1)\cup(3,\infty)", r"x<-1 \text{ or } x>4"),
    ("(2,-3)", "(x, y) = (-3, 2)"),
    ("B", r"\textbf{(C)}\ 12"),
    ("60", r"m\angle ABC = 61^\circ"),
    ("17", r"18 \pmod{20}"),
    ("1101_2", "(1101)_3"),
    ("x+y=5", "5"),
    (r"\text{June 20}", "June 21"),
    ("2", "2ab"),
    ("2ab", "2"),
    ("5", "5xy"),
    ("a^2+b^2+2", "a^2+b^2+2ab"),
    ("2n+3", "2n+3m"),
    ("12:30", "0.4"),
    ("3:2:1", "3:2"),
    ("(1,2)", "(1,2,)"),
    ("x = 3, y = 4", "(4,3)"),
    ("(3,4)", "y = 3, x = 4"),
    ("x = 3, x = 4", "(3,4)"),
    ("3:2:1", "1:2:3"),
    (r"\begin{pmatrix} 2 & 0 \\ 0 & 2 \end{pmatrix}", "2"),
    ("7:05", "7:50"),
    (r"\{0\}", r"\{\{0\}\}"),
    ("5", r"\boxed{\boxed{5}+1}"),
    ("5", "2x=5"),
    ("5", "x^2=5"),
    ("0", "x^2-1=0"),
]


@pytest.mark.parametrize(("gold", "answer"), EQUAL)
def test_equal_answers_are_correct(gold: str, answer: str) -> None:
    assert math.verify(Response(answer), gold, WHOLE).correct


@pytest.mark.parametrize(("gold", "answer"), DIFFERENT)
def test_different_answers_are_wrong(gold: str, answer: str) -> None:
    assert math.verify(Response(answer), gold, WHOLE).outcome is Outcome.WRONG


@pytest.mark.parametrize("gold", [gold for gold, _ in EQUAL])
def test_a_gold_answer_equals_itself_at_once(gold: str) -> None:
    verdict = math.quick(Response(f"So we have $\\boxed{{{gold}}}$."), gold, BOXED)
    assert verdict
    assert verdict.correct


@pytest.mark.parametrize(
    ("text", "gold", "outcome"),
    [
        (r"\boxed{17} and \boxed{204}", "204", Outcome.CORRECT),
        (r"\boxed{17} and \boxed{204}", "17", Outcome.WRONG),
        (r"\boxed{17} and \boxed{204}", "17204", Outcome.WRONG),
        ("the answer is 204", "204", Outcome.NO_ANSWER),
        (r"\boxed{204", "204", Outcome.NO_ANSWER),
        (r"\boxed{}", "204", Outcome.NO_ANSWER),
        ("", "204", Outcome.NO_ANSWER),
        (r"\boxed{204}", 204, Outcome.CORRECT),
        (r"\boxed{204}", r"$\boxed{204}$", Outcome.CORRECT),
        (r"\boxed{2}", ["1", "2"], Outcome.CORRECT),
        (r"\boxed{" + "1+" * 2000 + "1}", "2001", Outcome.WRONG),
    ],
)
def test_only_the_last_box_counts(text: str, gold: object, outcome: Outcome) -> None:
    assert math.verify(Response(text), gold, BOXED).outcome is outcome


def test_dapos_answer_line_may_hold_a_box() -> None:
    dapo = VerifierSpec(name="math", extractor="answer_line")
    for text in (r"Answer: $\boxed{34}$", "Answer: 34", "Answer: $34$.", "**Answer:** 34"):
        assert math.verify(Response("So.\n\n" + text), "34", dapo).correct
        assert not math.verify(Response("So.\n\n" + text), "35", dapo).correct


def test_thinking_never_counts() -> None:
    response = Response(
        answer="I do not know.", thinking=r"\boxed{5}", raw=r"<think>\boxed{5}</think>I do not know."
    )
    assert math.verify(response, "5", BOXED).outcome is Outcome.NO_ANSWER


@pytest.mark.process
@pytest.mark.parametrize("answer", [r"9^{9^{9^9}}", "10000000!", "(x+1)^{5000}-x"])
def test_an_answer_that_takes_forever_is_an_outcome_of_its_own(answer: str) -> None:
    with VerifierPool(1, time_limit_s=3.0) as pool:
        verdict = pool.submit(WHOLE, Response(answer), r"\sqrt{2}").result(timeout=120)
        assert not verdict.correct
        assert pool.submit(WHOLE, Response(r"2^{1/2}"), r"\sqrt{2}").result(timeout=120).correct


@pytest.mark.parametrize(
    ("gold", "answer"), [("204", "204"), ("204", "17"), (r"\frac{1}{2}", "0.5"), ("7", "007")]
)
def test_integers_and_fractions_need_no_worker(gold: str, answer: str) -> None:
    assert math.quick(Response(answer), gold, WHOLE)


@pytest.mark.parametrize("box", [r"\boxed{}", r"\boxed{\,}", r"\boxed{\text{}}"])
def test_an_empty_box_is_no_answer(box: str) -> None:
    assert math.verify(Response(box), "12", BOXED).outcome is Outcome.NO_ANSWER


SAME = [
    (r"e^{9} - 3", "-3+exp(9)"),
    (r"\ln 2", "ln(2)"),
    (r"\sin x+1", "sin(x)+1"),
    (r"\cos 2x", "cos(2x)"),
    (r"\tan x", r"\frac{\sin x}{\cos x}"),
    (r"\frac{1}{\sqrt{m}}", r"\sqrt{1/m}"),
    (r"\frac{\sqrt{2mk}}{k}", r"\sqrt{\frac{2m}{k}}"),
    (r"\ln(ab)", r"\ln a+\ln b"),
    (r"x^n y^n", "(xy)^n"),
    ("cba", "abc"),
    ("9^{9^9}", "9^{9^9}"),
    ("-2", r"\sqrt[3]{-8}"),
    ("0", r"\sqrt{2}^2-2"),
    (r"\frac{\pi}{2}", r"\sin^{-1}(1)"),
    ("y=2x+3", "2x-y+3=0"),
    (r"\begin{pmatrix}1&2\\3&4\end{pmatrix}", r"\begin{pmatrix}1 & 2 \\ 3 & \frac{8}{2}\end{pmatrix}"),
    (r"(-\infty,0)\cup(1,2]", r"(1,2] \cup (-\infty, 0)"),
    ("1234567", "1\u202f234\u202f567"),
    ("460", r"\text{The answer is 460}"),
    ("460", r"\text{Final answer: 460}"),
    ("460", r"\text{There are 460 apples}"),
    ("460", r"\text{John has 460 apples.}"),
    ("30", "Plan A: 30"),
    ("12 cm^2", r"12\text{ square centimeters}"),
    ("60 mph", "60 miles per hour"),
    ("20 June", r"\text{June 20}"),
    (r"\text{Width: }12", "12"),
]
DIFFERENT = [
    (r"\text{July } 12", r"\text{June } 12"),
    (r"\text{July } 12", "12"),
    ("decrease of 20", "increase of 20"),
    (r"\text{a gain of }15\%", r"\text{a loss of }15\%"),
    ("5 km south", "5 km north"),
    (r"\text{Plan B: 30}", r"\text{Plan A: 30}"),
    ("42", "twice 42"),
    ("42", r"\text{twice }42"),
    ("42", "anything but 42"),
    ("5", r"\text{John does not have 5}"),
    (r"5\text{ dollars}", r"5\text{ cents}"),
    (r"12\text{ square meters}", r"12\text{ cubic meters}"),
    (r"12\text{ apples}", r"12\text{ oranges}"),
    ("|x|", "x"),
    ("2^{-1000}", "2^{-1001}"),
    ("3+4i", "3-4i"),
    (r"\begin{pmatrix}1&2\\3&4\end{pmatrix}", r"\begin{pmatrix}1&3\\2&4\end{pmatrix}"),
    (r"(-\infty,0)\cup(1,2]", r"(-\infty,0)\cup(1,2)"),
]
HUGE = [
    "10^{10^{10}}",
    "2^{2^{100}}",
    "9^{9^8}",
    "(10^6)!",
    "10^{10^{10^{10}}}",
    r"\sin(10^{10^{10}})",
    "2^{1000001}",
]


@pytest.mark.parametrize(("gold", "answer"), SAME)
def test_the_same_value_in_other_words_is_correct_and_needs_no_worker(gold: str, answer: str) -> None:
    for one, other in ((gold, answer), (answer, gold)):
        verdict = math.quick(Response(one), other, WHOLE)
        assert verdict
        assert verdict.correct


@pytest.mark.parametrize(("gold", "answer"), DIFFERENT)
def test_words_and_signs_that_change_an_answer_make_it_wrong(gold: str, answer: str) -> None:
    for one, other in ((gold, answer), (answer, gold)):
        assert not math.verify(Response(one), other, WHOLE).correct


@pytest.mark.parametrize("gold", ["5", r"\sqrt{2}", "9^{9^9}"])
@pytest.mark.parametrize("answer", HUGE)
def test_a_number_too_large_to_write_down_is_compared_at_once(gold: str, answer: str) -> None:
    verdict = math.quick(Response(answer), gold, WHOLE)
    assert verdict
    assert not verdict.correct


@pytest.mark.parametrize(
    ("gold", "answer"),
    [
        (r"(-\infty,2)\cup(2,\infty)", r"x \neq 2"),
        (r"(-\infty,2)\cup(2,\infty)", r"\mathbb{R}\setminus\{2\}"),
        ("x<5", r"(-\infty,2)\cup[2,5)"),
        ("[1,3)", r"3 > x \ge 1"),
        (r"(\sqrt{2},\infty)", r"x>\sqrt2"),
        (r"(1,2)\cup\{3\}", r"\{3\} \cup (1,2)"),
    ],
)
def test_sets_of_numbers_are_compared_without_a_worker(gold: str, answer: str) -> None:
    for one, other in ((gold, answer), (answer, gold)):
        verdict = math.quick(Response(one), other, WHOLE)
        assert verdict
        assert verdict.correct
    for other in (r"(-\infty,2]\cup(2,\infty)", r"x \le 5", "[1,3]", r"x>-\sqrt2", r"(1,2)\cup\{4\}"):
        assert not math.verify(Response(other), gold, WHOLE).correct


@pytest.mark.parametrize(
    ("gold", "answer", "right"),
    [
        ("y > 2x+1", "2x - y + 1 < 0", True),
        ("y > 2x+1", "2x - y + 1 > 0", False),
        ("(-2,2)", "x^2 < 4", True),
        (r"\sum_{k=1}^{4} k", "10", True),
    ],
)
def test_what_only_sympy_reads_goes_to_a_worker(gold: str, answer: str, right: bool) -> None:
    assert math.quick(Response(answer), gold, WHOLE) is None
    assert math.verify(Response(answer), gold, WHOLE).correct == right


@pytest.mark.parametrize(
    ("answer", "gold"),
    [
        (r"\boxed{x=1 \text{ oder } x=4}", "1,4"),
        (r"\boxed{1 \text{ ou } 4}", "1,4"),
        (r"\boxed{1 и 4}", "1,4"),
        (r"\boxed{1 或 4}", "1,4"),
        ("The answer is 5:30 p.m.", "5:30 PM"),
    ],
)
def test_values_are_joined_and_hours_named_as_people_write_them(answer: str, gold: str) -> None:
    spec = VerifierSpec(name="math", extractor="final")
    assert math.verify(Response(answer=answer), gold, spec).outcome is Outcome.CORRECT
