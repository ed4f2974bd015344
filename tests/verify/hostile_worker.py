"""A verifier worker with hostile verifiers registered; runs in place of the real one."""

from __future__ import annotations

import ctypes
import os
import sys
import time
from typing import TYPE_CHECKING, Any

from localrl.verdict import Outcome, Response, Verdict
from localrl.verify.base import NoParams as Params

if TYPE_CHECKING:
    from localrl.verify.base import Runs, VerifierSpec

__all__ = ["RUNS", "VERSION", "Params", "prepare", "quick", "verify"]

VERSION = "1"
RUNS: Runs = "process"


def verify(response: Response, target: Any, spec: VerifierSpec) -> Verdict:
    match response.answer:
        case "hang":
            time.sleep(600)
        case "spin":
            while True:
                pass
        case "crash":
            ctypes.string_at(0)
        case "exit":
            os._exit(0)
        case "memory":
            return Verdict(Outcome.CORRECT, extracted=str(len(bytearray(8 << 30))))
        case "garbage":
            print("garbage")
            os.write(1, b'{"outcome": "correct"}\n')
        case "raise":
            raise LookupError("no such thing")
        case "recurse":
            return verify(response, target, spec)
    return Verdict(Outcome.WRONG, extracted=response.answer)


def quick(response: Response, target: Any, spec: VerifierSpec) -> Verdict | None:
    if response.answer == "certain":
        return Verdict(Outcome.CORRECT)
    if response.answer == "quick raise":
        raise ValueError("quick")
    return None


def prepare() -> None:
    pass


if __name__ == "__main__":
    from localrl.registry import Member
    from localrl.verify import registry, worker

    registry.VERIFIERS.members["hostile"] = Member("hostile", "__main__")
    if "--garbage" in sys.argv:
        os.write(1, b"Welcome to the verifier!\n" * 3)
    worker.main()
