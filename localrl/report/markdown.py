"""The report as Markdown, without plots and transcripts: for a README or an issue."""

from __future__ import annotations

from typing import TYPE_CHECKING

from localrl.report.document import FOOTER
from localrl.report.tables import escaped, on_one_line
from localrl.report.tables import markdown as table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from localrl.report.comparison_summary import ComparisonSummary
    from localrl.report.document import Document, Section


def text(document: Document) -> str:
    parts = [f"# {escaped(document.title)}", "", escaped(document.subtitle), ""]
    if document.comparison:
        parts += _comparison(document.comparison)
    for section in document.sections:
        parts += _section(section)
    return "\n".join([*parts, FOOTER]) + "\n"


def _comparison(view: ComparisonSummary) -> Iterator[str]:
    yield from (f"## Comparison with {escaped(view.baseline)}", "")
    yield from (f"> Warning: {escaped(words)}" for words in view.warnings)
    yield from ("", *[escaped(pair.verdict) for pair in view.pairs], "")
    yield from (table(view.accuracy), "", table(view.metrics), "")
    if view.budgets:
        yield from ("Accuracy at each thinking budget that both have:", "", table(view.budgets), "")


def _section(section: Section) -> Iterator[str]:
    yield from (f"## {escaped(section.name)}", "", table(section.evals), "")
    for view in section.view.evals:
        yield from (f"{escaped(view.title)}, {view.problems}:", "")
        yield from (f"- {line.label}: {escaped(line.text)}" for line in view.lines)
        yield ""
        if view.budgets:
            yield from (table(view.budgets), "")
    yield from (f"- {line.label}: {escaped(line.text)}" for line in section.view.lines)
    yield from ("", "```sh", on_one_line(section.command).replace("```", "").replace("<", "&lt;"), "```", "")
    yield from (table(section.environment), "")
