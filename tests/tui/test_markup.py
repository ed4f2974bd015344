"""The chat shows what the model wrote."""

from __future__ import annotations

import pytest

from localrl.tui.widgets.chat.markup import parser

MARKS = {"hardbreak": "⏎", "strong_open": "<b>", "strong_close": "</b>", "em_open": "<i>", "em_close": "</i>"}


def shown(text: str) -> str:
    """The text of the blocks one after another, with marks for style and line breaks."""
    return " ".join(
        token.content
        if token.type in ("fence", "code_block")
        else "".join(MARKS.get(child.type, child.content) for child in token.children or [])
        for token in parser().parse(text)
        if token.children or token.content
    )


@pytest.mark.parametrize(
    "text",
    [
        "<answer>42</answer>",
        "x<y and y>z",
        "<script>alert(1)</script>",
        "a &lt; b &nbsp; <std::vector>",
        r"\{1,2\} and \\ and \alpha",
        "2*3*4, 2**3**4, (a)*(b)*(c)",
        "__init__ and snake_case_name",
        r"\(x is never closed",
        "costs $5 and $6",
        "[1]: a note",
        "\\",
        "1 + 1 = 2 # not a heading",
        r"\(\begin{pmatrix}1&2\\3&4\end{pmatrix}\)",
    ],
)
def test_what_is_no_markup_loses_no_character(text: str) -> None:
    assert shown(text) == text


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("a poem\nof two lines", "a poem⏎of two lines"),
        ("<div>\nhello\n</div>", "<div>⏎hello⏎</div>"),
        (" 12\n+30\n---", "12⏎+30"),
        (r"\(\{1,2\}\)", "{1,2}"),
        ("**Answer: $\\frac{1}{2}$**", "<b>Answer: 1/2</b>"),
        ("\\[\n- x\n= \\frac{1}{2}\n\\]\nafter", "−x = 1/2 after"),
        ("这是**重点**内容", "这是<b>重点</b>内容"),
        (r"a\*b, `\(x\)`", r"a*b, \(x\)"),
        ("```\n$x$ <b>\n```", "$x$ <b>\n"),
        ("$$\n\\begin{cases}1\\\\2\n\\end{cases}\n$$", "$$⏎\\begin{cases}1\\\\2⏎\\end{cases}⏎$$"),
    ],
)
def test_markup_and_formulas_are_shown_as_such(text: str, seen: str) -> None:
    assert shown(text) == seen
