"""One comparison of runs in words and tables, which the terminal, the interface, HTML and Markdown render."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from localrl import formats
from localrl.formats import duration, number, percent, size
from localrl.report import budget_comparison, tables
from localrl.report.tables import Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from localrl.report.comparison import Flip, RunComparison, RunPair
    from localrl.stats import Interval


@dataclass(frozen=True, slots=True)
class PairSummary:
    """One run against the baseline on one eval."""

    title: str
    verdict: str
    """What the comparison means, in a sentence."""
    evidence: str
    """What it rests on."""
    flips: tuple[Flip, ...]

    @property
    def flipped(self) -> Table:
        """The problems that changed sides, with both runs' correct samples of all."""
        rows = [[f.problem, f.baseline, f.other, "gained" if f.gained else "lost"] for f in self.flips]
        return Table(["problem", "baseline", "run", ""], rows)


@dataclass(frozen=True, slots=True)
class ComparisonSummary:
    baseline: str
    pairs: tuple[PairSummary, ...]
    accuracy: Table
    """Every run against the baseline, eval by eval."""
    metrics: Table
    """Speed, memory and yield of every run."""
    budgets: Table | None
    """Differences at the thinking budgets that runs share."""
    warnings: tuple[str, ...]
    changed: tuple[str, ...]


def of_comparison(compared: RunComparison) -> ComparisonSummary:
    return ComparisonSummary(
        baseline=compared.baseline,
        pairs=tuple(
            PairSummary(f"{pair.eval}: {pair.run}", _verdict(compared, pair), _evidence(pair), pair.flips)
            for pair in compared.pairs
        ),
        accuracy=_accuracy(compared.pairs),
        metrics=_metrics(compared),
        budgets=budget_comparison.table(compared.pairs),
        warnings=compared.warnings,
        changed=compared.changed,
    )


def text(view: ComparisonSummary, flips: int = 10) -> str:
    """The comparison as Markdown; warnings come before the numbers that they are about.

    Args:
        flips: of every pair's flipped problems, so many are listed.
    """
    parts = _listed("Warning, a difference may not be the model's:", view.warnings)
    parts += [f"Accuracy against {view.baseline}, in percentage points, problem by problem", ""]
    parts += [tables.markdown(view.accuracy), "", "What each run costs and yields", ""]
    parts += [tables.markdown(view.metrics), "", *[pair.verdict for pair in view.pairs]]
    if view.budgets:
        parts += ["", "Accuracy at each thinking budget that both have", "", tables.markdown(view.budgets)]
    for pair in view.pairs:
        if pair.flips:
            more = f" (and {len(pair.flips) - flips} more)" if len(pair.flips) > flips else ""
            listed = replace(pair.flipped, rows=pair.flipped.rows[:flips])
            parts += ["", f"{pair.title}: problems that flipped{more}", "", tables.markdown(listed)]
    return "\n".join([*parts, "", *_listed("Differs on purpose?", view.changed)]).rstrip()


def _listed(title: str, items: Sequence[str]) -> list[str]:
    return [title, "", *[f"- {item}" for item in items], ""] if items else []


def _accuracy(pairs: Sequence[RunPair]) -> Table:
    level = pairs[0].comparison.difference.level
    header = ["eval", "run", "problems", f"difference ({100 * level:g} %)", "on these problems", "P(better)"]
    header += ["won/lost", "McNemar p", "Holm p"]
    rows = []
    for pair in pairs:
        c = pair.comparison
        rows.append(
            [
                pair.eval,
                pair.run,
                str(c.problems),
                _difference(c.difference),
                _difference(c.same_problems),
                percent(c.p_better),
                f"{c.won}/{c.lost}",
                _p_value(c.mcnemar),
                _p_value(pair.holm),
            ]
        )
    if sum(pair.comparison.mcnemar is not None for pair in pairs) < 2:  # nothing to adjust for
        header, rows = header[:-1], [row[:-1] for row in rows]
    return Table(header, rows, text=2)


def _difference(i: Interval) -> str:
    return formats.difference(i.value, i.low, i.high)


def _p_value(p: float | None) -> str:
    return formats.ABSENT if p is None else f"{p:.3g}"


def _metrics(compared: RunComparison) -> Table:
    header = [
        "run",
        "decode tok/s",
        "stream tok/s",
        "prefill tok/s",
        "first token",
        "peak memory",
        "wall time",
    ]
    header += ["tokens/sample", "right/hour", "right/1k tok", "right/kJ"]
    rows = [
        [
            m.name,
            number(m.decode_tokens_per_s),
            number(m.stream_tokens_per_s),
            number(m.prefill_tokens_per_s),
            duration(m.ttft_s),
            size(m.peak_memory_bytes),
            duration(m.wall_s),
            number(m.tokens_per_sample),
            number(m.correct_per_hour),
            number(m.correct_per_thousand_tokens, 2),
            number(m.correct_per_kilojoule, 2),
        ]
        for m in compared.metrics
    ]
    return Table(header, rows)


def _verdict(compared: RunComparison, pair: RunPair) -> str:
    d = pair.comparison.difference
    if d.low > 0 or d.high < 0:
        verdict = f"{abs(100 * d.value):.1f} points {'better' if d.value > 0 else 'worse'}"
    else:
        most = 100 * max(abs(d.low), abs(d.high))
        verdict = f"not told apart ({_difference(d)} points; more than {most:.1f} is unlikely)"
    base = compared.metrics[0]
    run = next(m for m in compared.metrics if m.name == pair.run)
    before, after = pair.tokens_per_sample
    ratios = [
        f"{new / old:.2f}× the {what}"
        for what, new, old in (
            ("decode speed", run.decode_tokens_per_s, base.decode_tokens_per_s),
            ("memory", run.peak_memory_bytes, base.peak_memory_bytes),
            ("tokens a sample", after, before),
            ("right answers an hour", run.correct_per_hour, base.correct_per_hour),
        )
        if new and old and (pair.alike or what != "right answers an hour")
    ]
    at = f", at {', '.join(ratios)}." if ratios else "."
    return f"{pair.eval}: {pair.run} against {compared.baseline} is {verdict}{at}"


def _evidence(pair: RunPair) -> str:
    c = pair.comparison
    test = "" if c.mcnemar is None else f", McNemar p = {_p_value(c.mcnemar)}"
    shared = f"{formats.count(c.problems, 'shared problem')}, better with probability {percent(c.p_better)}"
    return f"{shared}, won {c.won}, lost {c.lost}{test}"
