"""The letter chosen is the right one; two letters never are. An option's own text, in a box or called the
answer, counts as its letter if it is one option's only.

The options of a target are in the order shown.
"""

from __future__ import annotations

import re
from string import ascii_uppercase
from typing import TYPE_CHECKING, Any

from localrl.verdict import Outcome, Response, Verdict
from localrl.verify import mathexpr, mathtext
from localrl.verify.base import NoParams as Params
from localrl.verify.base import answers, judged
from localrl.verify.extractors import answer_tag, boxed, final, last_line
from localrl.verify.plaintext import plain
from localrl.verify.registry import extract

if TYPE_CHECKING:
    from localrl.verify.base import Runs, VerifierSpec

__all__ = ["RUNS", "VERSION", "Params", "verify"]

VERSION = "8"
RUNS: Runs = "inline"
TARGET = 'a letter, or `{"answer", "options"}`'
EXTRACTOR = "letter"


def verify(response: Response, target: Any, spec: VerifierSpec) -> Verdict:
    """Correct when the letter found is the right one; two letters (`A or B`) are no right answer."""
    right, options = (
        (target["answer"], target.get("options", [])) if isinstance(target, dict) else (target, [])
    )
    if not isinstance(options, dict):
        options = dict(zip(ascii_uppercase, options, strict=False))
    found = _option(response.answer, options) or extract(spec.extractor, response.answer)
    if found is None:
        return Verdict(Outcome.NO_ANSWER)
    letter = answers(right)[0].strip().strip("().").upper()
    return judged(found.strip().upper() == letter, found)


def _option(answer: str, options: dict[str, str]) -> str | None:
    """The letter of the one option that the text names as its answer in the option's own words."""
    if not options:
        return None
    boxed_text = boxed.extract(answer)
    said = [boxed_text] if boxed_text else [answer_tag.extract(answer), final.json_answer(answer)]
    if not boxed_text:
        said += [final.called_the_answer(plain(answer)), last_line.extract(answer)]
    for text in filter(None, said):
        wanted = _plain(text)
        same = [letter for letter, option in options.items() if _same(_plain(str(option)), wanted)]
        if len(same) == 1 and wanted.upper() not in options:
            return same[0].upper()
    return None


def _same(option: str, text: str) -> bool:
    return option == text or mathexpr.certain(option, text) is True


def _plain(text: str) -> str:
    bare = re.sub(r"\\text\{([^{}]*)\}", r"\1", mathtext.normal(plain(text)))
    return mathtext.squeezed(bare.strip("*_ .\"'“”„»«")).casefold()
