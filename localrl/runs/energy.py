"""Joules of a run, from the energy counters of the GPU (NVIDIA, AMD) or of the chip (Apple), read by zeus.

zeus (the extra `energy`) is the library that the field measures with. Only its device layer is imported: it
has cumulative counters, which cost nothing between readings and miss nothing. They count the whole device,
so what else runs on it is counted too. A machine's CPU outside such a chip is not measured: on Linux its
counters are readable by root alone. What cannot be measured is said, and never estimated.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from localrl import installation

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_CHIP_PARTS = ("cpu_total_mj", "gpu_mj", "gpu_sram_mj", "ane_mj", "dram_mj")
"""Parts of an Apple chip that do not contain one another."""


@dataclass(frozen=True, slots=True)
class Sensor:
    name: str
    read: Callable[[], float]
    """Joules since some moment in the past; only differences mean anything."""


class Meter:
    """Joules since it was made, by sensor."""

    def __init__(self, sensors: Sequence[Sensor]) -> None:
        self._sensors = {sensor.name: sensor for sensor in sensors}
        self._start: dict[str, float] = {}
        for name, value in self._read().items():
            self._start[name] = value

    def joules(self) -> dict[str, float]:
        """By sensor; one that fails is left out from then on, since half a run's energy is none."""
        now = self._read()
        return {name: now[name] - start for name, start in self._start.items() if name in now}

    def _read(self) -> dict[str, float]:
        found = {}
        for name, sensor in list(self._sensors.items()):
            try:
                found[name] = sensor.read()
            except Exception:  # noqa: BLE001 (a driver may raise anything; a run must not end for its meter)
                del self._sensors[name]
        return found


def sensors() -> tuple[list[Sensor], str]:
    """What this machine can measure, and in words why nothing, if nothing."""
    try:
        from zeus.device import get_gpus, get_soc
    except ImportError:
        return [], f"energy needs zeus: {installation.extra('energy')}"
    looks: tuple[tuple[Callable[[], Any], Callable[[Any], list[Sensor]]], ...]
    looks = ((get_gpus, _gpus), (get_soc, _chip))
    found: list[Sensor] = []
    reasons = []
    for get, sensors_of in looks:
        try:
            found += sensors_of(get())
        except Exception as error:  # noqa: BLE001 (zeus and the drivers below it raise many kinds)
            reasons.append(" ".join(str(error).split()))
    return found, "" if found else "; ".join(reasons) or "no device here counts its energy"


def _gpus(gpus: Any) -> list[Sensor]:
    """A sensor for each GPU that counts its own energy (NVIDIA since Volta)."""

    def sensor(index: int) -> Sensor:
        return Sensor(f"gpu{index}", lambda: gpus.get_total_energy_consumption(index) / 1000)

    return [sensor(i) for i in range(len(gpus)) if gpus.supports_get_total_energy_consumption(i)]


def _chip(chip: Any) -> list[Sensor]:
    """A sensor for each part of the chip that this generation counts."""
    first = chip.get_total_energy_consumption()
    known = {field.name for field in fields(first)}

    def sensor(part: str) -> Sensor:
        return Sensor(
            part.removesuffix("_mj"), lambda: float(getattr(chip.get_total_energy_consumption(), part)) / 1000
        )

    return [sensor(part) for part in _CHIP_PARTS if part in known and getattr(first, part) is not None]


def summed(sessions: Sequence[dict[str, float] | None]) -> dict[str, Any] | None:
    """Energy of a run from its sessions' joules by sensor, as the report has it.

    None unless every session measured the same sensors: a sum with a part missing would look like a saving.
    """
    if not sessions or not sessions[0] or any((s or {}).keys() != sessions[0].keys() for s in sessions):
        return None
    by_sensor = {name: sum(s[name] for s in sessions if s) for name in sessions[0]}
    return {"total_j": sum(by_sensor.values()), "by_sensor_j": by_sensor}
