"""The engine plans for the device that llama.cpp's build will use, whoever knows of it."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING

from localrl.engine.backends.llama_cpp import accelerators
from localrl.engine.backends.llama_cpp.accelerators import Accelerator
from localrl.machine import hardware

if TYPE_CHECKING:
    import pytest

    from localrl.machine.hardware import Machine

GIB = 1 << 30
PROCESSOR = hardware.cpu_only(hardware.describe(memory=64 * GIB))
CARD = hardware.describe("rtx-4090")
RADEON = Accelerator("AMD Radeon RX 7900 XTX", 23 * GIB, integrated=False)
INSIDE = Accelerator("Intel Arc", 40 * GIB, integrated=True)


def planned_for(monkeypatch: pytest.MonkeyPatch, known: Machine, usable: list[Accelerator]) -> Machine:
    monkeypatch.setattr(hardware, "probe", lambda: known)
    monkeypatch.setattr(accelerators, "usable", lambda: usable)
    return accelerators.machine()


def test_a_build_that_can_use_no_accelerator_computes_on_the_processor(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert planned_for(monkeypatch, CARD, []).kind == "cpu"


def test_a_card_that_is_known_keeps_what_is_known_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    usable = [Accelerator("NVIDIA GeForce RTX 4090", 20 * GIB, integrated=False)]
    assert planned_for(monkeypatch, CARD, usable) == CARD


def test_cards_that_only_llama_cpp_knows_give_their_own_free_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = planned_for(monkeypatch, PROCESSOR, [RADEON, INSIDE, RADEON])
    assert (machine.device, machine.kind) == (RADEON.name, "cuda")
    assert machine.usable_bytes == 2 * (RADEON.free_bytes - hardware.MARGIN)


def test_an_accelerator_in_the_processor_uses_main_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    assert planned_for(monkeypatch, PROCESSOR, [INSIDE]) == PROCESSOR


def test_a_card_without_free_memory_has_room_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert planned_for(monkeypatch, PROCESSOR, [replace(RADEON, free_bytes=0)]).usable_bytes == 0


def test_only_what_the_build_has_is_found_when_llama_cpp_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    import llama_cpp

    offloads = llama_cpp.llama_supports_gpu_offload()
    monkeypatch.setattr(llama_cpp, "llama_supports_gpu_offload", lambda: True)  # so that it is asked
    assert offloads or not accelerators.usable()


def test_a_library_that_cannot_be_asked_is_trusted_to_have_what_it_was_built_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("llama_cpp.llama_supports_gpu_offload", lambda: True)
    monkeypatch.setitem(sys.modules, "llama_cpp._ggml", None)
    monkeypatch.setattr(hardware, "probe", lambda: CARD)
    assert len(accelerators.usable()) == 1
    assert accelerators.machine() == CARD
