"""Tables as text: aligned Markdown, which also reads well in a terminal, and numbers as people write them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from localrl import formats

if TYPE_CHECKING:
    from collections.abc import Sequence

    from localrl.report.comparing import Pair, Side
    from localrl.stats import Interval


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]], text: int = 1) -> str:
    """A Markdown table with aligned columns; the first `text` columns are text, the others are numbers."""
    cells = [list(header), *[[_cell(c) for c in row] for row in rows]]
    width = [max(len(row[i]) for row in cells) for i in range(len(header))]
    lines = [
        "| "
        + " | ".join(
            c.rjust(w) if i >= text else c.ljust(w) for i, (c, w) in enumerate(zip(row, width, strict=True))
        )
        + " |"
        for row in cells
    ]
    rule = (
        "| " + " | ".join("-" * (w - 1) + ":" if i >= text else "-" * w for i, w in enumerate(width)) + " |"
    )
    return "\n".join([lines[0], rule, *lines[1:]])


def _cell(text: str) -> str:
    """Text that stays inside its cell and cannot become markup of another kind."""
    clean = "".join(c if c.isprintable() else " " for c in text)
    return clean.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("`", "\\`")


def comparison(side: Side, flips: int = 10) -> str:
    """A comparison in Markdown: accuracy, what it costs and yields, flipped problems, warnings."""
    parts = _listed("Warning, a difference may not be the model's:", side.warnings)
    parts += [
        f"Accuracy against {side.baseline}, in percentage points, problem by problem",
        "",
        markdown(*accuracy_rows(side), text=2),
        "",
    ]
    parts += ["What each run costs and yields", "", markdown(*figure_rows(side)), ""]
    parts += [sentence(side, pair) for pair in side.pairs]
    for pair in side.pairs:
        if pair.flips:
            shown = [
                [f.problem, f.baseline, f.other, "gained" if f.gained else "lost"] for f in pair.flips[:flips]
            ]
            more = len(pair.flips) - len(shown)
            parts += [
                "",
                f"{pair.eval}: problems that flipped in {pair.run}" + (f" (and {more} more)" if more else ""),
            ]
            parts += ["", markdown(["problem", "baseline", "run", ""], shown)]
    return "\n".join([*parts, "", *_listed("Differs on purpose?", side.changed)]).rstrip()


def _listed(title: str, items: Sequence[str]) -> list[str]:
    return [title, "", *[f"- {item}" for item in items], ""] if items else []


def _difference(i: Interval) -> str:
    return formats.difference(i.value, i.low, i.high)


def accuracy_rows(side: Side) -> tuple[list[str], list[list[str]]]:
    """Header and rows: every run against the baseline, eval by eval."""
    header = [
        "eval",
        "run",
        "problems",
        "difference (95 %)",
        "on these problems",
        "P(better)",
        "won/lost",
        "McNemar p",
    ]
    tested = sum(pair.comparison.mcnemar is not None for pair in side.pairs)
    if tested > 1:
        header.append("Holm p")
    rows = []
    for pair in side.pairs:
        c = pair.comparison
        level = c.difference.level
        header[3] = f"difference ({100 * level:g} %)"
        row = [
            pair.eval,
            pair.run,
            str(c.problems),
            *(_difference(i) for i in (c.difference, c.same_problems)),
        ]
        row += [
            formats.percent(c.p_better),
            f"{c.won}/{c.lost}",
            formats.ABSENT if c.mcnemar is None else f"{c.mcnemar:.3g}",
        ]
        if tested > 1:
            row.append(formats.ABSENT if pair.holm is None else f"{pair.holm:.3g}")
        rows.append(row)
    return header, rows


def figure_rows(side: Side) -> tuple[list[str], list[list[str]]]:
    """Header and rows: speed, memory and yield of every run."""
    header = ["run", "decode tok/s", "stream tok/s", "prefill tok/s", "TTFT s", "memory", "tokens/sample"]
    header += ["right/hour", "right/1k tok", "right/kJ"]
    rows = [
        [
            f.name,
            formats.number(f.decode_tokens_per_s),
            formats.number(f.stream_tokens_per_s),
            formats.number(f.prefill_tokens_per_s),
            formats.number(f.ttft_s, 2),
            formats.size(f.peak_memory_bytes),
            formats.number(f.tokens_per_sample),
            formats.number(f.correct_per_hour),
            formats.number(f.correct_per_thousand_tokens, 2),
            formats.number(f.correct_per_kilojoule, 2),
        ]
        for f in side.figures
    ]
    return header, rows


def sentence(side: Side, pair: Pair) -> str:
    """What the comparison means, in words."""
    d = pair.comparison.difference
    if d.low > 0 or d.high < 0:
        verdict = f"{abs(100 * d.value):.1f} points {'better' if d.value > 0 else 'worse'}"
    else:
        most = 100 * max(abs(d.low), abs(d.high))
        verdict = f"not told apart ({_difference(d)} points; more than {most:.1f} is unlikely)"
    base = side.figures[0]
    run = next(f for f in side.figures if f.name == pair.run)
    before, after = pair.tokens_per_sample
    gains = [
        f"{new / old:.2f}× the {what}"
        for what, new, old in (
            ("decode speed", run.decode_tokens_per_s, base.decode_tokens_per_s),
            ("memory", run.peak_memory_bytes, base.peak_memory_bytes),
            ("tokens a sample", after, before),
            ("right answers an hour", run.correct_per_hour, base.correct_per_hour),
        )
        if new and old and (pair.alike or what != "right answers an hour")
    ]
    return f"{pair.eval}: {pair.run} against {side.baseline} is {verdict}" + (
        f", at {', '.join(gains)}." if gains else "."
    )
