"""Models are ranked by right answers an hour, and the columns tell why."""

from __future__ import annotations

import pytest

from localrl.catalog import assess
from localrl.catalog import card as cards
from localrl.catalog.assess import RANK, USABLE, Workload, advise, catalogue
from localrl.catalog.yields import REFERENCE, Experience, expect
from localrl.machine import hardware

MACHINES = ["rtx-4090", "m4-pro 24GB", "m3-ultra 512GB"]


@pytest.mark.parametrize("device", MACHINES)
def test_the_order_can_be_recomputed_from_what_is_shown(device: str) -> None:
    lines = catalogue(hardware.describe(device), Workload())
    for line in lines:
        if line.right_per_hour is not None:
            assert line.expected is not None
            assert line.expected.accuracy is not None
            assert line.throughput is not None
            right = line.expected.accuracy.value * line.throughput.together * 3600
            assert line.right_per_hour == pytest.approx(right / line.expected.tokens_per_answer)
    keys = [
        (
            RANK[line.plan.verdict],
            line.throughput is not None and line.throughput.single < USABLE,
            line.right_per_hour is None,
            -(line.right_per_hour or 0),
        )
        for line in lines
    ]
    assert keys == sorted(keys)


@pytest.mark.parametrize("device", MACHINES)
def test_advice_names_the_best_and_only_what_beats_it(device: str) -> None:
    lines = catalogue(hardware.describe(device), Workload())
    by_name = {line.name: line for line in lines}
    advice = advise(lines)
    assert advice.best == lines[0].name
    best = by_name[advice.best]
    assert best.throughput is not None
    assert best.expected is not None
    assert best.expected.accuracy is not None
    assert advice.faster or advice.most_accurate
    if advice.faster:
        faster = by_name[advice.faster].throughput
        assert faster is not None
        assert faster.together > best.throughput.together
    if advice.most_accurate:
        better = by_name[advice.most_accurate].expected
        assert better is not None
        assert better.accuracy is not None
        assert better.accuracy.value > best.expected.accuracy.value


def test_what_nobody_waits_for_comes_last_and_is_not_advised() -> None:
    slow = hardware.describe("", 1 << 36, 20e9)  # 64 GiB at 20 GB/s
    lines = catalogue(slow, Workload())
    usable = [line.usable for line in lines if line.plan.verdict == "fits"]
    assert usable == sorted(usable, reverse=True)
    assert False in usable
    advised = advise(lines)
    assert all(line.usable for line in lines if line.name in (advised.best, advised.most_accurate))


def test_a_run_on_this_machine_counts_before_what_is_published() -> None:
    card = cards.load("qwq-32b")
    published = expect(card, Experience(), REFERENCE, 13_000, 100.0)
    assert published.accuracy is not None
    assert not published.accuracy.measured
    measured = expect(card, Experience(50.0, {"aime24": 0.5}, {"aime24": 9000.0}), REFERENCE, 13_000, 50.0)
    assert measured.accuracy is not None
    assert measured.accuracy.measured
    assert measured.right_per_hour == pytest.approx(0.5 * 50 * 3600 / 9000)


def test_a_measured_speed_takes_the_place_of_the_expected_one() -> None:
    machine = hardware.describe("rtx-4090")
    known = Workload(measured={"qwen3-8b:Q8_0": Experience(tokens_per_s=77.0)})
    line = next(line for line in catalogue(machine, known) if line.name == "qwen3-8b:Q8_0")
    assert line.throughput is not None
    assert line.throughput.together == 77.0


def test_what_is_unknown_is_none_and_not_nought() -> None:
    line = assess.quantisations(cards.load("smollm2-135m"), hardware.describe("rtx-4090"), Workload())[0]
    assert line.right_per_hour is None
    assert line.expected is not None
    assert line.expected.accuracy is None
