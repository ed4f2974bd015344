"""Losses and gradients worked out by hand, for each recipe."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from localrl.train.losses import Objective, k3, policy_loss, token_weights

GRPO = Objective("sample", clip_low=0.2, clip_high=0.2, kl=0.04)
DAPO = Objective("token", clip_low=0.2, clip_high=0.28)
LENGTHS = [1, 3]
LOGPROBS = np.log([0.5, 0.2, 0.4, 0.8])
ADVANTAGES = np.array([1.0, -1.0, -1.0, -1.0])


def loss(objective: Objective, **given: Any) -> Any:
    values = {"logprobs": LOGPROBS, "old": LOGPROBS, "engine": LOGPROBS, "advantages": ADVANTAGES}
    return policy_loss(objective, **{**values, "weights": token_weights(objective, LENGTHS), **given})


def test_grpo_averages_over_samples_and_dapo_over_tokens() -> None:
    assert token_weights(GRPO, LENGTHS) == pytest.approx([1 / 2, 1 / 6, 1 / 6, 1 / 6])
    assert token_weights(DAPO, LENGTHS) == pytest.approx([1 / 4] * 4)
    assert loss(GRPO, reference=LOGPROBS).value == pytest.approx(-1 / 2 + 3 / 6)
    assert loss(DAPO).value == pytest.approx(-1 / 4 + 3 / 4)


def test_a_divisor_stands_in_for_the_batch_s_own_size() -> None:
    assert token_weights(Objective("sample", divisor=8), LENGTHS) == pytest.approx([1 / 8] + [1 / 24] * 3)
    assert token_weights(Objective("token", divisor=40), LENGTHS) == pytest.approx([1 / 40] * 4)


def test_on_policy_the_gradient_is_minus_the_advantage() -> None:
    assert loss(DAPO).gradient == pytest.approx([-1 / 4, 1 / 4, 1 / 4, 1 / 4])


def test_a_ratio_beyond_the_clip_gives_no_gradient_where_it_would_gain() -> None:
    # ratios 1.5 (A > 0), 0.5, 1.5, 0.9 (A < 0): the first two are clipped, to 1.28 and to 0.8
    old = LOGPROBS - np.log([1.5, 0.5, 1.5, 0.9])
    found = loss(DAPO, old=old, engine=old)
    assert (found.gradient == 0).tolist() == [True, True, False, False]
    assert found.value == pytest.approx((-1.28 + 0.8 + 1.5 + 0.9) / 4)
    assert found.gradient == pytest.approx([0, 0, 1.5 / 4, 0.9 / 4])


def test_importance_weights_are_truncated_token_by_token() -> None:
    # the trainer finds the tokens 4, 1, 0.5 and 1 times as likely as the engine
    found = loss(DAPO, engine=LOGPROBS - np.log([4, 1, 0.5, 1]))
    assert found.importance == pytest.approx([2, 1, 0.5, 1])
    assert found.capped.tolist() == [True, False, False, False]
    assert found.value == pytest.approx((-2 + 1 + 0.5 + 1) / 4)
    assert found.gradient == pytest.approx([-2 / 4, 1 / 4, 0.5 / 4, 1 / 4])


def test_kl_pulls_to_the_reference() -> None:
    # p_ref / p = 1, 2, 1/2, 1: k3 = 0, 2 - log 2 - 1, 1/2 + log 2 - 1, 0; its slope 1 - p_ref / p
    reference = LOGPROBS + np.log([1, 2, 0.5, 1])
    found = loss(GRPO, reference=reference, advantages=np.zeros(4))
    assert found.kl == pytest.approx([0, 1 - np.log(2), np.log(2) - 0.5, 0])
    assert found.value == pytest.approx(0.04 * (1 - np.log(2) + np.log(2) - 0.5) / 6)
    assert found.gradient == pytest.approx([0, 0.04 * -1 / 6, 0.04 * 0.5 / 6, 0])


@pytest.mark.parametrize("objective", [GRPO, DAPO, Objective("token", kl=0.1, importance_cap=1.2)])
def test_the_gradient_is_the_loss_s_own(objective: Objective) -> None:
    random = np.random.default_rng(0)
    logprobs, old, engine, reference = -random.random((4, 12))
    lengths, advantages = [5, 7], np.repeat([0.7, -1.1], [5, 7])
    given = {
        "old": old,
        "engine": engine,
        "advantages": advantages,
        "reference": reference,
        "weights": token_weights(objective, lengths),
    }
    found = policy_loss(objective, logprobs=logprobs, **given)
    for index in range(12):
        moved = 1e-6 * np.eye(12)[index]
        up = policy_loss(objective, logprobs=logprobs + moved, **given).value
        down = policy_loss(objective, logprobs=logprobs - moved, **given).value
        assert found.gradient[index] == pytest.approx((up - down) / 2e-6, abs=1e-7)


TRL_SAMPLES = (
    ([-1.03, -1.81, -0.74, -0.25], [-0.35, -0.82, -1.85, -2.27], [-1.58, -1.61, -0.36, -1.58], 1.2),
    ([-2.43, -1.43], [-2.23, -2.37], [-1.98, -0.07], -0.7),
    ([-1.63, -1.46, -1.21], [-0.11, -1.86, -1.7], [-2.31, -0.37, -0.97], -0.5),
)
"""Three samples: log-probabilities now, before the update, and of the engine; advantage."""
TRL_REFERENCE = [-1.4, -1.54, -1.4, -1.0, -2.21, -1.02, -2.19, -0.86, -1.58]
TRL_GRPO = (
    -0.0029437948,
    [-0.1002925, -0.0753486, 0.0016105, 0.0017588, 0.0727494, 0.026565, 0.0019057, 0.0150248, 0.0450761],
)
TRL_DAPO = (
    -0.1374259768,
    [-0.1350979, -0.0990871, 0.0, 0.0, 0.0495933, 0.0199625, 0.0, 0.0186787, 0.0437015],
)
"""Loss and gradient by `GRPOTrainer._compute_loss` of TRL 1.16.0, run on a stand-in for `self` up to its line
"Log the metrics": loss_type as named, beta 0.04 and 0, epsilon 0.2, epsilon_high 0.2 and 0.28, use_vllm,
importance_sampling_ratio = exp(old - engine) clamped at 2, num_items_in_batch 9. The gradient by autograd."""


@pytest.mark.parametrize(("objective", "expected"), [(GRPO, TRL_GRPO), (DAPO, TRL_DAPO)])
def test_losses_and_gradients_are_those_of_trl(
    objective: Objective, expected: tuple[float, list[float]]
) -> None:
    logprobs, old, engine = (np.concatenate([each[i] for each in TRL_SAMPLES]) for i in range(3))
    lengths = [len(each[0]) for each in TRL_SAMPLES]
    found = policy_loss(
        objective,
        logprobs=logprobs,
        old=old,
        engine=engine,
        advantages=np.repeat([each[3] for each in TRL_SAMPLES], lengths),
        weights=token_weights(objective, lengths),
        reference=np.array(TRL_REFERENCE) if objective.kl else None,
    )
    assert found.value == pytest.approx(expected[0], abs=1e-7)  # TRL's are single
    assert found.gradient == pytest.approx(expected[1], abs=1e-7)


def test_k3_estimates_the_kl_divergence() -> None:
    p, q = np.array([0.2, 0.3, 0.5]), np.array([0.4, 0.4, 0.2])
    exact = (p * np.log(p / q)).sum()
    assert (p * k3(np.log(p), np.log(q))).sum() == pytest.approx(exact)
