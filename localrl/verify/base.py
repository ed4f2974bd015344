"""What a verifier and an extractor must offer.

Each is one file in `verifiers/` or `extractors/`, or a module of another package behind an entry point
(`localrl.verifiers`, `localrl.extractors`).

The first paragraph of a member's docstring is what the docs say of it. `registry.py` holds a member against
its contract when it is first asked for, and `registry.check` does so before a model is loaded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Protocol

from localrl.tomlfile import Strict
from localrl.verdict import Outcome, Verdict

if TYPE_CHECKING:
    from localrl.verdict import Response

Runs = Literal["inline", "thread", "process"]
"""Where the pool calls a verifier: `inline`, in the caller, when it is always fast and safe; `thread`, when
it starts and limits processes of its own (code in the sandbox); `process`, in a worker that can be killed."""


class VerifierSpec(Strict):
    """A verifier as an eval names it: which, how the answer is found, and its own parameters."""

    name: str
    extractor: str = "text"
    """How the answer is found in the text: an extractor's name, or several joined by `|`."""
    params: dict[str, Any] = {}


class Verifier(Protocol):
    """A pure function of its arguments; it may be slow, hang or crash: `pool.py` runs it under limits.

    `quick` is asked only of verifiers that run in a process, `prepare` also of those that run in a thread.
    A verifier may also have `TARGET`, what it compares with, for the docs, and `EXTRACTOR`, the one that
    `localrl verify` takes where none is named (`text`).
    """

    VERSION: str
    """Changes whenever the same input could get another verdict."""
    RUNS: Runs
    Params: type[Strict]
    """What `VerifierSpec.params` may hold."""

    def verify(self, response: Response, target: Any, spec: VerifierSpec) -> Verdict: ...

    def quick(self, response: Response, target: Any, spec: VerifierSpec) -> Verdict | None:
        """The verdict where it is certain at once, in the caller; None sends the response to a worker."""
        ...

    def prepare(self) -> None:
        """Get what `verify` needs, in the worker or in the app; does not count against a response.

        Raises:
            Unavailable: it cannot be had on this machine.
        """
        ...


class Extractor(Protocol):
    """Finds the answer in the answer part of a response, never in its thinking.

    An extractor may also have `FORM`, a template with one `{}` in which `evals check` states a gold answer so
    that the extractor finds it.
    """

    def extract(self, answer: str) -> str | None:
        """The answer, in time linear in the text; None where there is none."""
        ...


class NoParams(Strict):
    """For a verifier that takes none."""


def judged(right: bool, extracted: str, detail: dict[str, Any] | None = None) -> Verdict:
    """Correct for the whole reward, or wrong for none."""
    outcome = Outcome.CORRECT if right else Outcome.WRONG
    return Verdict(outcome, score=float(right), extracted=extracted, detail=detail or {})


def answers(target: Any) -> list[str]:
    """A target that is one answer, or a list of alternatives, as texts.

    Raises:
        ValueError: it holds no answer, so that no response can be called wrong.
    """
    found = target if isinstance(target, list) else [target]
    if not found or not all(isinstance(each, str | int | float) and str(each).strip() for each in found):
        raise ValueError(f"the target is no answer: {target!r}"[:200])
    return [str(each) for each in found]
