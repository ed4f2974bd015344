"""Formulas in Unicode are exact, or stay the source."""

from __future__ import annotations

import pytest

from localrl.formulas import FORMULA, LONGEST, in_unicode, latex, mathml


@pytest.mark.parametrize(
    ("source", "written"),
    [
        (r"\frac{1}{2}", "1/2"),
        (r"\frac{a+b}{2c}", "(a + b)/(2c)"),
        (r"\frac12x", "(1/2)x"),
        (r"3\cdot\frac{a}{b}", "3·a/b"),
        (r"\sqrt2 x", "(√2)x"),
        (r"\sqrt[3]{x+1}", "³√(x + 1)"),
        (r"x^{a+b}_{10}", "x₁₀ᵃ⁺ᵇ"),
        (r"{a+b}^2", "(a + b)²"),
        (r"x = -3, y \ne 1{,}000", "x = −3, y ≠ 1,000"),
        (r"\sin x\cos y", "sin x cos y"),
        (r"\angle ABC = 60^\circ", "∠ABC = 60°"),
        (r"\sum_{i=1}^n i", "∑ᵢ₌₁ⁿ i"),
        (r"\boxed{\frac{\sqrt{3}}{2}}", r"\boxed{(√3)/2}"),
        (r"5\text{ km}", "5 km"),
    ],
)
def test_a_formula_reads_on_one_line_as_it_is_meant(source: str, written: str) -> None:
    assert in_unicode(source) == written


@pytest.mark.parametrize(
    "source",
    [
        r"2\frac12",  # a mixed number, or a product
        r"e^{x/2}",
        r"x_c",
        r"\begin{pmatrix}1&2\\3&4\end{pmatrix}",
        r"\binom{n}{k}",
        r"\cancel{x}",
        r"\phantom{0}1",
        r"\foo{3}",
        r"\begin{aligned}a&=b\end{aligned}",
        r"\frac{1}{",
        "x^",
        "}",
        r"\unicode{x}",
        "{" * 990 + "x^" + "}" * 900,
        "x" * (LONGEST + 1),
    ],
)
def test_what_cannot_be_written_exactly_stays_the_source(source: str) -> None:
    assert in_unicode(source) is None


def test_a_formula_for_a_page_is_mathml() -> None:
    tree = mathml(r"\frac{1}{2}")
    assert tree is not None
    assert [part.tag for part in tree.iter()] == ["math", "mrow", "mfrac", "mrow", "mn", "mrow", "mn"]


@pytest.mark.parametrize(
    ("text", "formulas"),
    [
        (r"so \(x^2\) and \[ y \]", ["x^2", "y"]),
        ("so $x=5$ and $$\ny\n$$", ["x=5", "y"]),
        ("costs $5 and $6, or US$5$", []),
        (r"\$5 and $x$", ["x"]),
    ],
)
def test_formulas_are_found_and_prices_are_none(text: str, formulas: list[str]) -> None:
    assert [latex(found) for found in FORMULA.finditer(text)] == formulas
