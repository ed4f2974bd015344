"""Energy is what the counters grew by; what was not measured throughout is nothing, not a smaller number."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any

from localrl import installation
from localrl.runs import energy

if TYPE_CHECKING:
    import pytest


class Counter:
    def __init__(self, *values: float) -> None:
        self.values = list(values)

    def __call__(self) -> float:
        if not self.values:
            raise OSError("gone")
        return self.values.pop(0)


def test_energy_is_the_growth_of_each_counter() -> None:
    meter = energy.Meter(
        [energy.Sensor("gpu0", Counter(100, 130, 180)), energy.Sensor("gpu1", Counter(5, 5, 7))]
    )
    assert meter.joules() == {"gpu0": 30, "gpu1": 0}
    assert meter.joules() == {"gpu0": 80, "gpu1": 2}


def test_a_sensor_that_fails_is_left_out_from_then_on() -> None:
    meter = energy.Meter([energy.Sensor("gpu0", Counter(1)), energy.Sensor("gpu1", Counter(1, 2, 3))])
    assert meter.joules() == {"gpu1": 1}
    assert meter.joules() == {"gpu1": 2}


def test_sessions_add_up_only_when_all_measured_the_same() -> None:
    assert energy.summed([{"gpu0": 1.0}, {"gpu0": 2.0}]) == {"total_j": 3.0, "by_sensor_j": {"gpu0": 3.0}}
    assert energy.summed([{"gpu0": 1.0}, {}]) is None
    assert energy.summed([{"gpu0": 1.0}, None]) is None
    assert energy.summed([{}, {}]) is None
    assert energy.summed([]) is None


def zeus_with(monkeypatch: pytest.MonkeyPatch, gpus: Any, chip: Any) -> None:
    """A zeus whose device layer returns, or raises, what is given."""

    def give(value: Any) -> Any:
        def get() -> Any:
            if isinstance(value, Exception):
                raise value
            return value

        return get

    device = ModuleType("zeus.device")
    device.__dict__.update(get_gpus=give(gpus), get_soc=give(chip))
    monkeypatch.setitem(sys.modules, "zeus", ModuleType("zeus"))
    monkeypatch.setitem(sys.modules, "zeus.device", device)


class Gpus:
    """Two GPUs; only the first counts its energy, in millijoules as zeus gives it."""

    def __len__(self) -> int:
        return 2

    def supports_get_total_energy_consumption(self, index: int) -> bool:
        return index == 0

    def get_total_energy_consumption(self, index: int) -> int:
        return 42_000


def test_millijoules_of_gpus_that_count_become_joules(monkeypatch: pytest.MonkeyPatch) -> None:
    zeus_with(monkeypatch, Gpus(), RuntimeError("no chip"))
    (sensor,), reason = energy.sensors()
    assert (sensor.name, sensor.read(), reason) == ("gpu0", 42.0, "")


@dataclass
class ChipReading:
    cpu_total_mj: int | None = 1000
    efficiency_cores_mj: tuple[int, ...] = (1, 2)
    gpu_mj: int | None = 2000
    ane_mj: int | None = None


class Chip:
    def get_total_energy_consumption(self) -> ChipReading:
        return ChipReading()


def test_a_chips_parts_are_counted_once_and_absent_ones_not_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    zeus_with(monkeypatch, RuntimeError("no gpu"), Chip())
    found, _ = energy.sensors()
    assert {s.name: s.read() for s in found} == {"cpu_total": 1.0, "gpu": 2.0}


def test_a_machine_without_sensors_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    zeus_with(monkeypatch, RuntimeError("no\nNVML"), RuntimeError("no chip"))
    assert energy.sensors() == ([], "no NVML; no chip")


def test_without_zeus_the_way_to_get_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "zeus", None)
    monkeypatch.setitem(sys.modules, "zeus.device", None)
    found, reason = energy.sensors()
    assert found == []
    assert installation.extra("energy") in reason
