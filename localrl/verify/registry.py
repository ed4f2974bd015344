"""Every verifier by name; a module is imported when its verifier is first asked for."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, cast

from pydantic import ValidationError

from localrl.errors import UsageError, nearest
from localrl.verify import extract

if TYPE_CHECKING:
    from localrl.verify.base import Verifier, VerifierSpec

MODULES: dict[str, str] = {
    "choice": "localrl.verify.choice",
    "code": "localrl.verify.code",
    "exact": "localrl.verify.exact",
    "format": "localrl.verify.format",
    "gym": "localrl.verify.gym",
    "ifeval": "localrl.verify.ifeval",
    "math": "localrl.verify.math",
}


def get(name: str) -> Verifier:
    """The verifier of this name.

    Raises:
        UsageError: there is none; names the nearest.
    """
    if name not in MODULES:
        raise UsageError(f"no verifier named {name!r}", hint=nearest(name, MODULES))
    return cast("Verifier", importlib.import_module(MODULES[name]))


def check(spec: VerifierSpec) -> None:
    """Refuse a spec whose verifier, extractor or parameters do not exist, before anything is generated.

    Raises:
        UsageError: says which, and names the nearest.
    """
    verifier = get(spec.name)
    extract.check(spec.extractor)
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
    verifier = get(spec.name)
    if verifier.RUNS == "thread":
        verifier.prepare()
