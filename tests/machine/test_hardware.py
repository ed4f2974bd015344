"""What a machine is, asked of drivers that are not here."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from localrl import paths
from localrl.errors import UsageError
from localrl.machine import devices, hardware

GIB = 1 << 30


class NVMLError(Exception):
    pass


@pytest.fixture
def two_cards(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A driver with two RTX 4090s, the second of them busy."""
    free = [23 * GIB, 5 * GIB]
    fake = SimpleNamespace(
        NVMLError=NVMLError,
        NVML_CLOCK_MEM=2,
        nvmlInit=lambda: None,
        nvmlShutdown=lambda: None,
        nvmlDeviceGetCount=lambda: 2,
        nvmlDeviceGetHandleByIndex=lambda index: index,
        nvmlDeviceGetName=lambda _: "NVIDIA GeForce RTX 4090",
        nvmlDeviceGetMemoryInfo=lambda index: SimpleNamespace(free=free[index]),
        nvmlDeviceGetEnforcedPowerLimit=lambda _: 450_000,
        nvmlDeviceGetMaxClockInfo=lambda *_: 10_501,
        nvmlDeviceGetMemoryBusWidth=lambda _: 384,
    )
    monkeypatch.setitem(sys.modules, "pynvml", fake)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return fake


def test_nvidia_cards_give_what_is_free_of_all(two_cards: SimpleNamespace) -> None:
    machine = hardware.probe()
    assert machine.device == "2 × NVIDIA GeForce RTX 4090"
    assert (machine.kind, machine.usable_bytes) == ("cuda", 26 * GIB)
    assert (machine.bandwidth, machine.power_w) == (1008e9, 900)


def test_hidden_cards_are_not_counted(two_cards: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    machine = hardware.probe()
    assert (machine.device, machine.usable_bytes) == ("NVIDIA GeForce RTX 4090", 4 * GIB)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert hardware.probe().kind == "cpu"


def test_bandwidth_of_an_unknown_card_follows_from_clock_and_bus(two_cards: SimpleNamespace) -> None:
    two_cards.nvmlDeviceGetName = lambda _: "NVIDIA Mystery 9"
    assert hardware.probe().bandwidth == pytest.approx(1008e9, rel=0.001)


def test_a_driver_that_fails_leaves_the_processor(two_cards: SimpleNamespace) -> None:
    def fail() -> None:
        raise NVMLError("driver not loaded")

    two_cards.nvmlInit = fail
    assert hardware.probe().kind == "cpu"


def test_an_accelerator_can_be_left_out(two_cards: SimpleNamespace) -> None:
    machine = hardware.cpu_only(hardware.probe())
    assert (machine.device, machine.kind) == ("CPU", "cpu")
    assert machine.usable_bytes < machine.memory_bytes


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("NVIDIA GeForce RTX 4070 Ti SUPER", "RTX 4070 Ti Super"),
        ("NVIDIA GeForce RTX 4070 Ti", "RTX 4070 Ti"),
        ("NVIDIA H200", "H200"),
        ("NVIDIA A100-SXM4-80GB", "A100"),
        ("Apple M3 Ultra", "M3 Ultra"),
        ("Apple M3", "M3"),
        ("rtx-4090", "RTX 4090"),
    ],
)
def test_the_longest_known_name_wins(name: str, known: str) -> None:
    found = devices.known(name)
    assert found is not None
    assert found.name == known


def test_sizes_and_bandwidths_are_read_as_people_write_them() -> None:
    assert hardware.parse_bytes("24GiB") == hardware.parse_bytes("24 gb") == 24 * GIB
    assert hardware.parse_bandwidth("1008GB/s") == 1008e9
    for text, read in (("much", hardware.parse_bytes), ("fast", hardware.parse_bandwidth)):
        with pytest.raises(UsageError, match="write"):
            read(text)


def test_bandwidth_is_measured_once_and_kept_for_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    measured = hardware.measured_bandwidth.__wrapped__
    first = measured(0.02)
    assert first > 1e8
    monkeypatch.setattr(hardware, "_read_bandwidth", lambda seconds: 7e9)
    assert measured(0.02) == first
    monkeypatch.setattr(hardware, "_identity", lambda: ["another", 8, 1 << 34, "there"])
    assert measured(0.02) == 7e9
    (paths.home("state") / "bandwidth.json").write_text("damaged")
    assert measured(0.02) == 7e9
