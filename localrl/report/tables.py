"""Tables as text: aligned Markdown, which also reads well in a terminal, and numbers as people write them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from localrl.stats import Interval

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from localrl.report.comparing import Pair, Side

ABSENT = "–"


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


def percent(value: float | None, digits: int = 1) -> str:
    return ABSENT if value is None else f"{100 * value:.{digits}f} %"


def points(value: float) -> str:
    """A difference of accuracies in percentage points, with its sign."""
    return f"{100 * value:+.1f}".replace("-", "−")


def span(interval: Interval | Mapping[str, Any] | None) -> str:
    """An accuracy with its interval, such as "78.9 % (71.0–85.1)"."""
    if interval is None:
        return ABSENT
    i = interval.as_dict() if isinstance(interval, Interval) else interval
    if i.get("value") is None:
        return ABSENT
    if i.get("low") is None or i.get("high") is None:
        return percent(i["value"])
    return f"{percent(i['value'])} ({100 * i['low']:.1f}–{100 * i['high']:.1f})"


def difference(interval: Interval) -> str:
    return f"{points(interval.value)} ({points(interval.low)} to {points(interval.high)})"


def number(value: float | None, digits: int = 1) -> str:
    if value is None:
        return ABSENT
    if value and abs(value) < 1:
        return f"{value:.{digits + 1}g}"
    return f"{value:,.{digits if abs(value) < 100 else 0}f}"


def gigabytes(value: float | None) -> str:
    return ABSENT if value is None else f"{value / 1e9:.1f} GB"


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
        row = [pair.eval, pair.run, str(c.problems), difference(c.difference), difference(c.same_problems)]
        row += [percent(c.p_better), f"{c.won}/{c.lost}", ABSENT if c.mcnemar is None else f"{c.mcnemar:.3g}"]
        if tested > 1:
            row.append(ABSENT if pair.holm is None else f"{pair.holm:.3g}")
        rows.append(row)
    return header, rows


def figure_rows(side: Side) -> tuple[list[str], list[list[str]]]:
    """Header and rows: speed, memory and yield of every run."""
    header = ["run", "decode tok/s", "stream tok/s", "prefill tok/s", "TTFT s", "memory", "tokens/sample"]
    header += ["right/hour", "right/1k tok", "right/kJ"]
    rows = [
        [
            f.name,
            number(f.decode_tokens_per_s),
            number(f.stream_tokens_per_s),
            number(f.prefill_tokens_per_s),
            number(f.ttft_s, 2),
            gigabytes(f.peak_memory_bytes),
            number(f.tokens_per_sample),
            number(f.correct_per_hour),
            number(f.correct_per_thousand_tokens, 2),
            number(f.correct_per_kilojoule, 2),
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
        verdict = f"not told apart ({difference(d)} points; more than {most:.1f} is unlikely)"
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
