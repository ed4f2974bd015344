r"""Whether two mathematical answers are equal: their structure, their words, their values.

What `mathvalue` reads is settled here, in under a millisecond; sets, inequalities and what else it does not
read are left to sympy (`mathsympy`), which may take forever and so is used in a worker process only.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, TypeVar

from localrl.verify import mathsets, mathtext, mathvalue
from localrl.verify.mathwords import agree, worded

if TYPE_CHECKING:
    from collections.abc import Callable

    from localrl.verify.mathtext import AnswerShape

T = TypeVar("T")

_RELATION = re.compile(r"<|>|\\[lg]e(?![a-zA-Z])|\\[lg]t(?![a-zA-Z])|\\cup|\\cap|\\setminus|\\ne")
_SOUGHT = re.compile(r"^\s*[A-Z]\([^()]*\)\s*=")  # `P(X > 2) = 0.5`
_MATRIX = re.compile(
    r"(?P<times>[^\\]*|\\frac\{\d+\}\{\d+\} ?)\\begin\{(?P<kind>[pb]matrix)\}(?P<rows>(?:(?!\\begin).)*)"
    r"\\end\{(?P=kind)\}",
    re.DOTALL,
)


class Undecided(Exception):
    """Only sympy can tell."""


def certain(gold: str, answer: str) -> bool | None:
    """The verdict on two rational values, percent signs and units aside; None when one is not rational."""
    ours, theirs = worded(gold), worded(answer)
    percent = [bool(re.search(r"\\?%\s*$", each.value)) for each in (ours, theirs)]
    values = [mathtext.rational(re.sub(r"\\?%\s*$", "", each.value)) for each in (ours, theirs)]
    if values[0] is None or values[1] is None:
        return None
    if not agree(ours, theirs):
        return False
    if mathtext.same_rational(values[0], values[1]):
        # The gold answer to "what percent" is often bare, but `0.25\%` is not 1/4.
        return not (percent[1] and not percent[0]) or (abs(values[0][0]) >= 1 and "frac" not in ours.value)
    if percent[0] == percent[1]:
        return False
    whole, part = (values[0], values[1]) if percent[0] else (values[1], values[0])
    return whole[0] / 100 == part[0]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Compares normalised answers.

    `equal` raises Undecided where only sympy can tell and may not be used.
    """

    sympy: bool

    def equal(self, gold: str, answer: str) -> bool:
        """Whether two answers mean the same."""
        if mathtext.bare_words(gold) == mathtext.bare_words(answer):
            return True
        gold, answer = _SOUGHT.sub("", gold), _SOUGHT.sub("", answer)
        if _RELATION.search(gold) or _RELATION.search(answer):
            return self._same_sets(gold, answer)
        ours, theirs = mathtext.shape(gold), mathtext.shape(answer)
        if {ours.kind, theirs.kind} == {"scalar", "tuple"}:  # one of them may be written as a column
            gold, answer = mathtext.as_vector(gold), mathtext.as_vector(answer)
            ours, theirs = mathtext.shape(gold), mathtext.shape(answer)
        if ours.kind == theirs.kind == "scalar":
            return self._same_scalars(gold, answer)
        if "scalar" in (ours.kind, theirs.kind):
            ours = mathtext.as_list(gold) if ours.kind == "scalar" else ours
            theirs = mathtext.as_list(answer) if theirs.kind == "scalar" else theirs
        return self._same_shapes(ours, theirs)

    def _same_shapes(self, gold: AnswerShape, answer: AnswerShape) -> bool:
        kinds = {gold.kind, answer.kind}
        if "scalar" in kinds:
            scalar, other = (gold, answer) if gold.kind == "scalar" else (answer, gold)
            alone = other.kind == "set" and len(other.parts) == 1
            return alone and self.equal(scalar.parts[0], other.parts[0])
        if "interval" in kinds and (len(kinds) > 1 or gold.brackets != answer.brackets):
            return False
        if kinds == {"list", "tuple"} and (named := mathtext.named_values(gold, answer)):
            return self._same_shapes(*named)
        ordered_only_here = answer.kind == "tuple" and gold.kind in ("set", "list")
        if ordered_only_here or kinds == {"set", "tuple"} or len(gold.parts) != len(answer.parts):
            return False
        if kinds & {"tuple", "interval"}:
            return all(map(self._same_parts, gold.parts, answer.parts))
        return paired(list(gold.parts), list(answer.parts), self._same_parts)

    def _same_parts(self, gold: str, answer: str) -> bool:
        """Equal, where a set of one value is not that value: {{0}} is not {0}."""
        sets = [mathtext.shape(part).kind == "set" for part in (gold, answer)]
        return sets[0] == sets[1] and self.equal(gold, answer)

    def _same_scalars(self, gold: str, answer: str) -> bool:
        """Two answers of one value each."""
        bases = mathtext.base_numeral(gold), mathtext.base_numeral(answer)
        if any(bases):
            return bases[0] == bases[1]
        if (option := mathtext.option(answer)) and mathtext.option(gold):
            return option == mathtext.option(gold)
        products = all(re.fullmatch("[a-z]{2,3}", text) for text in (gold, answer))
        if not products and (named := mathtext.words(gold)) is not None:
            return named == (mathtext.words(answer) or answer.casefold().strip(" ()."))
        if re.fullmatch(r"[A-Z]{3,}", gold) and re.fullmatch(r"[A-Z]{3,}", answer):
            return gold == answer  # points in their order, and no product
        ours, theirs = worded(gold), worded(answer)
        if not agree(ours, theirs):
            return False
        if mathtext.clock(ours.value):
            return ours.value == theirs.value
        terms = ours.value.split(":"), theirs.value.split(":")
        if max(map(len, terms)) > 2:
            return len(terms[0]) == len(terms[1]) and all(map(self._same_scalars, *terms))
        gold, answer = (rf"\frac{{{a[0]}}}{{{a[1]}}}" if len(a) == 2 else a[0] for a in terms)
        gold, answer = _without_labels(gold, answer)
        if (decided := certain(gold, answer)) is not None:
            return decided
        sides = [side.strip() for side in answer.split("=")]
        if len(sides) > 1 and "=" not in gold and not re.search(r"(?<![\\a-zA-Z])[a-zA-Z]", answer):
            return len(set(sides)) > 1 and all(self._same_scalars(gold, side) for side in sides)
        return self._same_expressions(gold, answer)

    def _same_expressions(self, gold: str, answer: str) -> bool:
        ours, theirs = _cells(gold), _cells(answer)
        if ours and theirs:
            widths = [[len(row) for row in matrix] for matrix in (ours, theirs)]
            return widths[0] == widths[1] and all(map(self.equal, chain(*ours), chain(*theirs)))
        try:
            return mathvalue.same(mathvalue.Expression(gold), mathvalue.Expression(answer))
        except mathvalue.Unreadable:
            return self._by_sympy(gold, answer)

    def _same_sets(self, gold: str, answer: str) -> bool:
        """Sets, unions and inequalities."""
        ours, theirs = mathsets.read(gold), mathsets.read(answer)
        if ours is not None and theirs is not None:
            return mathsets.same(ours, theirs)
        return self._by_sympy(gold, answer)

    def _by_sympy(self, gold: str, answer: str) -> bool:
        if not self.sympy:
            raise Undecided
        from localrl.verify import mathsympy

        return mathsympy.same(gold, answer)


def paired(golds: list[T], answers: list[T], same: Callable[[T, T], bool]) -> bool:
    """Whether each gold value has an answer of its own, whatever the order."""
    answers = list(answers)
    for gold in golds:
        found = next((n for n, answer in enumerate(answers) if same(gold, answer)), None)
        if found is None:
            return False
        del answers[found]
    return not answers


def _cells(text: str) -> list[list[str]]:
    """The rows of a matrix, times the number before it; none of anything else."""
    found = _MATRIX.fullmatch(text)
    rows = found["rows"].split("\\\\") if found else []
    times = f"{found['times']} \\cdot " if found and found["times"].strip() else ""
    return [[times + cell.strip() for cell in row.split("&")] for row in rows if row.strip()]


def _without_labels(gold: str, answer: str) -> tuple[str, str]:
    """Both without a label such as `x =`, where the other has none or the same."""
    bare = mathtext.without_label(gold), mathtext.without_label(answer)
    if "=" not in bare[0] and ("=" not in bare[1] or bare[0] == gold):
        labels = gold[: len(gold) - len(bare[0])], answer[: len(answer) - len(bare[1])]
        taken_from_one = "" in labels and "+" not in labels[0]  # `x+y=5` is a line, not 5
        if taken_from_one or mathtext.squeezed(labels[0]) == mathtext.squeezed(labels[1]):
            gold, answer = bare
    if "=" not in gold and "=" in answer:
        return gold, worded(mathtext.without_sought(answer)).value
    return gold, answer
