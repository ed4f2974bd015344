"""Threads spin on a quiet machine and sleep on a busy one, told apart by what the steps take."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from localrl.engine.backends.llama_cpp.spinning import MOST_TOKENS, Spinning, SpinPolicy


@dataclass(frozen=True)
class Machine:
    """What a step takes when its threads spin and when they sleep; how many cores they get spinning."""

    spinning_s: float
    asleep_s: float
    cores: float


# Two cores, sixteen streams of a 0.5B.
QUIET = Machine(spinning_s=0.236, asleep_s=0.285, cores=1.98)
BUSY = Machine(spinning_s=0.559, asleep_s=0.256, cores=1.33)
# A tiny model on many cores: a good part of a step is not parallel, and it is no fault of others.
SERIAL = Machine(spinning_s=0.002, asleep_s=0.004, cores=6.0)


def work(policy: SpinPolicy, machine: Machine, seconds: float, start: float = 0.0, tokens: int = 16) -> float:
    """Let the machine work for so long; returns the share of the time in steps that spun."""
    now, spinning_s = start, 0.0
    while now < start + seconds:
        spins = policy.wanted(tokens, now)
        wall = machine.spinning_s if spins else machine.asleep_s
        now += wall
        spinning_s += wall * spins
        policy.observe(tokens, spins, wall, wall * machine.cores if spins else wall, now)
    return spinning_s / (now - start)


def test_on_a_quiet_machine_every_step_spins() -> None:
    assert work(SpinPolicy(2), QUIET, 60) == 1.0


def test_on_a_busy_machine_trying_costs_little() -> None:
    assert 0 < work(SpinPolicy(2), BUSY, 600) < 0.03


def test_it_spins_again_soon_after_the_machine_has_become_quiet() -> None:
    policy = SpinPolicy(2)
    work(policy, BUSY, 60)
    work(policy, QUIET, 30, start=60)
    assert work(policy, QUIET, 10, start=90) > 0.999


def test_steps_that_are_not_parallel_are_not_taken_for_a_busy_machine() -> None:
    policy = SpinPolicy(8)
    work(policy, SERIAL, 2)
    assert work(policy, SERIAL, 10, start=2) > 0.95


def test_one_interruption_is_no_busy_machine() -> None:
    policy = SpinPolicy(2)
    work(policy, QUIET, 5)
    policy.observe(16, True, 0.3, 0.3 * 1.4, 5.3)
    assert policy.wanted(16, 5.3)


def test_the_computing_of_prompts_does_not_spin() -> None:
    assert not SpinPolicy(2).wanted(MOST_TOKENS + 1, 0.0)


@pytest.mark.skipif(sys.platform != "linux", reason="GNU OpenMP is only expected there")
def test_parked_threads_sleep_beside_the_steps_that_do_not_spin() -> None:
    pytest.importorskip("llama_cpp")

    def threads() -> int:
        return len(list(Path("/proc/self/task").iterdir()))

    spinning = Spinning(2)
    before = threads()
    spinning.before(MOST_TOKENS + 1)
    assert threads() > before + 1, "the one that asked for them, and at least one of OpenMP's"
    spinning.after(MOST_TOKENS + 1)
    spinning.close()
    for _ in range(200):
        if threads() <= before:
            break
        time.sleep(0.01)
    assert threads() <= before
