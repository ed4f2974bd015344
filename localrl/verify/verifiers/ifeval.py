"""Every instruction of IFEval is followed; parameter `mode`: `strict` or `loose` (Zhou et al.,
arXiv:2311.07911).

Strict judges the response as it is. Loose also tries it without its first line, its last line, both, and
each of these without asterisks, and takes the best. A target is
`{"prompt", "instructions": [id, ...], "kwargs": [{...}, ...]}`; a row of the dataset itself will do as well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from localrl.tomlfile import Strict
from localrl.verdict import Outcome, Response, Verdict
from localrl.verify.ifeval_checks import CHECKS

if TYPE_CHECKING:
    from localrl.verify.base import Runs, VerifierSpec

VERSION = "2"
RUNS: Runs = "process"
TARGET = '`{"instructions", "kwargs"}`'


class Params(Strict):
    mode: Literal["strict", "loose"] = "strict"
    """Which of the two decides the outcome; both are in the verdict's detail."""


def verify(response: Response, target: Any, spec: VerifierSpec) -> Verdict:
    """Correct when every instruction is followed; the score is the part of them that is.

    `detail` holds `instructions`, and for `strict` and `loose` one boolean an instruction.

    Raises:
        KeyError: an instruction is of no known type, or lacks an argument.
    """
    if not response.answer.strip():
        return Verdict(Outcome.NO_ANSWER)
    ids = [str(name) for name in target.get("instructions") or target["instruction_id_list"]]
    given = [{k: v for k, v in (kwargs or {}).items() if v is not None} for kwargs in target["kwargs"]]
    both = list(zip(ids, given, strict=True))
    variants = loose_variants(response.answer)
    strict = [CHECKS[name](response.answer, kwargs) for name, kwargs in both]
    loose = [any(text.strip() and CHECKS[name](text, kwargs) for text in variants) for name, kwargs in both]
    followed = strict if Params.model_validate(spec.params).mode == "strict" else loose
    return Verdict(
        Outcome.CORRECT if all(followed) else Outcome.WRONG,
        score=sum(followed) / len(followed) if followed else 1.0,
        detail={"instructions": ids, "strict": strict, "loose": loose},
    )


def quick(response: Response, target: Any, spec: VerifierSpec) -> Verdict | None:
    return None if response.answer.strip() else Verdict(Outcome.NO_ANSWER)


def prepare() -> None:
    import langdetect

    langdetect.DetectorFactory.seed = 0  # the same text always gets the same language
    langdetect.detect("a first text loads the profiles of all languages")


def loose_variants(response: str) -> list[str]:
    """The eight texts that loose judges."""
    lines = response.split("\n")
    cut = ["\n".join(part).strip() for part in (lines[1:], lines[:-1], lines[1:-1])]
    plain = [response, *cut]
    return [*plain, *(text.replace("*", "") for text in plain)]
