"""What an update says of itself, gathered over its passes: shared by every trainer."""

from __future__ import annotations

import math
import resource
import sys
import time
from typing import TYPE_CHECKING

import numpy as np

from localrl.errors import LocalrlError
from localrl.train.losses import k3
from localrl.train.trainer import StepStats

if TYPE_CHECKING:
    from localrl.train.losses import PolicyLoss, Values

FAR = np.log(2.0)
"""Log-probabilities of engine and trainer that differ by more are counted as `outside`."""


class StepTally:
    """Sums over the passes of one step, from when it is made."""

    def __init__(self, with_kl: bool) -> None:
        self._with_kl = with_kl
        self._began, self._processor = time.perf_counter(), time.process_time()
        self._loss = 0.0
        self._norms: list[float] = []
        self._per_token: list[tuple[Values, ...]] = []

    def add_pass(self, loss: PolicyLoss, entropy: Values, old: Values, engine: Values) -> None:
        """A forward and backward pass over N tokens; arrays are (N,)."""
        self._loss += loss.value
        self._per_token.append((entropy, loss.kl, loss.capped.astype(float), loss.importance, old - engine))

    def add_update(self, gradient_norm: float) -> None:
        """
        Raises:
            LocalrlError: the update must not be made.
        """
        if not math.isfinite(gradient_norm + self._loss):
            raise LocalrlError(
                f"the loss is {self._loss:g} and the gradient {gradient_norm:g} long",
                hint="train with a lower learning rate",
            )
        self._norms.append(gradient_norm)

    def stats(self, peak_memory_bytes: int | None = None) -> StepStats:
        """
        Args:
            peak_memory_bytes: None takes this process's.
        """
        columns = list(zip(*self._per_token, strict=True)) or [(np.zeros(0),)] * 5
        entropy, kl, capped, importance, difference = (np.concatenate(column) for column in columns)
        return StepStats(
            loss=self._loss / max(1, len(self._norms)),
            gradient_norm=_mean(np.array(self._norms)),
            entropy=_mean(entropy),
            kl=_mean(kl) if self._with_kl else None,
            mismatch=_mean(k3(np.zeros_like(difference), difference)),
            outside=_mean(abs(difference) > FAR),
            effective=_effective_share(importance),
            capped=_mean(capped),
            tokens=len(entropy),
            wall_s=time.perf_counter() - self._began,
            processor_s=time.process_time() - self._processor,
            peak_memory_bytes=_peak_memory() if peak_memory_bytes is None else peak_memory_bytes,
        )


def _mean(values: Values) -> float:
    return float(values.mean()) if len(values) else 0.0


def _effective_share(importance: Values) -> float:
    """Kish's effective sample size of importance weights (N,), divided by N; 1 without any."""
    if not len(importance):
        return 1.0
    return float(importance.sum() ** 2 / (importance**2).sum() / len(importance))


def _peak_memory() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
