"""Runs side by side on the problems that they share: the difference, what each costs, and what flipped."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.content import Content
from textual.widgets import Static

from localrl.formats import duration, number, percent, size

if TYPE_CHECKING:
    from localrl.report.comparing import Pair, Side

Part = str | tuple[str, str]
FLIPS = 12
NAME = 22


class ComparisonView(Static):
    DEFAULT_CSS = "ComparisonView { height: auto; }"

    def show(self, side: Side) -> None:
        from localrl.report import tables

        parts: list[Part] = []
        for pair in side.pairs:
            parts += [(tables.sentence(side, pair) + "\n", "bold"), *self._pair(pair), "\n"]
        parts += self._figures(side)
        for title, colour, items in (
            ("differs on purpose?", "$secondary", side.changed),
            ("protocols differ", "$warning", side.warnings),
        ):
            if items:
                parts += [(f"\n{title}\n", colour), *(f"  {item}\n" for item in items)]
        self.update(Content.assemble(*parts))

    def _pair(self, pair: Pair) -> list[Part]:
        c = pair.comparison
        test = "" if c.mcnemar is None else f", McNemar p = {c.mcnemar:.3g}"
        parts: list[Part] = [
            (
                f"  {c.problems} shared problems, better with probability {percent(c.p_better)}, "
                f"won {c.won}, lost {c.lost}{test}\n",
                "$secondary",
            )
        ]
        for flip in pair.flips[:FLIPS]:
            sign, colour = ("+", "$success") if flip.gained else ("−", "$error")
            parts += [(f"  {sign} ", colour), f"{flip.problem:<28} {flip.baseline} → {flip.other}\n"]
        if len(pair.flips) > FLIPS:
            parts.append((f"  and {len(pair.flips) - FLIPS} more\n", "$secondary"))
        return parts

    def _figures(self, side: Side) -> list[Part]:
        rows = (
            ("decode tok/s", [number(f.decode_tokens_per_s) for f in side.figures]),
            ("one stream tok/s", [number(f.stream_tokens_per_s) for f in side.figures]),
            ("first token", [duration(f.ttft_s) for f in side.figures]),
            ("peak memory", [size(f.peak_memory_bytes) for f in side.figures]),
            ("wall time", [duration(f.wall_s) for f in side.figures]),
            ("tokens a sample", [number(f.tokens_per_sample, 0) for f in side.figures]),
            ("right an hour", [number(f.correct_per_hour, 0) for f in side.figures]),
            ("right a 1k tokens", [number(f.correct_per_thousand_tokens, 2) for f in side.figures]),
            ("right a kJ", [number(f.correct_per_kilojoule, 2) for f in side.figures]),
        )
        # Quantisation and id stand at the end of a name, and tell runs of one model apart.
        names = [f.name if len(f.name) <= NAME else "…" + f.name[1 - NAME :] for f in side.figures]
        widths = [max(12, len(name)) for name in names]
        head = "  ".join(f"{name:>{w}}" for name, w in zip(names, widths, strict=True))
        parts: list[Part] = [(f"{'':<18}{head}\n", "$secondary")]
        for title, values in rows:
            cells = "  ".join(f"{value:>{w}}" for value, w in zip(values, widths, strict=True))
            parts += [(f"{title:<18}", "$secondary"), f"{cells}\n"]
        return parts
