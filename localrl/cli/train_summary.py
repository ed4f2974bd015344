"""A training as `train` prints it at its end, and `runs show` again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from localrl import formats
from localrl.formats import duration, number, percent, rate, size
from localrl.train import outcome

if TYPE_CHECKING:
    from collections.abc import Mapping

    from localrl.train.record import StepRecord


def step_line(record: StepRecord, steps: int) -> str:
    """One step in a line."""
    parts = [
        f"step {record.step + 1}/{steps}",
        f"reward {record.reward:.2f}",
        f"{percent(record.correct, 0)} correct",
        f"{record.groups} of {record.drawn} groups",
        f"{number(record.tokens_per_sample)} tokens",
    ]
    if record.entropy is not None:
        parts.append(f"entropy {record.entropy:.2f}")
    if record.mismatch is not None:
        parts.append(f"mismatch {record.mismatch:.2g}")
    return "  ".join([*parts, f"{rate(record.tokens_per_s)} tok/s", duration(record.wall_s)])


def summary(made: Mapping[str, Any]) -> str:
    """What a training did, as a few aligned lines; the sentence that it comes to is the last."""
    state = "" if made["status"] == "complete" else f"   [{made['status']}]"
    model = ":".join(filter(None, made["model"].values()))
    lines = [f"{model} trained on {made['eval']} with {made['recipe']['name']}{state}", ""]
    rows = [("reward", _reward(made))]
    for number_, entry in enumerate(made["evals"]):
        if entry["after"]:
            rows.append(("held out" if not number_ else "other", outcome.change(entry, entry["eval"])))
    spent = made["cost"]
    if spent["steps"]:
        each = f"{number(spent['processor_s_per_step'])} processor seconds a step"
        memory = f"{size(spent['peak_memory_bytes'])} at most"
        rows.append(("cost", f"{duration(spent['wall_s'])} with measuring, {each}, {memory}"))
    if made["adapter"]:
        rows.append(("adapter", f"{made['adapter']['path']} ({made['adapter']['sha256'][:12]})"))
    ends = [f"{each['purpose']} {each['run']}" for each in made["runs"] if each["purpose"] != "check"]
    if len(ends) > 1:
        ids = " ".join(each.split()[1] for each in ends)
        rows.append(("runs", f"{', '.join(ends)}   (localrl runs compare {ids})"))
    rows += [("differs", words) for words in made["deviations"]]
    rows += [("warning", f"{each['what']}; {each['advice']}") for each in made["concerns"]]
    lines += [f"  {label:<10} {text}" for label, text in rows]
    return "\n".join([*lines, "", outcome.sentence(made)])


def _reward(made: Mapping[str, Any]) -> str:
    steps = made["steps"]
    if not steps:
        return str(made["reward"]["name"])
    first, last = steps[0]["reward"], steps[-1]["reward"]
    return f"{made['reward']['name']} {first:.2f} → {last:.2f} in {formats.count(len(steps), 'step')}"
