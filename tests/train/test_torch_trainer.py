"""The torch trainer computes what llama.cpp computes, learns, and goes on where it was stopped."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from localrl.errors import LocalrlError, UsageError
from localrl.train import adapter
from localrl.train.batch import Rollout, RolloutGroup
from localrl.train.losses import Objective
from localrl.train.torch import output
from localrl.train.torch.output import token_logprobs
from localrl.train.torch.trainer import TorchTrainer
from localrl.train.torch.weights import Weight
from localrl.train.trainer import TrainerSettings
from tests.engine.tiny import HEAD_SIZE, write_gguf
from tests.train.llama import logprobs_of
from tests.train.rollouts import make_batch, make_group

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from torch import Tensor

pytestmark = pytest.mark.slow  # torch takes seconds to import

MODELS: list[dict[str, Any]] = [
    {"architecture": "llama"},
    {"architecture": "llama", "rope_factors": True},
    {"architecture": "qwen2"},
    {"architecture": "qwen3"},
]


def make_trainer(path: Path, effect: float = 0.0, **settings: Any) -> TorchTrainer:
    """A trainer with an adapter of random factors; without `effect` it is as new."""
    trainer = TorchTrainer(TrainerSettings(str(path), rank=4, alpha=8.0, threads=1, **settings))
    random = torch.Generator().manual_seed(7)
    for linear in trainer.model.adapters.values():
        linear.b.data.normal_(0, effect, generator=random)
    return trainer


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_gguf(tmp_path_factory.mktemp("model") / "tiny.gguf")


def gradient(trainer: TorchTrainer, groups: Sequence[RolloutGroup], **objective: Any) -> Tensor:
    """Of one step, which is not taken."""
    trainer.step(make_batch(groups, Objective("token", **objective), learning_rate=0.0))
    return torch.cat([values.grad.flatten() for values in trainer.model.parameters])


def drawn_by(trainer: TorchTrainer, group: RolloutGroup) -> RolloutGroup:
    """The group with the trainer's own log-probabilities."""
    found = zip(group.rollouts, trainer.logprobs([group]), strict=True)
    return replace(group, rollouts=tuple(replace(r, logprobs=tuple(map(float, own))) for r, own in found))


@pytest.mark.parametrize("model", MODELS, ids=str)
def test_trainer_and_llama_cpp_with_the_exported_adapter_are_the_same_policy(
    model: dict[str, Any], tmp_path: Path
) -> None:
    path = write_gguf(tmp_path / "tiny.gguf", **model)
    trainer = make_trainer(path, effect=0.1)
    trainer.export(tmp_path / "adapter.gguf")
    group = make_group(1, prompt=20, longest=12)
    ours = trainer.logprobs([group])
    theirs = [logprobs_of(path, group.prompt, r.tokens, tmp_path / "adapter.gguf") for r in group.rollouts]
    without = [logprobs_of(path, group.prompt, r.tokens) for r in group.rollouts]
    assert np.concatenate(ours) == pytest.approx(np.concatenate(theirs), abs=1e-3)
    assert abs(np.concatenate(theirs) - np.concatenate(without)).max() > 0.1


def test_an_adapter_with_the_rows_of_q_and_k_in_another_order_is_another_policy(
    model: Path, tmp_path: Path
) -> None:
    right, wrong = tmp_path / "right.gguf", tmp_path / "wrong.gguf"
    trainer = make_trainer(model, effect=0.3)
    trainer.export(right)
    found = adapter.read(right)
    for layer, (a, b) in found.factors.items():
        if layer.endswith(("attn_q", "attn_k")):
            found.factors[layer] = (a, adapter.halves_from_neighbours(b, HEAD_SIZE))
    found.write(wrong)
    group = make_group(1, k=1, prompt=40)
    ours, tokens = trainer.logprobs([group])[0], group.rollouts[0].tokens
    assert ours == pytest.approx(logprobs_of(model, group.prompt, tokens, right), abs=1e-3)
    assert abs(ours - logprobs_of(model, group.prompt, tokens, wrong)).max() > 1e-2


def test_passes_of_any_size_and_checkpoints_give_the_same_gradient(model: Path) -> None:
    groups = [make_group(seed, k=5) for seed in range(3)]
    whole = gradient(make_trainer(model, effect=0.1), groups, kl=0.1)
    for settings in ({"micro_tokens": 30}, {"micro_tokens": 1}, {"checkpoint": True}):
        part = gradient(make_trainer(model, effect=0.1, **settings), groups, kl=0.1)
        assert float((part - whole).norm() / whole.norm()) < 1e-5


def test_a_prompt_that_rollouts_share_gets_the_gradient_of_all(model: Path) -> None:
    group = make_group(3, k=4)
    alone = [RolloutGroup(group.prompt, (rollout,)) for rollout in group.rollouts]
    shared, apart = (gradient(make_trainer(model, effect=0.1), groups) for groups in ([group], alone))
    assert float((shared - apart).norm() / apart.norm()) < 1e-5


@pytest.mark.parametrize("kind", ["Q4_0", "Q5_0", "Q8_0", "F16", "BF16"])
def test_packed_weights_compute_what_dense_ones_do(kind: str, tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "tiny.gguf", kind=kind)
    group = make_group(2)
    packed, dense = (make_trainer(path, effect=0.1, packed=packed) for packed in (True, False))
    assert np.array_equal(np.concatenate(packed.logprobs([group])), np.concatenate(dense.logprobs([group])))
    assert torch.equal(gradient(packed, [group]), gradient(dense, [group]))


def test_the_output_layer_in_slices_is_log_softmax(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "SLICE", 7)
    random = torch.Generator().manual_seed(0)
    matrix = torch.randn(30, 16, generator=random)
    hidden = torch.randn(9, 16, generator=random).requires_grad_()
    targets = torch.randint(0, 30, (9,), generator=random)
    found, entropy = token_logprobs(hidden, Weight(matrix, 0, (30, 16), torch.float32), targets)
    whole = (hidden @ matrix.T).log_softmax(-1)
    expected = whole[torch.arange(9), targets]
    weights = torch.randn(9, generator=random)
    ours, theirs = (torch.autograd.grad((x * weights).sum(), hidden)[0] for x in (found, expected))
    assert torch.allclose(found, expected, atol=1e-5)
    assert torch.allclose(ours, theirs, atol=1e-5)
    assert torch.allclose(entropy, -(whole.exp() * whole).sum(-1), atol=1e-4)


def test_a_trainer_that_was_stopped_goes_on_to_the_very_same_adapter(model: Path, tmp_path: Path) -> None:
    batches = [make_batch(groups, Objective("token", kl=0.01), updates=2) for groups in (1, 2, 3)]
    whole, first = make_trainer(model), make_trainer(model)
    expected = [whole.step(batch).loss for batch in batches]
    found = [first.step(batches[0]).loss]
    first.save(tmp_path / "state")
    second = make_trainer(model, seed=5)
    second.load(tmp_path / "state")
    assert found + [second.step(batch).loss for batch in batches[1:]] == expected
    for name, trainer in (("whole", whole), ("second", second)):
        trainer.export(tmp_path / name)
    assert (tmp_path / "whole").read_bytes() == (tmp_path / "second").read_bytes()


def test_a_state_of_another_rank_and_a_damaged_one_are_refused(model: Path, tmp_path: Path) -> None:
    other = TorchTrainer(TrainerSettings(str(model), rank=2, alpha=8.0, threads=1))
    other.save(tmp_path / "other")
    (tmp_path / "damaged").write_bytes((tmp_path / "other").read_bytes()[:1000])
    for name in ("other", "damaged", "none"):
        with pytest.raises(LocalrlError, match="state of"):
            make_trainer(model).load(tmp_path / name)


def test_steps_make_the_rewarded_likelier_than_the_others(model: Path) -> None:
    trainer = make_trainer(model)
    group = drawn_by(trainer, make_group(4, k=6))
    before = trainer.logprobs([group])
    first, *_, last = (trainer.step(make_batch([group], learning_rate=1e-2)) for _ in range(5))
    after = trainer.logprobs([group])
    changes = [(new - old).sum() for old, new in zip(before, after, strict=True)]
    assert sum(r.advantage * change for r, change in zip(group.rollouts, changes, strict=True)) > 1
    assert first.tokens == sum(len(rollout.tokens) for rollout in group.rollouts)
    assert first.mismatch == pytest.approx(0, abs=1e-6)
    assert (first.outside, first.capped) == (0, 0)
    assert first.effective == pytest.approx(1)
    assert last.mismatch > 0.01  # the rollouts are of the first policy still


def test_rollouts_without_an_advantage_are_not_computed_but_counted(model: Path) -> None:
    group = make_group(5, k=4)
    idle = Rollout((1, 2, 3), (-1.0, -1.0, -1.0), 0.5)
    trainer = make_trainer(model)
    more = RolloutGroup(group.prompt, (*group.rollouts, idle))
    tokens = sum(len(rollout.tokens) for rollout in group.rollouts)
    small, large = gradient(trainer, [more]), gradient(trainer, [group])
    assert torch.allclose(small * (tokens + 3) / tokens, large, atol=1e-7)


def test_of_a_batch_without_any_advantage_nothing_is_learnt(model: Path) -> None:
    trainer = make_trainer(model)
    group = RolloutGroup((1, 2), (Rollout((1, 2, 3), (-1.0, -1.0, -1.0), 0.5),))
    stats = trainer.step(make_batch([group]))
    assert (stats.tokens, stats.loss, stats.gradient_norm) == (0, 0.0, 0.0)
    assert not any(linear.b.any() for linear in trainer.model.adapters.values())


def test_a_step_that_is_not_finite_changes_nothing(model: Path) -> None:
    trainer = make_trainer(model)
    group = RolloutGroup((1, 2), (Rollout((1, 2), (-1.0, -1.0), 1.0, float("inf")),))
    with pytest.raises(LocalrlError, match="lower learning rate"):
        trainer.step(make_batch([group]))
    assert not any(linear.b.any() for linear in trainer.model.adapters.values())


def test_a_model_that_cannot_be_trained_is_refused_in_one_line(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "tiny.gguf", architecture="gemma")
    with pytest.raises(UsageError, match="'gemma' cannot be trained; take a model of llama, qwen2, qwen3"):
        TorchTrainer(TrainerSettings(str(path)))
