"""Problems made by reasoning-gym generators; the same seed and parameters give the same problems."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from pydantic import Field, ValidationError

from localrl.errors import UsageError
from localrl.evals import options
from localrl.evals.data import Data
from localrl.evals.environments import ParamError
from localrl.evals.spec import EvalSpec, PromptTemplate
from localrl.sample import Problem
from localrl.tomlfile import Strict
from localrl.verify import gymload, registry
from localrl.verify.base import VerifierSpec
from localrl.verify.verifiers import gym

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LOCAL = True
NAMED = ("gym:GENERATOR", "any reasoning-gym generator, such as gym:countdown,size=50,seed=3")
TEMPLATE = (
    "{question}\n\nThink it through, then give only the final answer between <answer> and </answer> tags."
)


class Generator(Strict):
    generator: str
    size: int = Field(ge=1)
    seed: int = 0
    params: dict[str, Any] = {}


Params = list[Generator]


def describe(params: list[Generator]) -> str:
    return ", ".join(f"{part.size} x {part.generator} (seed {part.seed})" for part in params)


def count(params: list[Generator]) -> int:
    return sum(part.size for part in params)


def problems(spec: EvalSpec, params: list[Generator], folder: Path) -> Iterator[Problem]:
    times: Counter[str] = Counter()
    for part in params:
        times[part.generator] += 1
        again = times[part.generator]
        made = gymload.dataset(part.generator, part.params, seed=part.seed, size=part.size)
        for index in range(part.size):
            entry = made[index]
            yield Problem(
                id=f"{part.generator}{f'.{again}' if again > 1 else ''}-{index}",
                question=entry["question"],
                target={"generator": part.generator, "params": part.params, "entry": gym.pack(entry)},
                gold=entry.get("answer"),
            )


def check(params: list[Generator]) -> None:
    """Make each generator once.

    Raises:
        ParamError: a generator or a parameter does not exist or is refused.
        Unavailable: reasoning-gym is not installed.
    """
    gymload.root()
    for index, part in enumerate(params):
        try:
            gymload.dataset(part.generator, part.params, seed=part.seed)
        except UsageError as error:
            message = str(error.args[0])
            key = "params" if "parameter" in message else "generator"
            raise ParamError(message, (index, key), hint=error.hint) from error


def named(name: str, thing: str, given: options.Options) -> EvalSpec:
    """The eval of one generator: `size` (50), `seed` (0), `extractor`, `max_tokens` and its parameters.

    Raises:
        UsageError: there is no such generator, or it refuses a parameter.
    """
    params = dict(given)
    size, seed = params.pop("size", 50), params.pop("seed", 0)
    extractor = str(params.pop("extractor", "answer_tag|boxed|last_line"))
    max_tokens = params.pop("max_tokens", 4096)
    registry.extractors(extractor)
    gymload.dataset(thing, params)
    try:
        return EvalSpec(
            name=name,
            title=f"reasoning-gym: {thing.replace('_', ' ')}",
            version=1,
            licence="Apache-2.0",
            citation="Stojanovski et al., Reasoning Gym, arXiv:2505.24760",
            data=Data.model_validate(
                {"gym": [Generator(generator=thing, size=size, seed=seed, params=params)]}
            ),
            prompt=PromptTemplate(template=TEMPLATE),
            verifier=VerifierSpec(name="gym", extractor=extractor),
            max_tokens=max_tokens,
        )
    except ValidationError as error:
        raise options.refused(name, error) from error
