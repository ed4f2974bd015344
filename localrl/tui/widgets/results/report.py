"""One run's report, in a few lines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from textual.content import Content
from textual.widgets import Static

from localrl.formats import bounds, duration, number, percent, size
from localrl.tui.symbols import SYMBOLS

if TYPE_CHECKING:
    from localrl.tui.work.results import RunLine

Part = str | tuple[str, str]


class ReportView(Static):
    DEFAULT_CSS = "ReportView { height: auto; }"

    def show(self, line: RunLine) -> None:
        from localrl.report.report import SO_FAR

        made, speed = line.report, line.report["speed"]
        parts: list[Part] = [(line.model, "bold"), (f"  {made['run']}  {made['created'][:16]}", "$secondary")]
        parts.append((f"  {line.status}\n", "" if line.status == "complete" else "$warning"))
        backend = made["backend"]
        parts.append(
            (f"{made['hardware'].get('device', '')} · {backend['name']} {backend['version']}\n", "$secondary")
        )
        for part in made["evals"]:
            parts += self._eval(part)
            if made["status"] == "partial" and part["accuracy"]:
                parts += [("so far    ", "$secondary"), (SO_FAR + "\n", "$warning")]
        parts += [
            ("\nspeed     ", "$secondary"),
            f"{number(speed['decode_tokens_per_s'])} tok/s all streams, "
            f"{number(speed['stream_tokens_per_s']['p50'])} one, "
            f"{number(speed['prefill_tokens_per_s'])} prefill\n",
            ("cost      ", "$secondary"),
            f"{duration(speed['wall_s'])}, {number(speed['correct_per_hour'], 0)} right/h, "
            f"{size(speed['peak_memory_bytes'])} peak, first token {duration(speed['ttft_s']['p50'])}\n",
        ]
        self.update(Content.assemble(*parts))

    def _eval(self, part: dict[str, Any]) -> list[Part]:
        accuracy = part["accuracy"]
        parts: list[Part] = [(f"\n{part['eval']} v{part['version']}  ", "bold $primary")]
        parts.append((f"{part['problems']} problems × {part['samples']}\n", "$secondary"))
        if accuracy is None:
            return [*parts, ("nothing was judged yet\n", "$secondary")]
        parts += [("accuracy  ", "$secondary"), (percent(accuracy["value"]), "bold")]
        parts.append(f"  95 %: {bounds(accuracy['low'], accuracy['high'])}\n")
        if part["samples"] > 1:
            passed = [f"pass@{k} {percent(value)}" for k, value in part["pass_at"].items()]
            voted = [f"majority@{k} {percent(value)}" for k, value in part["majority_at"].items()]
            parts += [("groups    ", "$secondary"), "  ".join(passed) + "\n"]
            parts += [("votes     ", "$secondary"), "  ".join(voted) + "\n"] if voted else []
        parts.append(("outcomes  ", "$secondary"))
        for name, mark in SYMBOLS.items():
            if count := part["outcomes"].get(name):
                parts += [(f"{mark.sign} ", f"${mark.colour}"), f"{count:,} {mark.label}  "]
        tokens = part["tokens"]
        parts += [
            "\n",
            ("tokens    ", "$secondary"),
            f"{tokens['thinking']:,} thinking, {tokens['answer']:,} answer\n",
        ]
        for score in part["published"]:
            parts += [("published ", "$secondary"), f"{percent(score['value'])}  {score['source']}\n"]
        if part["deviations"]:
            parts += [("differs   ", "$secondary"), ("; ".join(part["deviations"]) + "\n", "$warning")]
        return parts
