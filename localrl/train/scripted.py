"""A trainer without a model, for tests of the loop: deterministic, in milliseconds, with the real losses.

Its policy is one logit for each of `TOKENS` classes of token ids, whatever came before. What it exports is
`{"steps": n}`, by which the scripted backend says the first of its texts more often.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np

from localrl import paths
from localrl.errors import LocalrlError
from localrl.train.batch import engine_logprobs, rollouts_of, token_advantages
from localrl.train.losses import policy_loss, token_weights
from localrl.train.tally import StepTally

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from localrl.train.batch import Rollout, RolloutGroup, TrainingBatch
    from localrl.train.losses import Values
    from localrl.train.trainer import StepStats, TrainerSettings

TOKENS = 64


class ScriptedTrainer:
    """Gradient descent on the logits; the reference is the uniform distribution that it begins with."""

    def __init__(self, settings: TrainerSettings) -> None:
        self.settings = settings
        self.steps = 0
        self.logits = np.zeros(TOKENS)

    def step(self, batch: TrainingBatch) -> StepStats:
        tally = StepTally(with_kl=bool(batch.objective.kl))
        rollouts = rollouts_of(batch.groups)
        old = self._logprobs(rollouts)
        engine = engine_logprobs(rollouts)
        loss = policy_loss(
            batch.objective,
            logprobs=old,
            old=old,
            engine=engine,
            advantages=token_advantages(rollouts),
            weights=token_weights(batch.objective, [len(rollout.tokens) for rollout in rollouts]),
            reference=np.full_like(old, -np.log(TOKENS)) if batch.objective.kl else None,
        )
        drawn = np.eye(TOKENS)[_classes(rollouts)]
        gradient = loss.gradient @ (drawn - self._probabilities)
        tally.add_pass(loss, np.full_like(old, self._entropy), old, engine)
        tally.add_update(float(np.linalg.norm(gradient)))
        self.logits -= batch.learning_rate * gradient
        self.steps += 1
        return tally.stats()

    def logprobs(self, groups: Sequence[RolloutGroup]) -> list[NDArray[np.float32]]:
        return [self._logprobs([rollout]).astype(np.float32) for rollout in rollouts_of(groups)]

    def save(self, path: Path) -> None:
        state = {"steps": self.steps, "logits": self.logits.tolist()}
        with paths.whole_file(path) as file:
            file.write(json.dumps(state).encode())

    def load(self, path: Path) -> None:
        try:
            state = json.loads(path.read_bytes())
            self.steps, self.logits = int(state["steps"]), np.array(state["logits"], float)
        except (OSError, ValueError, KeyError) as error:
            raise LocalrlError(f"{path} is no state of this trainer") from error

    def export(self, path: Path) -> None:
        with paths.whole_file(path) as file:
            file.write(json.dumps({"steps": self.steps}).encode())

    def close(self) -> None:
        pass

    @property
    def _probabilities(self) -> Values:
        weights = np.exp(self.logits - self.logits.max())
        found: Values = weights / weights.sum()
        return found

    @property
    def _entropy(self) -> float:
        return float(-(self._probabilities * np.log(self._probabilities)).sum())

    def _logprobs(self, rollouts: Sequence[Rollout]) -> Values:
        found: Values = np.log(self._probabilities)[_classes(rollouts)]
        return found


def _classes(rollouts: Sequence[Rollout]) -> NDArray[np.intp]:
    return np.array([token % TOKENS for rollout in rollouts for token in rollout.tokens])
