"""The trainer on torch: passes over the groups, AdamW on the adapter, its state and the adapter as files."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from localrl import paths
from localrl.catalog import gguf
from localrl.errors import LocalrlError
from localrl.machine import hardware
from localrl.train import architecture, memory
from localrl.train.adapter import Adapter
from localrl.train.batch import engine_logprobs, rollouts_of, token_advantages
from localrl.train.losses import policy_loss, token_weights
from localrl.train.passes import in_passes, lay_out
from localrl.train.tally import StepTally
from localrl.train.torch import weights
from localrl.train.torch.model import PolicyModel

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from localrl.train.batch import RolloutGroup, TrainingBatch
    from localrl.train.losses import Objective
    from localrl.train.trainer import StepStats, TrainerSettings

    Old = Mapping[int, NDArray[np.float32]]
    """Log-probabilities before the batch's first update, by the identity of the rollout."""

STATE_VERSION = 1


class TorchTrainer:
    """A `Trainer` on CUDA where there is a device, else on the processor.

    Raises (when made):
        UsageError: this model cannot be trained.
        Unavailable: there is not enough memory.
    """

    def __init__(self, settings: TrainerSettings) -> None:
        self._settings = settings
        path = Path(settings.model)
        header = gguf.preflight(path)
        self.architecture = architecture.of(header)
        torch.set_num_threads(settings.threads or hardware.cores())
        self._cuda = torch.cuda.is_available()
        device = torch.device("cuda" if self._cuda else "cpu")
        free = torch.cuda.mem_get_info()[0] if self._cuda else hardware.free_memory()
        self.fit = memory.plan(header, settings, free=free, device=device.type)
        dtype = torch.bfloat16 if self._cuda else torch.float32
        self.model = PolicyModel(
            self.architecture,
            weights.read(path, device, dtype, self.fit.packed),
            device,
            dtype,
            rank=settings.rank,
            scale=settings.alpha / settings.rank,
            seed=settings.seed,
        )
        self._optimiser = torch.optim.AdamW(
            self.model.parameters, betas=settings.betas, weight_decay=settings.weight_decay
        )

    def step(self, batch: TrainingBatch) -> StepStats:
        tally = StepTally(with_kl=bool(batch.objective.kl))
        if self._cuda:
            torch.cuda.reset_peak_memory_stats()
        old: Old = {}
        if batch.updates > 1:
            rollouts = map(id, rollouts_of(batch.groups))
            old = dict(zip(rollouts, self.logprobs(batch.groups), strict=True))
        for share in np.array_split(np.arange(len(batch.groups)), batch.updates):
            if len(share):
                self._update([batch.groups[index] for index in share], batch, old, tally)
        return tally.stats(torch.cuda.max_memory_allocated() if self._cuda else None)

    def _update(
        self, groups: Sequence[RolloutGroup], batch: TrainingBatch, old: Old, tally: StepTally
    ) -> None:
        objective = batch.objective.over([len(rollout.tokens) for rollout in rollouts_of(groups)])
        self._optimiser.zero_grad(set_to_none=True)
        for part in in_passes(list(_with_gradient(groups, objective)), self.fit.micro_tokens):
            self._backward(part, objective, old, tally)
        parameters = self.model.parameters
        tally.add_update(float(torch.nn.utils.clip_grad_norm_(parameters, batch.clip_norm)))
        for options in self._optimiser.param_groups:
            options["lr"] = batch.learning_rate
        self._optimiser.step()

    def _backward(
        self, groups: Sequence[RolloutGroup], objective: Objective, old: Old, tally: StepTally
    ) -> None:
        """Add the gradient of some groups' part of the loss."""
        flat, rollouts = lay_out(groups), rollouts_of(groups)
        reference = None
        if objective.kl:
            with torch.no_grad():
                reference = self.model.logprobs(flat, adapted=False)[0].double().cpu().numpy()
        logprobs, entropy = self.model.logprobs(flat, again=self.fit.checkpoint)
        now = logprobs.detach().double().cpu().numpy()
        before = np.concatenate([old[id(rollout)] for rollout in rollouts]).astype(float) if old else now
        engine = engine_logprobs(rollouts)
        loss = policy_loss(
            objective,
            logprobs=now,
            old=before,
            engine=engine,
            advantages=token_advantages(rollouts),
            weights=token_weights(objective, [len(rollout.tokens) for rollout in rollouts]),
            reference=reference,
        )
        logprobs.backward(torch.from_numpy(loss.gradient).to(logprobs))
        tally.add_pass(loss, entropy.double().cpu().numpy(), before, engine)

    def logprobs(self, groups: Sequence[RolloutGroup]) -> list[NDArray[np.float32]]:
        found: list[NDArray[np.float32]] = []
        for part in in_passes(groups, self.fit.micro_tokens):
            with torch.no_grad():
                flat = self.model.logprobs(lay_out(part))[0].float().cpu().numpy()
            ends = np.cumsum([len(rollout.tokens) for rollout in rollouts_of(part)])
            found += np.split(flat, ends[:-1])
        return found

    def save(self, path: Path) -> None:
        state = {
            **self._identity(),
            "adapter": [values.detach().cpu() for values in self.model.parameters],
            "optimiser": self._optimiser.state_dict(),
        }
        with paths.whole_file(path) as out:
            torch.save(state, out)
            out.flush()
            os.fsync(out.fileno())

    def load(self, path: Path) -> None:
        try:
            state = torch.load(path, map_location=self.model.device, weights_only=True)
        except Exception as error:
            raise LocalrlError(f"{path} is no state of a training") from error
        if any(state.get(key) != value for key, value in self._identity().items()):
            raise LocalrlError(f"{path} is the state of another model's training, or of another version's")
        with torch.no_grad():
            for values, saved in zip(self.model.parameters, state["adapter"], strict=True):
                values.copy_(saved)
        self._optimiser.load_state_dict(state["optimiser"])

    def _identity(self) -> dict[str, Any]:
        shapes = [tuple(values.shape) for values in self.model.parameters]
        return {"version": STATE_VERSION, "alpha": self._settings.alpha, "shapes": shapes}

    def export(self, path: Path) -> None:
        factors = {
            name: (linear.a.detach().cpu().numpy(), linear.b.detach().cpu().numpy())
            for name, linear in self.model.adapters.items()
        }
        Adapter(self.architecture.name, self._settings.alpha, factors).write(path)

    def close(self) -> None:
        del self.model, self._optimiser


def _with_gradient(groups: Sequence[RolloutGroup], objective: Objective) -> Iterator[RolloutGroup]:
    """The groups without the rollouts that have no part in the gradient."""
    for group in groups:
        taught = tuple(rollout for rollout in group.rollouts if rollout.advantage or objective.kl)
        if taught:
            yield replace(group, rollouts=taught)
