"""Log-probabilities are the log-softmax of the logits as they are."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import log_softmax

from localrl.engine import logprobs


@pytest.mark.parametrize("top", [0, 1, 5, 1000, 2000])
def test_a_token_s_log_probability_and_the_likeliest_are_those_of_log_softmax(top: int) -> None:
    logits = np.random.default_rng(0).normal(0, 8, 1000).astype(np.float32)
    expected = log_softmax(logits.astype(np.float64))
    found = logprobs.of_token(logits, 17, top)
    best = np.argsort(-expected)[:top]
    assert found.logprob == pytest.approx(expected[17], abs=1e-5)
    assert [token for token, _ in found.top] == list(best)
    assert [logprob for _, logprob in found.top] == pytest.approx(expected[best], abs=1e-5)


def test_logits_beyond_what_exp_can_take_are_no_trouble() -> None:
    logits = np.array([3e4, 3e4, -3e4, -np.inf], np.float32)
    found = logprobs.of_token(logits, 0, 2)
    assert found.logprob == pytest.approx(np.log(0.5))
    assert [token for token, _ in found.top] == [0, 1]
