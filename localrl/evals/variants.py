"""Evals named with options: `NAME,key=value,...`, each a protocol of its own under its whole name.

`gym:GENERATOR` is any reasoning-gym generator: `size` (50), `seed` (0), `extractor`, `max_tokens`, and every
other key is a parameter of the generator. A dataset that grows by releases takes `release`, `since`, `until`.
"""

from __future__ import annotations

import re
import tomllib
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from localrl.errors import UsageError, nearest
from localrl.evals.sources import Data, GymData, Window
from localrl.verify.base import VerifierSpec

if TYPE_CHECKING:
    from localrl.evals.spec import EvalSpec

Options = dict[str, Any]

GYM_TEMPLATE = (
    "{question}\n\nThink it through, then give only the final answer between <answer> and </answer> tags."
)


def split(name: str) -> tuple[str, Options]:
    """`a,b=1,c=[1,2]` -> `("a", {"b": 1, "c": [1, 2]})`; values are TOML values, or else text.

    Raises:
        UsageError: an option is no `key=value`, or comes twice.
    """
    base, *parts = re.split(r",(?![^\[{]*[\]}])", name)
    options: Options = {}
    for part in parts:
        key, equals, value = part.partition("=")
        key = key.strip()
        if not equals or not key or key in options:
            raise UsageError(f"eval {name!r}: {part!r} is not one key=value", hint="write NAME,key=value,...")
        options[key] = _value(value.strip())
    return base.strip(), options


def gym(name: str, generator: str, options: Options) -> EvalSpec:
    """The eval of one generator.

    Raises:
        UsageError: there is no such generator, or it refuses a parameter.
    """
    from localrl.evals.spec import EvalSpec, Prompt
    from localrl.verify import gymload, registry

    params = dict(options)
    size, seed = params.pop("size", 50), params.pop("seed", 0)
    extractor = str(params.pop("extractor", "answer_tag|boxed|last_line"))
    max_tokens = params.pop("max_tokens", 4096)
    registry.extractors(extractor)
    gymload.dataset(generator, params)
    try:
        return EvalSpec(
            name=name,
            title=f"reasoning-gym: {generator.replace('_', ' ')}",
            version=1,
            licence="Apache-2.0",
            citation="Stojanovski et al., Reasoning Gym, arXiv:2505.24760",
            data=Data(gym=[GymData(generator=generator, size=size, seed=seed, params=params)]),
            prompt=Prompt(template=GYM_TEMPLATE),
            verifier=VerifierSpec(name="gym", extractor=extractor),
            max_tokens=max_tokens,
        )
    except ValidationError as error:
        raise _refused(name, error) from error


def window(spec: EvalSpec, name: str, options: Options) -> EvalSpec:
    """The eval over another release or another span of days; what is not named is not bounded.

    Raises:
        UsageError: the eval has no releases, or an option is unknown or malformed.
    """
    known = ["release", "since", "until"] if spec.data.window else []
    for key in options:
        if key not in known:
            raise UsageError(f"eval {spec.name!r} takes no option {key!r}", hint=nearest(key, known))
    assert spec.data.window is not None
    chosen = {key: value if key == "release" else str(value) for key, value in options.items()}
    if isinstance(release := chosen.get("release"), str):
        chosen["release"] = release.removeprefix("release_").removeprefix("v")
    try:
        taken = Window.model_validate({"column": spec.data.window.column, **chosen})
    except ValidationError as error:
        raise _refused(name, error) from error
    return spec.model_copy(
        update={
            "name": name,
            "data": spec.data.model_copy(update={"window": taken, "size": None}),
            "published": [],
        }
    )


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _refused(name: str, error: ValidationError) -> UsageError:
    first = error.errors()[0]
    key = ".".join(map(str, first["loc"]))
    if first["type"] == "string_pattern_mismatch":
        return UsageError(f"eval {name!r}: {key} is no day", hint="write it as YYYY-MM-DD")
    return UsageError(f"eval {name!r}: {key}: {first['msg']}")
