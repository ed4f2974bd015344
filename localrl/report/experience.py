"""What runs on this machine know of each model: how fast it is, how often right, and how long it thinks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from localrl.catalog.yields import Experience
from localrl.report import listing, metrics
from localrl.report.run_summary import judged

if TYPE_CHECKING:
    from collections.abc import Mapping

    from localrl.machine.hardware import Machine
    from localrl.store.runs import Store


def of(store: Store, machine: Machine) -> dict[str, Experience]:
    """By model and quantisation (`qwq-32b:Q4_K_M`), of complete runs on `machine`; the newest counts."""
    found: dict[str, tuple[list[float], dict[str, float], dict[str, float]]] = {}
    for run in listing.runs(store):
        if run.status != "complete" or not _was_on(run.report["hardware"], machine):
            continue
        model = run.report["model"]
        speeds, accuracy, tokens = found.setdefault(f"{model['name']}:{model['quantisation']}", ([], {}, {}))
        if run.speed:
            speeds.append(run.speed)
        for entry in judged(run.report):
            accuracy.setdefault(entry["eval"], entry["accuracy"]["value"])
            tokens.setdefault(entry["eval"], metrics.generated(entry) / metrics.samples(entry))
    return {
        name: Experience(speeds[0] if speeds else None, accuracy, tokens)
        for name, (speeds, accuracy, tokens) in found.items()
    }


def _was_on(hardware: Mapping[str, Any], machine: Machine) -> bool:
    return hardware.get("device") == machine.device and hardware.get("cpu") == machine.cpu
