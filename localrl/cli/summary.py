"""A run as `bench` prints it at its end, and `runs show` again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from localrl.report import run_summary, tables

if TYPE_CHECKING:
    from collections.abc import Iterable


def summary(report: dict[str, Any]) -> str:
    """The report as a few aligned lines."""
    view = run_summary.of_run(report)
    state = "" if view.status == "complete" else f"   [{view.status}]"
    parts = [f"{view.model} on {view.setup}{state}", ""]
    for part in view.evals:
        parts += [f"{part.title}   {part.problems}", *_aligned(part.lines), ""]
        if part.budgets:
            parts += [tables.markdown(part.budgets), ""]
    return "\n".join([*parts, *_aligned(view.lines)])


def _aligned(lines: Iterable[run_summary.Line]) -> list[str]:
    return [f"  {line.label:<10} {line.text}" for line in lines]
