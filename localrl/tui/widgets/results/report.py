"""One run's report, in a few lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.content import Content
from textual.widgets import Static

from localrl.tui.symbols import SYMBOLS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from localrl.report.listing import ListedRun
    from localrl.report.run_summary import EvalSummary, Line

Part = str | tuple[str, str]


class ReportView(Static):
    DEFAULT_CSS = "ReportView { height: auto; }"

    def show(self, run: ListedRun) -> None:
        from localrl.report import run_summary

        view = run_summary.of_run(run.report)
        parts: list[Part] = [(view.model, "bold"), (f"  {view.run}  {view.created}", "$secondary")]
        parts.append((f"  {run.status}\n", "" if run.status == "complete" else "$warning"))
        parts.append((f"{view.setup}\n", "$secondary"))
        for part in view.evals:
            parts += [(f"\n{part.title}  ", "bold $primary"), (f"{part.problems}\n", "$secondary")]
            parts += _labelled(part.lines, part)
            for name, accuracy, gain, *_ in part.budgets.rows if part.budgets else ():
                parts += [(f"{name:>9} ", "$secondary"), f"{accuracy:<20}", (f" {gain}\n", "$secondary")]
        self.update(Content.assemble(*parts, "\n", *_labelled(view.lines)))


def _labelled(lines: Iterable[Line], part: EvalSummary | None = None) -> list[Part]:
    parts: list[Part] = []
    for line in lines:
        parts.append((f"{line.label:<10}", "$secondary"))
        if part and line.label == "outcomes":
            for name, count in part.outcomes:
                symbol = SYMBOLS[name]
                parts += [(f"{symbol.sign} ", f"${symbol.colour}"), f"{count:,} {symbol.label}  "]
        else:
            parts.append((line.text, "$warning" if line.warns else ""))
        parts.append("\n")
    return parts
