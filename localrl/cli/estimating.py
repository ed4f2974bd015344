"""How long a run will take, said on stderr; looked up while the model is loaded, which never waits for it."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING

from localrl.cli.output import note
from localrl.errors import LocalrlError
from localrl.formats import duration
from localrl.runs import estimate
from localrl.store.runs import Store

if TYPE_CHECKING:
    from localrl.runs.plan import RunPlan


class Estimating:
    """Says the estimate as soon as it is there; once `line_begun`, whoever draws the line asks for it."""

    def __init__(self, plan: RunPlan) -> None:
        self._plan = plan
        self._lock = threading.Lock()
        self._begun = False
        self._late = ""
        threading.Thread(target=self._look, daemon=True).start()

    def line_begun(self) -> None:
        with self._lock:
            self._begun = True

    def late(self) -> str:
        """What there was no time to say before the line had begun; once."""
        words, self._late = self._late, ""
        return words

    def _look(self) -> None:
        words = ""
        with contextlib.suppress(LocalrlError), Store() as store:
            found = estimate.estimate(store, self._plan)
            if found.samples and found.seconds is not None:
                words = (
                    f"{found.samples:,} samples, {found.tokens:,.0f} tokens: "
                    f"about {duration(found.seconds)} ({found.basis})"
                )
        with self._lock:
            if self._begun:
                self._late = words
            elif words:
                note(words)
