"""Markdown as a chat needs it: everything that is not certainly markup is shown as the model wrote it.

CommonMark drops characters of prose: HTML, autolinks, entities and link definitions vanish, a backslash goes
before any punctuation, `2*3*4` becomes italic, lines are joined. Here HTML is text, a backslash stays unless
it protects a sign of Markdown, a star between letters or digits is a star, and a line break is one. Formulas
are written in Unicode where that is exact.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from markdown_it import MarkdownIt

from localrl.formulas import FORMULA, in_unicode, latex

if TYPE_CHECKING:
    from markdown_it.rules_block import StateBlock
    from markdown_it.rules_core import StateCore
    from markdown_it.rules_inline import StateInline

DROPPING = ["html_block", "html_inline", "autolink", "entity", "reference", "lheading"]
"""Rules of CommonMark under which characters of prose vanish."""
ESCAPED = frozenset("*_`#~+-.!>|$")
"""Signs that Markdown or a formula begins with, and LaTeX seldom escapes."""
_RUN = re.compile(r"\*+|_{2,}")
_BEFORE_STAR, _AFTER_STAR = re.compile(r"[A-Za-z0-9)\]]"), re.compile(r"[A-Za-z0-9(\[]")
_DISPLAY = re.compile(r"\\\[|\$\$")


def parser() -> MarkdownIt:
    """A parser for `textual.widgets.Markdown`."""
    markdown = MarkdownIt("gfm-like").disable(DROPPING)
    markdown.inline.ruler.before("escape", "formula", _formula)
    markdown.inline.ruler.at("escape", _escape)
    markdown.inline.ruler.before("emphasis", "star", _star)
    markdown.block.ruler.before("fence", "formula", _display, {"alt": ["paragraph", "blockquote", "list"]})
    markdown.core.ruler.push("lines", _keep_lines)
    return markdown


def _formula(state: StateInline, silent: bool) -> bool:
    if state.src[state.pos] not in "\\$" or not (found := FORMULA.match(state.src, state.pos)):
        return False
    if found.end() > state.posMax:
        return False
    if not silent:
        first, *others = (in_unicode(latex(found)) or found[0]).split("\n")
        state.push("text", "", 0).content = first
        for line in others:
            state.push("hardbreak", "br", 0)
            state.push("text", "", 0).content = line
    state.pos = found.end()
    return True


def _escape(state: StateInline, silent: bool) -> bool:
    """A backslash is dropped before Markdown's own signs only; before another one it escapes nothing."""
    if state.src[state.pos] != "\\":
        return False
    after = state.src[state.pos + 1 : state.pos + 2]
    if not silent:
        if after == "\n":
            state.push("hardbreak", "br", 0)
        else:
            state.pending += after if after in ESCAPED else f"\\{after}"
    state.pos += 1 + len(after)
    return True


def _star(state: StateInline, silent: bool) -> bool:
    """Stars between letters, digits or parentheses multiply, and two underscores are a name's."""
    run = _RUN.match(state.src, state.pos)
    if not run:
        return False
    before, after = state.src[max(0, state.pos - 1) : state.pos], state.src[run.end() : run.end() + 1]
    if run[0][0] == "*" and not (_BEFORE_STAR.match(before) and _AFTER_STAR.match(after)):
        return False
    if not silent:
        state.pending += run[0]
    state.pos = run.end()
    return True


def _display(state: StateBlock, first: int, last: int, silent: bool) -> bool:
    """A formula of its own lines is one paragraph, whatever its lines begin with."""
    begin = state.bMarks[first] + state.tShift[first]
    if not _DISPLAY.match(state.src, begin) or not (found := FORMULA.match(state.src, begin)):
        return False
    end = first + found[0].count("\n") + 1
    if end > last:
        return False
    if not silent:
        state.push("paragraph_open", "p", 1).map = [first, end]
        token = state.push("inline", "", 0)
        token.content = state.getLines(first, end, state.blkIndent, False).strip()
        token.map, token.children = [first, end], []
        state.push("paragraph_close", "p", -1)
        state.line = end
    return True


def _keep_lines(state: StateCore) -> None:
    for token in state.tokens:
        for child in token.children or []:
            if child.type == "softbreak":
                child.type = "hardbreak"
