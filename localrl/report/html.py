"""The report as one HTML file that needs no network: tables and plots ready made, transcripts packed inside.

Transcripts are what a model said, and so hostile: they are gzipped JSON in base64, in script elements of a
type that no browser runs, and reach the page through textContent alone. The content policy allows exactly our
one script and our one style by hash, and no connection of any kind.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import re
from functools import lru_cache
from importlib.resources import files
from typing import IO, TYPE_CHECKING, Any

from localrl import __version__, formulas, jsontext
from localrl.report import charts
from localrl.report.document import FOOTER
from localrl.sample import by_problem
from localrl.verdict import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from xml.etree.ElementTree import Element

    from localrl.report.document import Document
    from localrl.report.results import Results
    from localrl.sample import Sample, SampleRow

CODES = dict(zip(Outcome, "cwntloex", strict=True))
"""One letter an outcome, as page.js reads them."""
MOST_FORMULAS = 20_000
"""Formulas drawn in one report, at a third of a millisecond each; the others stay LaTeX."""
MATH_ATTRIBUTES = re.compile(
    "linethickness|stretchy|fence|form|accent|mathvariant|width|notation|columnalign"
)
"""What a formula keeps of its attributes: no link, no style, no handler."""
_CHUNK = 200_000  # characters of JSON packed together: large enough to compress, small enough to open at once


def write(
    document: Document,
    runs: Sequence[Results],
    out: IO[bytes],
    *,
    transcripts: str = "all",
    max_texts: int = 20_000,
    max_bytes: int = 32_000_000,
) -> None:
    """Write the report of the runs that the document is made of.

    Args:
        transcripts: "all", "failed" (only problems with a sample that is not correct) or "none".
        max_texts, max_bytes: transcripts beyond this many samples or packed bytes are left out, and the page
            says so.
    """
    from jinja2 import Environment
    from markupsafe import Markup

    packer = _Packer(max_texts, max_bytes)
    style = charts.css("var(--ink)", "var(--quiet)", "var(--line)") + _file("page.css")
    script = _file("page.js")
    page = (
        Environment(autoescape=True)
        .from_string(_file("page.html.j2"))
        .generate(
            document=document,
            marks=charts.OUTCOME_MARKS,
            comparison=document.comparison,
            footer=FOOTER,
            version=__version__,
            style=Markup(style),
            script=Markup(script),
            style_hash=_hash(style),
            script_hash=_hash(script),
            data=_data(document, runs, packer, transcripts),
            packed=lambda: packer.texts,
            samples=sum(len(section.rows) for section in document.sections),
        )
    )
    for piece in page:  # the data is made while it is written
        out.write(piece.encode("utf-8", "replace"))


def _data(document: Document, runs: Sequence[Results], packer: _Packer, transcripts: str) -> Iterator[str]:
    """Script elements: the transcripts, and then the index that says where each problem's is."""
    index: dict[str, list[_Entry]] = {}
    for number, (section, run) in enumerate(zip(document.sections, runs, strict=True)):
        entries = _index(section.rows)
        if transcripts != "none":
            yield from _pack(run, entries, packer, only_failed=transcripts == "failed")
        for (name, _), entry in entries.items():
            index.setdefault(f"{number}/{name}", []).append(entry)
    yield from packer.flush()
    outcomes = {code: (str(outcome), charts.OUTCOME_MARKS[outcome]) for outcome, code in CODES.items()}
    yield _script("outcomes", "application/json", _json(outcomes))
    yield _script("index", "application/json", _json(index).replace("<", "\\u003c"))


_Entry = list[Any]
"""A problem as page.js takes it: id, outcome letters, mean tokens, chunk (or None) and place in it."""


def _index(rows: Iterable[SampleRow]) -> dict[tuple[str, str], _Entry]:
    """Every problem by eval and id, in order."""
    letters = {str(outcome): code for outcome, code in CODES.items()}
    found: dict[tuple[str, str], _Entry] = {}
    for row in rows:
        entry = found.setdefault((row.eval, row.problem), [row.problem, "", 0, None, 0])
        entry[1] += letters[str(row.outcome)]
        entry[2] += row.thinking_tokens + row.answer_tokens
    for entry in found.values():
        entry[2] = round(entry[2] / len(entry[1]))
    return found


def _pack(
    run: Results, entries: dict[tuple[str, str], _Entry], packer: _Packer, *, only_failed: bool
) -> Iterator[str]:
    """The run's transcripts until there is no more room; enters where each problem's is."""
    for samples in by_problem(run.samples()):
        entry = entries[samples[0].problem.eval, samples[0].problem.id]
        if only_failed and not entry[1].strip("c"):
            continue
        if not packer.has_room(samples):
            return
        entry[3:] = packer.add(samples)
        if packer.full:
            yield from packer.flush()


class _Packer:
    """Collects transcripts and compresses them in chunks, each a script element that is no script."""

    def __init__(self, most: int, budget: int) -> None:
        self._most, self._budget = most, budget
        self.texts = 0
        """Samples taken so far."""
        self._waiting: list[str] = []
        self._size, self._number = 0, 0
        self._formulas = MOST_FORMULAS

    def has_room(self, samples: list[Sample]) -> bool:
        return self._budget > 0 and self.texts + len(samples) <= self._most

    @property
    def full(self) -> bool:
        return self._size > _CHUNK

    def add(self, samples: list[Sample]) -> tuple[str, int]:
        """Take one problem's transcript; returns its chunk and its place there."""
        self.texts += len(samples)
        self._waiting.append(_json(self._transcript(samples)))
        self._size += len(self._waiting[-1])
        return f"t{self._number}", len(self._waiting) - 1

    def _transcript(self, problem: list[Sample]) -> dict[str, Any]:
        asked = problem[0].problem
        return {
            "messages": [{"role": m.role, "content": self._pieces(m.content)} for m in asked.messages],
            "target": asked.target,
            "samples": [
                {
                    "seed": s.seed,
                    "extracted": s.extracted,
                    "thinking": s.response.thinking,
                    "answer": self._pieces(s.response.answer),
                    "finish": s.finish,
                    "detail": s.detail,
                    "thinking_tokens": s.thinking_tokens,
                    "answer_tokens": s.answer_tokens,
                    "ttft_s": s.ttft_s,
                    "tokens_per_s": s.tokens_per_s,
                    "forks": [
                        {
                            "budget": fork.budget,
                            "outcome": CODES[fork.outcome],
                            "extracted": fork.extracted,
                            "answer": self._pieces(fork.response.answer),
                            "answer_tokens": fork.answer_tokens,
                            "replayed": fork.replayed,
                        }
                        for fork in s.forks
                        if fork.outcome
                    ],
                }
                for s in problem
            ],
        }

    def _pieces(self, text: str) -> str | _Pieces:
        pieces: _Pieces = []
        at = 0
        for found in formulas.outside_code(text):
            drawn = _drawn(formulas.latex(found)) if self._formulas else None
            if drawn is not None:
                self._formulas -= 1
                pieces += [text[at : found.start()], {"math": drawn, "source": found[0]}]
                at = found.end()
        return [*pieces, text[at:]] if pieces else text

    def flush(self) -> Iterator[str]:
        """The chunk of what waits, if something does."""
        if self._waiting:
            joined = f"[{','.join(self._waiting)}]".encode("utf-8", "replace")
            packed = base64.b64encode(gzip.compress(joined, 4, mtime=0)).decode()
            self._budget -= len(packed)
            yield _script(f"t{self._number}", "text/plain", packed)
            self._waiting, self._size, self._number = [], 0, self._number + 1


_Pieces = list[Any]
"""A text cut at its formulas: strings, and between them the MathML and the source of each."""


def _mathml(part: Element) -> list[Any]:
    """An element as page.js draws it: tag, attributes, and parts, which are text or elements."""
    kept = {name: value for name, value in part.items() if MATH_ATTRIBUTES.fullmatch(name)}
    return [part.tag, kept, [part.text] if part.text else [_mathml(child) for child in part]]


@lru_cache(maxsize=4096)
def _drawn(latex: str) -> list[Any] | None:
    tree = formulas.mathml(latex)
    return None if tree is None else _mathml(tree)


def _script(name: str, kind: str, text: str) -> str:
    return f'<script id="{name}" type="{kind}">{text}</script>\n'


def _json(value: Any) -> str:
    return jsontext.dumps(value, separators=(",", ":"))


def _file(name: str) -> str:
    return (files("localrl.report") / "page" / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
