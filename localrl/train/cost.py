"""What a step costs: wall and processor time, memory, energy, of the app and the engine's worker together."""

from __future__ import annotations

import resource
import sys
import time
from typing import TYPE_CHECKING, Any

import psutil

from localrl.runs import energy

if TYPE_CHECKING:
    from collections.abc import Sequence

    from localrl.engine.protocol import Metrics


class Cost:
    """Counts from when it is made."""

    def __init__(self, worker: int, sensors: Sequence[energy.Sensor]) -> None:
        """
        Args:
            worker: the process that holds the engine.
        """
        self._worker, self._meter = worker, energy.Meter(sensors)
        self._began, self._processor = time.monotonic(), self._used()

    @property
    def wall_s(self) -> float:
        return time.monotonic() - self._began

    def as_record(self, engine: Metrics) -> dict[str, Any]:
        """The fields of a `StepRecord`."""
        return {
            "wall_s": self.wall_s,
            "processor_s": max(0.0, self._used() - self._processor),
            "memory_bytes": engine.peak_memory_bytes + _own_peak(),
            "energy_j": self._meter.joules(),
        }

    def _used(self) -> float:
        try:
            worker = psutil.Process(self._worker).cpu_times()
        except psutil.Error:  # it has just died, and another will be started
            return time.process_time()
        return time.process_time() + worker.user + worker.system


def _own_peak() -> int:
    """Bytes that were resident in this process at once."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
