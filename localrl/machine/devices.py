"""Memory, bandwidth and power of devices that people run models on.

From the makers' specification pages (nvidia.com GeForce and data-centre pages, support.apple.com technical
specifications, amd.com); bandwidth in GB/s (10^9), power in watts: for NVIDIA and AMD the board's, for Apple
unknown (None), because Apple gives that of the whole computer only.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from localrl.errors import UsageError, nearest

Kind = Literal["cuda", "metal", "cpu"]


@dataclass(frozen=True, slots=True)
class DeviceSpec:
    name: str
    kind: Kind
    memory_gib: int
    """0 where the buyer chooses."""
    bandwidth_gb: float
    power_w: int | None = None


DEVICES = tuple(
    DeviceSpec(name, "cuda", memory, bandwidth, power)
    for name, memory, bandwidth, power in [
        ("RTX 3060", 12, 360, 170),
        ("RTX 3060 Ti", 8, 448, 200),
        ("RTX 3070", 8, 448, 220),
        ("RTX 3080", 10, 760, 320),
        ("RTX 3080 Ti", 12, 912, 350),
        ("RTX 3090", 24, 936, 350),
        ("RTX 3090 Ti", 24, 1008, 450),
        ("RTX 4060", 8, 272, 115),
        ("RTX 4060 Ti", 16, 288, 165),
        ("RTX 4070", 12, 504, 200),
        ("RTX 4070 Super", 12, 504, 220),
        ("RTX 4070 Ti", 12, 504, 285),
        ("RTX 4070 Ti Super", 16, 672, 285),
        ("RTX 4080", 16, 717, 320),
        ("RTX 4080 Super", 16, 736, 320),
        ("RTX 4090", 24, 1008, 450),
        ("RTX 5060 Ti", 16, 448, 180),
        ("RTX 5070", 12, 672, 250),
        ("RTX 5070 Ti", 16, 896, 300),
        ("RTX 5080", 16, 960, 360),
        ("RTX 5090", 32, 1792, 575),
        ("RTX A6000", 48, 768, 300),
        ("RTX 6000 Ada", 48, 960, 300),
        ("RTX PRO 6000", 96, 1792, 600),
        ("L40S", 48, 864, 350),
        ("A100", 80, 2039, 400),
        ("H100", 80, 3350, 700),
        ("H200", 141, 4800, 700),
        ("DGX Spark", 128, 273, 240),
    ]
) + tuple(
    DeviceSpec(name, "metal", 0, bandwidth)
    for name, bandwidth in [
        ("M1", 68),
        ("M1 Pro", 200),
        ("M1 Max", 400),
        ("M1 Ultra", 800),
        ("M2", 100),
        ("M2 Pro", 200),
        ("M2 Max", 400),
        ("M2 Ultra", 800),
        ("M3", 100),
        ("M3 Pro", 150),
        ("M3 Max", 400),
        ("M3 Ultra", 819),
        ("M4", 120),
        ("M4 Pro", 273),
        ("M4 Max", 546),
        ("M5", 153),
    ]
)
"""The M3 Max and M4 Max also exist with fewer cores and 300 and 410 GB/s: give `--bandwidth` for those."""


MOBILE = re.compile("laptop|max q|mobile")
"""Notebook cards share a name with a faster one."""
COMPUTERS = {"mac", "macbook", "imac", "mini", "studio", "pro", "air", "gpu", "with"}
"""Words around a device's name that say no more about it."""


def known(name: str) -> DeviceSpec | None:
    """The device that a driver's name means, the longest match first."""
    found = _longest(_plain(name))
    return found[0] if found and not MOBILE.search(found[1]) else None


def _longest(plain: str) -> tuple[DeviceSpec, str] | None:
    """The device named, and the words besides its name."""
    for device in sorted(DEVICES, key=lambda d: -len(d.name)):
        name = _plain(device.name)
        if plain.replace(" ", "") in (name.replace(" ", ""), name.removeprefix("rtx ").replace(" ", "")):
            return device, ""
        if found := re.search(rf"(^| ){name}( |$)", plain):
            return device, plain[: found.start()] + " " + plain[found.end() :]
    return None


def described(text: str) -> tuple[DeviceSpec, int]:
    """A device and its memory in bytes from words such as `rtx-4090` or `m3-ultra 512GB`.

    Raises:
        UsageError: the device is unknown, or its memory has to be given.
    """
    size = re.search(r"(\d+)\s*gi?b\b", text, re.IGNORECASE)
    words = text.replace(size[0], "") if size else text
    found = _longest(_plain(words))
    if found is None or set(found[1].split()) - COMPUTERS:
        names = [d.name.lower().replace(" ", "-") for d in DEVICES]
        hint = nearest(_plain(words).replace(" ", "-"), names)
        raise UsageError(
            f"no known device {text!r}", hint=f"{hint}; or give --memory 24GiB --bandwidth 1008GB/s"
        )
    device = found[0]
    memory = int(size[1]) if size else device.memory_gib
    if not memory:
        raise UsageError(f"how much memory has the {device.name}?", hint=f"say '{device.name} 64GB'")
    return device, memory << 30


def _plain(name: str) -> str:
    words = re.sub(r"[^a-z0-9]+", " ", name.lower()).strip()
    return re.sub(r"\b(nvidia|geforce|apple)\b ?", "", words).strip()
