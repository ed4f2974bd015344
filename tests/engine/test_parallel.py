"""`--parallel auto` climbs while doubling the streams pays, and stays where it does not."""

from __future__ import annotations

import pytest

from localrl.engine.parallel import Parallel


def settle(parallel: Parallel, per_step: float, per_stream: float, steps: int = 500) -> int:
    """Feed step times of a machine on which a step takes per_step + per_stream · n."""
    for _ in range(steps):
        parallel.observe(parallel.limit, per_step + per_stream * parallel.limit)
    return parallel.limit


def test_a_machine_that_reads_weights_for_most_of_a_step_gets_many_streams() -> None:
    assert settle(Parallel(), per_step=0.03, per_stream=0.0001) == 128


def test_a_machine_that_computes_for_most_of_a_step_gets_few() -> None:
    assert settle(Parallel(start=4), per_step=0.001, per_stream=0.01) == 4


def test_it_stops_at_the_knee() -> None:
    limit = settle(Parallel(start=2), per_step=0.01, per_stream=0.001)
    assert limit in (64, 128)


def test_a_fixed_number_is_kept() -> None:
    assert settle(Parallel(fixed=3), 0.03, 0.0001) == 3


def test_steps_with_fewer_streams_say_nothing_about_the_limit() -> None:
    parallel = Parallel(start=8)
    for _ in range(100):
        parallel.observe(3, 0.01)
    assert parallel.limit == 8


@pytest.mark.parametrize("highest", [1, 5])
def test_the_limit_never_passes_what_the_device_holds(highest: int) -> None:
    assert settle(Parallel(highest=highest), 0.03, 0.0001) == highest
