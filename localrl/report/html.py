"""The report as one HTML file that needs no network: tables and plots ready made, transcripts packed inside.

Transcripts are what a model said, and so hostile: they are gzipped JSON in base64, in script elements of a
type that no browser runs, and reach the page through textContent alone. The content policy allows exactly our
one script and our one style by hash, and no connection of any kind.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
from dataclasses import asdict
from importlib.resources import files
from typing import IO, TYPE_CHECKING, Any

from localrl import jsontext
from localrl.report import charts, summary
from localrl.sample import by_problem
from localrl.verdict import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from localrl.report.results import Results
    from localrl.sample import Sample, SampleRow

CODES = dict(zip(Outcome, "cwntloex", strict=True))
"""One letter an outcome, as page.js reads them."""
_CHUNK = 200_000  # characters of JSON packed together: large enough to compress, small enough to open at once


def write(
    runs: Sequence[Results],
    out: IO[bytes],
    *,
    transcripts: str = "all",
    max_texts: int = 20_000,
    max_bytes: int = 32_000_000,
) -> None:
    """Write the report of one or more runs.

    Args:
        transcripts: "all", "failed" (only problems with a sample that is not correct) or "none".
        max_texts, max_bytes: transcripts beyond this many samples or packed bytes are left out, and the page
            says so.

    Raises:
        UsageError: there is no run, or a run has no sample.
    """
    page = summary.page(runs)
    style = charts.css("var(--ink)", "var(--quiet)", "var(--line)") + _file("page.css")
    script = _file("page.js")
    head, tail = _render(page, style, script).split("@@DATA@@")
    out.write(head.encode("utf-8", "replace"))
    index = [_index(rows) for rows in page.rows]
    packer = _Packer(out, max_texts, max_bytes)
    if transcripts != "none":
        for run, entries in zip(runs, index, strict=True):
            _pack(run, entries, packer, only_failed=transcripts == "failed")
    packer.flush()
    by_grid: dict[str, list[_Entry]] = {}
    for number, entries in enumerate(index):
        for (name, _), entry in entries.items():
            by_grid.setdefault(f"{number}/{name}", []).append(entry)
    out.write(_data("index", "application/json", _json(by_grid).replace("<", "\\u003c")))
    samples = sum(len(rows) for rows in page.rows)
    said = f"Transcripts of {packer.texts:,} of {samples:,} samples are inside."
    out.write(tail.replace("@@TEXTS@@", said).encode("utf-8", "replace"))


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
) -> None:
    """Write the run's transcripts until there is no more room, and enter where each problem's is."""
    for problem in by_problem(run.samples()):
        entry = entries[problem[0].problem.eval, problem[0].problem.id]
        if only_failed and not entry[1].strip("c"):
            continue
        place = packer.add(problem)
        if place is None:
            return
        entry[3:] = place


def _render(page: summary.Page, style: str, script: str) -> str:
    from jinja2 import Environment
    from markupsafe import Markup

    template = Environment(autoescape=True).from_string(_file("page.html.j2"))
    return template.render(
        asdict(page.content),
        style=Markup(style),
        script=Markup(script),
        style_hash=_hash(style),
        script_hash=_hash(script),
    )


class _Packer:
    """Collects transcripts and writes them in compressed chunks, each a script element that is no script."""

    def __init__(self, out: IO[bytes], most: int, budget: int) -> None:
        self._out, self._most, self._budget = out, most, budget
        self.texts = 0
        """Samples taken so far."""
        self._waiting: list[str] = []
        self._size, self._number = 0, 0

    def add(self, problem: list[Sample]) -> tuple[str, int] | None:
        """Take one problem's transcript; returns its chunk and its place there, or None without room."""
        if self._budget <= 0 or self.texts + len(problem) > self._most:
            return None
        self.texts += len(problem)
        transcript = _transcript(problem)
        self._waiting.append(transcript)
        self._size += len(transcript)
        place = (f"t{self._number}", len(self._waiting) - 1)
        if self._size > _CHUNK:
            self.flush()
        return place

    def flush(self) -> None:
        if not self._waiting:
            return
        joined = f"[{','.join(self._waiting)}]".encode("utf-8", "replace")
        packed = base64.b64encode(gzip.compress(joined, 4, mtime=0)).decode()
        self._out.write(_data(f"t{self._number}", "text/plain", packed))
        self._budget -= len(packed)
        self._waiting, self._size, self._number = [], 0, self._number + 1


def _transcript(problem: list[Sample]) -> str:
    asked = problem[0].problem
    return _json(
        {
            "messages": [m.model_dump() for m in asked.messages],
            "target": asked.target,
            "samples": [
                {
                    "seed": s.seed,
                    "extracted": s.extracted,
                    "thinking": s.response.thinking,
                    "answer": s.response.answer,
                    "finish": s.finish,
                    "detail": s.detail,
                    "thinking_tokens": s.thinking_tokens,
                    "answer_tokens": s.answer_tokens,
                    "ttft_s": s.ttft_s,
                    "tokens_per_s": s.tokens_per_s,
                }
                for s in problem
            ],
        }
    )


def _data(name: str, kind: str, text: str) -> bytes:
    return f'<script id="{name}" type="{kind}">{text}</script>\n'.encode("utf-8", "replace")


def _json(value: Any) -> str:
    return jsontext.dumps(value, separators=(",", ":"))


def _file(name: str) -> str:
    return (files("localrl.report") / "page" / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
