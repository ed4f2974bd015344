"""`python -m localrl.verify.worker`: one verifier process; a line of JSON in, a line of JSON out.

The pool kills it when a response takes too long, and it may crash or run out of memory without harm to
anything else. What verifiers print goes to stderr: the pipe for verdicts is out of their reach by fd 1.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import signal
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

from localrl import isolated
from localrl.verdict import Outcome, Response, Verdict
from localrl.verify import registry
from localrl.verify.base import VerifierSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

V = TypeVar("V", Verdict, "Verdict | None")


def main() -> None:
    """Answer requests until the input ends."""
    requests, replies = isolated.take_pipes()
    _limit_memory(int(os.environ.get("LOCALRL_VERIFIER_MEMORY", 0)))
    for line in requests:
        request = json.loads(line)
        spec = VerifierSpec.model_validate(request["spec"])
        verifier = registry.VERIFIERS.get(spec.name)
        verifier.prepare()
        _reply(replies, {"started": True})
        with _alarm(request["limit_s"]):
            verdict = guarded(verifier.verify, Response(**request["response"]), request["target"], spec)
        _reply(replies, asdict(verdict))


def from_json(reply: dict[str, Any]) -> Verdict:
    """Read a reply.

    Raises:
        ValueError, KeyError, TypeError: it is no verdict.
    """
    return Verdict(
        Outcome(reply["outcome"]), float(reply["score"]), reply["extracted"], dict(reply["detail"])
    )


def guarded(
    judge: Callable[[Response, Any, VerifierSpec], V], response: Response, target: Any, spec: VerifierSpec
) -> V | Verdict:
    try:
        return judge(response, target, spec)
    except Exception as error:  # noqa: BLE001  whatever a verifier raises is its verdict
        return failure(f"{type(error).__name__}: {error}")


def _reply(replies: BinaryIO, value: dict[str, Any]) -> None:
    replies.write(json.dumps(value).encode() + b"\n")
    replies.flush()


def failure(what: str) -> Verdict:
    return Verdict(Outcome.VERIFIER_ERROR, detail={"error": what[:500]})


def _limit_memory(limit: int) -> None:
    """Address space; macOS does not enforce it."""
    if limit:
        with contextlib.suppress(ImportError, ValueError, OSError):
            import resource

            resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


@contextlib.contextmanager
def _alarm(limit_s: float) -> Iterator[None]:
    """End this process a little after its limit even when the pool is no longer there to do so."""
    signal.alarm(math.ceil(limit_s) + 2)
    try:
        yield
    finally:
        signal.alarm(0)


if __name__ == "__main__":
    main()
