"""The wall times of a backend are those of the steps in which it did something."""

from __future__ import annotations

import pytest

from localrl.engine.metrics import ServerMetrics, StepMetrics
from localrl.engine.parallel import Parallel


def test_a_text_that_begins_and_ends_within_one_step_took_that_time() -> None:
    meter = ServerMetrics(Parallel(4))
    now = meter._last
    meter.generated += 30
    meter.measure(now + 0.5, decoding=0, streams=0)
    meter.measure(now + 0.75, decoding=0, streams=0)
    assert meter.metrics().decode_s == pytest.approx(0.5)


def test_a_step_of_prompts_and_streams_is_shared_by_tokens() -> None:
    steps = StepMetrics(Parallel(4))
    steps.measure(decoding=4, prefilled=0, seconds=1.0)
    steps.measure(decoding=4, prefilled=12, seconds=2.0)
    steps.measure(decoding=0, prefilled=16, seconds=1.0)
    metrics = steps.metrics()
    assert (metrics.decode_s, metrics.prefill_s) == (3.0, 2.5)
    assert (metrics.prefill_tokens, metrics.steps) == (28, 3)
