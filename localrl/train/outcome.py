"""What a training did, as one JSON document and in words: accuracy before and after, and what it cost."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from localrl import formats
from localrl.catalog import hashes
from localrl.formats import duration, number, percent, points
from localrl.report import report
from localrl.runs import energy
from localrl.store import locks
from localrl.train import measuring, rails
from localrl.train.plan import TrainPlan
from localrl.train.record import StepRecord

if TYPE_CHECKING:
    from collections.abc import Mapping

    from localrl.store.runs import Store
    from localrl.store.trainings import Measurement, Training

SCHEMA = 1
JOULES_A_WH = 3600.0


def document(store: Store, training: Training) -> dict[str, Any]:
    """As `localrl train --json` prints it; docs/training.md describes it."""
    plan = TrainPlan.model_validate(training.manifest["plan"])
    steps = store.trainings.steps(training)
    records = [StepRecord(**step) for step in steps]
    checks = measuring.checks(store, training)
    measured = store.trainings.measurements(training)
    return {
        "schema": SCHEMA,
        "training": training.id,
        "name": training.name,
        "created": training.created,
        "status": status(training),
        "model": {"name": plan.measured.model_name, "quantisation": plan.measured.quantisation},
        "hardware": training.manifest["hardware"],
        "eval": plan.trained.spec.name,
        "reward": plan.reward.model_dump(mode="json"),
        "recipe": plan.recipe.model_dump(mode="json"),
        "seed": plan.seed,
        "deviations": plan.deviations,
        "evals": _evals(store, measured),
        "checks": [
            {"step": each.step, "accuracy": each.accuracy, "difference": each.difference.as_dict()}
            for each in checks
        ],
        "concerns": [asdict(concern) for concern in rails.concerns(records, checks)],
        "cost": _cost(store, measured, records),
        "adapter": _adapter(training, len(steps)),
        "runs": [asdict(each) for each in measured],
        "steps": steps,
    }


def status(training: Training) -> str:
    """As stored, or what a training is in truth whose process was killed."""
    if locks.is_locked(training):
        return "running"
    return "partial" if training.status == "running" else training.status


def _evals(store: Store, measured: list[Measurement]) -> list[dict[str, Any]]:
    """Every eval before and after; the first is the held-out one."""
    ends = {each.purpose: store.find(each.run) for each in measured if each.purpose != "check"}
    if "before" not in ends:
        return []
    before = {entry["eval"]: entry for entry in report.make(store, ends["before"])["evals"]}
    after: dict[str, Any] = {}
    pairs: dict[str, Any] = {}
    if "after" in ends:
        after = {entry["eval"]: entry for entry in report.make(store, ends["after"])["evals"]}
        pairs = measuring.paired(store, ends["before"], ends["after"])
    found = []
    for name, entry in before.items():
        pair = pairs.get(name)
        found.append(
            {
                "eval": name,
                "before": entry["accuracy"],
                "after": after[name]["accuracy"] if name in after else None,
                "problems": pair.problems if pair else entry["problems"],
                "difference": pair.difference.as_dict() if pair else None,
                "won": pair.won if pair else None,
                "lost": pair.lost if pair else None,
                "mcnemar": pair.mcnemar if pair else None,
            }
        )
    return found


def _cost(store: Store, measured: list[Measurement], records: list[StepRecord]) -> dict[str, Any]:
    """Of the steps that are done and of all measurements together."""
    sessions = [counters for each in measured for _, counters in store.sessions(store.find(each.run))]
    spent = [*(record.energy_j for record in records), *(each.get("energy_j") for each in sessions)]
    return {
        "steps": len(records),
        "wall_s": sum(r.wall_s for r in records) + sum(each.get("wall_s", 0.0) for each in sessions),
        "training_s": sum(record.wall_s for record in records),
        "processor_s_per_step": _mean([record.processor_s for record in records]),
        "tokens": sum(record.tokens for record in records),
        "energy": energy.summed(spent),
        "peak_memory_bytes": max((record.memory_bytes for record in records), default=None),
    }


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _adapter(training: Training, steps: int) -> dict[str, str] | None:
    path = training.adapter(steps)
    if not steps or not path.exists():
        return None
    return {"path": str(path), "sha256": hashes.of(path, lambda: False) if path.is_file() else ""}


def sentence(made: Mapping[str, Any]) -> str:
    """What it came to: `held-out accuracy 18.3 % → 81.7 %, +63.3 points (...), ...`."""
    if not made["evals"]:
        return "nothing was measured yet"
    first = made["evals"][0]
    if first["after"]:
        return f"{change(first, 'held-out accuracy')}; {cost(made)}"
    start = percent(first["before"]["value"]) if first["before"] else formats.ABSENT
    if made["checks"]:
        last = made["checks"][-1]
        now = f"{percent(last['accuracy'])} after {formats.count(last['step'], 'step')}"
        return f"held-out accuracy {start} → {now}, so far; {cost(made)}"
    return f"held-out accuracy {start} before; {cost(made)}"


def change(entry: Mapping[str, Any], what: str) -> str:
    """One eval before and after, with its paired interval and test."""
    d = entry["difference"]
    said = f"{what} {percent(entry['before']['value'])} → {percent(entry['after']['value'])}"
    if d is None:
        return f"{said} on {formats.count(entry['problems'], 'problem')}"
    said += f", {points(d['value'])} points ({points(d['low'])} to {points(d['high'])})"
    if entry["mcnemar"] is not None:
        said += f", McNemar p = {entry['mcnemar']:.2g}"
    won, lost = entry["won"], entry["lost"]
    return f"{said}, {won} won and {lost} lost of {formats.count(entry['problems'], 'problem')}"


def cost(made: Mapping[str, Any]) -> str:
    spent = made["cost"]
    said = f"{formats.count(spent['steps'], 'step')} in {duration(spent['training_s'])}"
    used = spent["energy"]
    return f"{said}, {number(used['total_j'] / JOULES_A_WH)} Wh" if used else f"{said}, energy not measured"
