"""Everything known of one model: what it is, whether it fits, published scores, and pitfalls."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.content import Content
from textual.widgets import Static

from localrl import formats

if TYPE_CHECKING:
    from localrl.tui.work.models import ModelRow

Part = str | tuple[str, str]
VERDICTS = {"fits": "$success", "tight": "$warning", "no": "$error"}


class Details(Static):
    DEFAULT_CSS = "Details { height: auto; }"

    def show(self, row: ModelRow, take: str) -> None:
        """
        Args:
            take: what the chosen backend means for this model.
        """
        parts: list[Part] = [(row.title + "\n", "bold")]
        if row.error:
            parts.append((row.error + "\n", "$error"))
            take = ""
        card = row.card
        if card:
            active = (
                f", {formats.parameters(card.active_parameters)} active" if card.active_parameters else ""
            )
            parts.append(
                (f"{formats.parameters(card.parameters)} parameters{active} · {card.licence}\n", "$secondary")
            )
        parts.append((f"{row.name}\n", "$secondary"))
        if line := row.line:
            plan = line.plan
            parts += [(f"\n{plan.verdict}", f"bold {VERDICTS[plan.verdict]}"), f"  {plan.reason}\n"]
            parts.append(
                (
                    f"{formats.size(plan.memory.weights)} weights, {formats.size(plan.memory.cache)} "
                    f"{plan.cache_type} cache for {plan.streams} streams\n",
                    "$secondary",
                )
            )
            if line.throughput:
                parts.append(f"about {formats.rate(line.throughput.single)} tok/s alone, ")
                parts.append(f"{formats.rate(line.throughput.together)} all streams together\n")
            if line.expected and (accuracy := line.expected.accuracy):
                whose = "measured here" if accuracy.measured else "published"
                parts.append(f"{formats.percent(accuracy.value)} of {accuracy.eval} ({whose}), ")
                parts.append(f"{formats.number(line.right_per_hour)} right answers an hour\n")
        if take:
            parts += [("runs on   ", "$secondary"), take + "\n"]
        for option in row.options if len(row.options) > 1 else []:
            here = "  on disk" if option.name in row.here else ""
            quantisation = option.name.partition(":")[2]
            text = f"  {quantisation:<10} {formats.size(option.shape.weight_bytes):>9}  "
            parts += [text, (option.plan.verdict, VERDICTS[option.plan.verdict]), here + "\n"]
        if card:
            parts += self._card(row)
        self.update(Content.assemble(*parts))

    def _card(self, row: ModelRow) -> list[Part]:
        card = row.card
        assert card is not None
        parts: list[Part] = []
        if card.published:
            parts.append(("\npublished\n", "bold $primary"))
        for score in card.published:
            metric = "" if score.metric == "accuracy" else f" {score.metric}"
            parts += [
                f"  {score.eval:<16}{metric} {formats.percent(score.value)}  ",
                (score.source + "\n", "$secondary"),
            ]
        for title, items in (
            ("pitfalls", card.pitfalls),
            ("notes", card.template_notes),
            ("not confirmed", card.unconfirmed),
        ):
            if items:
                parts += [(f"\n{title}\n", "bold $primary"), *(f"  {item}\n" for item in items)]
        if card.sampling_source:
            chosen = card.sampling
            text = f"temperature {chosen.temperature:g}, top_p {chosen.top_p:g}, top_k {chosen.top_k}"
            parts += [
                ("\nsampling\n", "bold $primary"),
                f"  {text}\n",
                (f"  {card.sampling_source}\n", "$secondary"),
            ]
        return parts
