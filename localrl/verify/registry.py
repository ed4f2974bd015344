"""Every verifier and every extractor by name; `base.py` has their contracts."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

from pydantic import ValidationError

from localrl.errors import UsageError, nearest
from localrl.registry import Registry
from localrl.tomlfile import Strict
from localrl.verify.base import Extractor, Runs, Verifier

if TYPE_CHECKING:
    from localrl.verify.base import VerifierSpec


def _wrong_with_verifier(verifier: Verifier) -> str:
    if not isinstance(verifier.VERSION, str):
        return "has a VERSION that is no text"
    if verifier.RUNS not in get_args(Runs):
        return f"has RUNS {verifier.RUNS!r}: {', '.join(get_args(Runs))}"
    if not (isinstance(verifier.Params, type) and issubclass(verifier.Params, Strict)):
        return "has Params that are no subclass of localrl.tomlfile.Strict"
    if not callable(verifier.verify):
        return "has a verify that is no function"
    needed = {"inline": (), "thread": ("prepare",), "process": ("prepare", "quick")}[verifier.RUNS]
    missing = [name for name in needed if not callable(getattr(verifier, name, None))]
    needs = f"which one that runs in a {verifier.RUNS} needs"
    return f"has no function {missing[0]}, {needs}" if missing else ""


VERIFIERS = Registry[Verifier](
    "verifier",
    "localrl.verify.verifiers",
    "localrl.verifiers",
    {
        "VERSION": "a text that changes whenever the same input could get another verdict",
        "RUNS": "where it runs, inline, thread or process",
        "Params": "the class of its parameters, localrl.verify.base.NoParams for none",
        "verify": "verify(response, target, spec) -> Verdict",
    },
    _wrong_with_verifier,
)
EXTRACTORS = Registry[Extractor](
    "extractor",
    "localrl.verify.extractors",
    "localrl.extractors",
    {"extract": "extract(answer) -> str | None"},
    lambda extractor: "" if callable(extractor.extract) else "has an extract that is no function",
)


def extract(name: str, answer: str) -> str | None:
    """The answer as the extractors of `name`, joined by `|`, find it: the first that does.

    Raises:
        UsageError: there is no such extractor.
    """
    found = (extractor.extract(answer) for extractor in extractors(name))
    return next((answer for answer in found if answer is not None), None)


def extractors(name: str) -> list[Extractor]:
    """The extractors of a name, in the order in which they are tried.

    Raises:
        UsageError: there is no such extractor (names the nearest), or it breaks the contract.
    """
    return [EXTRACTORS.get(one.strip()) for one in name.split("|")]


def check(spec: VerifierSpec) -> None:
    """Refuse a spec whose verifier, extractor or parameters do not exist, before anything is generated.

    Raises:
        UsageError: says which, and names the nearest.
    """
    verifier = VERIFIERS.get(spec.name)
    extractors(spec.extractor)
    try:
        verifier.Params.model_validate(spec.params)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        unknown = first["type"] == "extra_forbidden"
        raise UsageError(
            f"verifier {spec.name!r}, parameter {key!r}: {'unknown' if unknown else first['msg']}",
            hint=nearest(key, verifier.Params.model_fields) if unknown else "",
        ) from error


def ready(spec: VerifierSpec) -> None:
    """`check`, and what a verifier that starts processes of its own needs, such as a sandbox.

    Raises:
        UsageError: as `check`.
        Unavailable: the verifier cannot run on this machine.
    """
    check(spec)
    verifier = VERIFIERS.get(spec.name)
    if verifier.RUNS == "thread":
        verifier.prepare()
