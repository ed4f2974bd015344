"""What this machine is: processor, memory and the accelerator that models run on.

NVIDIA through nvidia-ml-py, Apple through sysctl, else psutil. A machine
can also be described in words, to ask what would fit on one that is not here.
"""

from __future__ import annotations

import contextlib
import os
import platform
import re
import subprocess
import time
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import psutil

from localrl import jsontext, paths
from localrl.errors import LocalrlError, UsageError
from localrl.machine import devices

GIB = 1 << 30
MARGIN = GIB
"""Left free on an accelerator, for the desktop and for what the driver itself takes."""
VISIBLE = 24_077 / 24_576
"""Part of an NVIDIA card's memory that programs see (RTX 4090: 24,077 of 24,576 MiB)."""


@dataclass(frozen=True, slots=True)
class Machine:
    device: str
    """What computes: the accelerator's name, or `CPU`."""
    memory_bytes: int
    """Main memory."""
    cpu: str
    cores: int
    """Physical cores that this process may use."""
    os: str
    kind: devices.Kind = "cpu"
    usable_bytes: int = 0
    """What models may take of the device's memory now, the margin left out."""
    bandwidth: float | None = None
    """Bytes a second from the memory that holds the weights."""
    power_w: float | None = None
    """Of the device under load, where its maker says."""
    raisable_bytes: int = 0
    """On a Mac, what `usable_bytes` could be after raising the wired limit."""
    described: bool = False
    """Not this machine, but one in words."""


def probe() -> Machine:
    """Describe the machine that this process runs on."""
    machine = Machine(
        device="CPU",
        memory_bytes=psutil.virtual_memory().total,
        cpu=_cpu_name(),
        cores=cores(),
        os=f"{platform.system()} {platform.release()} {platform.machine()}",
    )
    machine = replace(machine, usable_bytes=_usable_main_memory())
    return _nvidia(machine) or _apple(machine) or machine


def here() -> Machine:
    """This machine; where nobody says its memory's bandwidth, it is measured for a moment, once."""
    machine = probe()
    if machine.bandwidth is None and machine.kind == "cpu":
        return replace(machine, bandwidth=measured_bandwidth())
    return machine


def cpu_only(machine: Machine) -> Machine:
    """The same machine for a llama.cpp that was built without its accelerator."""
    if machine.kind == "cpu":
        return machine
    usable = int(machine.memory_bytes * 0.9) - MARGIN if machine.described else _usable_main_memory()
    return replace(machine, device="CPU", kind="cpu", usable_bytes=usable, bandwidth=None, power_w=None)


def describe(device: str = "", memory: int | None = None, bandwidth: float | None = None) -> Machine:
    """A machine in words: a known device, or one given by its memory in bytes and bandwidth in bytes/s.

    Raises:
        UsageError: the device is not known, or too little is said about it.
    """
    if memory is not None and memory < 1 << 20:
        raise UsageError(f"{memory:,} bytes of memory hold no model", hint="write 24GiB")
    if not device:
        if memory is None:
            raise UsageError("say how much memory the machine has", hint="for example --memory 24GiB")
        return _described("described device", "cuda", memory, memory - MARGIN, bandwidth)
    known, size = devices.described(device)
    size = memory or size
    rate = bandwidth or known.bandwidth_gb * 1e9
    if known.kind == "metal":
        machine = _described(f"Apple {known.name}", "metal", size, apple_limit(size) - MARGIN, rate)
        return replace(machine, raisable_bytes=size // 8 * 7 - MARGIN)
    machine = _described(f"NVIDIA {known.name}", "cuda", size, int(size * VISIBLE) - MARGIN, rate)
    return replace(machine, power_w=known.power_w)


def _described(name: str, kind: devices.Kind, memory: int, usable: int, bandwidth: float | None) -> Machine:
    return Machine(
        name, memory, "", 0, "", kind=kind, usable_bytes=max(0, usable), bandwidth=bandwidth, described=True
    )


def apple_limit(memory: int) -> int:
    """What Metal recommends as a working set by default: two thirds up to 36 GB, three quarters above."""
    return memory * 2 // 3 if memory <= 36 * GIB else memory * 3 // 4


def cores() -> int:
    """Physical cores, or fewer where this process may only use some."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(psutil.cpu_count(logical=False) or allowed, allowed)


def parse_bytes(text: str) -> int:
    """Bytes from `24GiB`, `512 GB` or a plain number; GB is read as GiB, as memory is sold.

    Raises:
        UsageError: the text is no size.
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?)i?B?\s*", text, re.IGNORECASE)
    if not found:
        raise UsageError(f"{text!r} is no size", hint="write 24GiB")
    return int(float(found[1]) * 1024 ** " KMGT".index(found[2].upper() or " "))


def parse_bandwidth(text: str) -> float:
    """Bytes a second from `1008GB/s`.

    Raises:
        UsageError: the text is no bandwidth.
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([MGT])B(?:/s)?\s*", text, re.IGNORECASE)
    if not found:
        raise UsageError(f"{text!r} is no bandwidth", hint="write 1008GB/s")
    return float(found[1]) * {"M": 1e6, "G": 1e9, "T": 1e12}[found[2].upper()]


@cache
def measured_bandwidth(seconds: float = 1.0) -> float:
    """Bytes a second that this machine's cores read from main memory together.

    Measured once and kept beside what the machine is, so that every promise rests on one number; `models fit
    --bandwidth` overrides it, and removing `bandwidth.json` of the state folder measures again.
    """
    kept, identity = paths.home("state") / "bandwidth.json", _identity()
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        known = jsontext.loads(kept.read_bytes())
        if known["machine"] == identity and known["bytes_per_s"] > 0:
            return float(known["bytes_per_s"])
    found = _read_bandwidth(seconds)
    with contextlib.suppress(OSError, LocalrlError):
        paths.ensure(kept.parent)
        with paths.whole_file(kept) as file:
            file.write(jsontext.dumps({"machine": identity, "bytes_per_s": found}).encode())
    return found


def _identity() -> list[str | int]:
    return [_cpu_name(), cores(), psutil.virtual_memory().total, platform.node()]


def _read_bandwidth(seconds: float) -> float:
    """The best of five rounds: other work on the machine only ever makes one slower."""
    from concurrent.futures import ThreadPoolExecutor

    import numpy as np

    count = cores()
    blocks = [np.ones(8 << 20, dtype=np.float64) for _ in range(count)]

    def read(block: Any, until: float) -> int:
        rounds = 0
        while time.monotonic() < until:
            block.sum()
            rounds += 1
        return rounds * int(block.nbytes)

    best = 0.0
    with ThreadPoolExecutor(count) as pool:
        for _ in range(5):
            began = time.monotonic()
            total = sum(pool.map(read, blocks, [began + seconds / 5] * count))
            best = max(best, total / (time.monotonic() - began))
    return best


def free_memory() -> int:
    """Bytes of main memory that programs can have now."""
    return int(psutil.virtual_memory().available)


def _usable_main_memory() -> int:
    memory = psutil.virtual_memory()
    return int(max(0, memory.available - max(MARGIN, memory.total // 10)))


def _nvidia(machine: Machine) -> Machine | None:
    """The NVIDIA cards that CUDA programs may use, together; layers are spread over them."""
    try:
        import pynvml
    except ImportError:
        return None
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return None
    try:
        handles = [pynvml.nvmlDeviceGetHandleByIndex(i) for i in _visible(pynvml.nvmlDeviceGetCount())]
        if not handles:
            return None
        name = str(pynvml.nvmlDeviceGetName(handles[0]))
        free = sum(int(pynvml.nvmlDeviceGetMemoryInfo(handle).free) - MARGIN for handle in handles)
        known = devices.known(name)
        rate = known.bandwidth_gb * 1e9 if known else _nvidia_bandwidth(pynvml, handles[0])
        watts = sum(pynvml.nvmlDeviceGetEnforcedPowerLimit(handle) for handle in handles) / 1000
    except pynvml.NVMLError:
        return None
    finally:
        pynvml.nvmlShutdown()
    label = name if len(handles) == 1 else f"{len(handles)} × {name}"
    return replace(
        machine, device=label, kind="cuda", usable_bytes=max(0, free), bandwidth=rate, power_w=watts
    )


def _visible(count: int) -> list[int]:
    """Indices that CUDA_VISIBLE_DEVICES leaves; names such as UUIDs are not looked up."""
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is None:
        return list(range(count))
    return [int(part) for part in chosen.split(",") if part.strip().isdigit() and int(part) < count]


def _nvidia_bandwidth(pynvml: Any, handle: Any) -> float:
    """Two transfers a clock over the whole bus, as the specification pages compute it."""
    clock = pynvml.nvmlDeviceGetMaxClockInfo(handle, pynvml.NVML_CLOCK_MEM)
    return float(clock * 1e6 * 2 * pynvml.nvmlDeviceGetMemoryBusWidth(handle) / 8)


def _apple(machine: Machine) -> Machine | None:
    if platform.system() != "Darwin" or platform.machine() != "arm64":
        return None
    total = machine.memory_bytes
    wired = _sysctl("iogpu.wired_limit_mb")
    limit = int(wired) << 20 if wired.isdigit() and int(wired) else apple_limit(total)
    name = _sysctl("machdep.cpu.brand_string") or "Apple"
    known = devices.known(name)
    return replace(
        machine,
        device=name,
        cpu=name,
        kind="metal",
        usable_bytes=limit - MARGIN,
        raisable_bytes=total // 8 * 7 - MARGIN,
        bandwidth=known.bandwidth_gb * 1e9 if known else None,
    )


def _sysctl(key: str) -> str:
    try:
        found = subprocess.run(["/usr/sbin/sysctl", "-n", key], capture_output=True, text=True, timeout=5)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return found.stdout.strip()


def _cpu_name() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
