"""What a training will do, fixed before it starts and stored with it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from localrl.engine import backends, resolve
from localrl.engine.protocol import EngineSettings
from localrl.errors import UsageError, nearest
from localrl.evals import split
from localrl.runs import plan as runs
from localrl.runs.plan import EvalPlan, RunPlan
from localrl.tomlfile import Strict
from localrl.train import recipe as recipes
from localrl.train.recipe import Recipe
from localrl.verify import registry

if TYPE_CHECKING:
    from localrl.evals.rewards import Reward
    from localrl.evals.spec import EvalSpec
    from localrl.settings import Settings

HELD_OUT = ":held-out"
MEASURED = 200
"""Problems of an eval that are asked before and after, unless a person says otherwise."""
MOST_STREAMS = 64


@dataclass(frozen=True, slots=True)
class TrainRequest:
    """What a person asks, in plain values; what is None or empty is as the recipe and the eval say."""

    model: str
    eval: str
    recipe: str = "dapo"
    """A recipe's name, or a TOML file."""
    reward: str = ""
    """One of the eval's `[[rewards]]`."""
    steps: int | None = None
    samples: int | None = None
    prompts: int | None = None
    lr: float | None = None
    rank: int | None = None
    max_tokens: int | None = None
    minutes: float | None = None
    measured: tuple[str, ...] = ()
    """Evals that are asked before and after; those of `:held-out` come first."""
    limit: int = MEASURED
    backend: str = "auto"
    parallel: int | None = None
    context: int | None = None
    seed: int = 0
    command: tuple[str, ...] = field(default=())


class TrainPlan(Strict):
    recipe: Recipe
    trained: EvalPlan
    """Whose problems are sampled; its only reward is what is trained."""
    measured: RunPlan
    """What is asked before and after; the first eval is the held-out one that checks look at."""
    deviations: list[str] = []
    minutes: float | None = None
    """Of work, after which no further step is begun."""
    seed: int = 0

    @property
    def reward(self) -> Reward:
        return self.trained.spec.rewards[0]

    @property
    def checked(self) -> RunPlan:
        """The held-out problems alone."""
        return self.measured.model_copy(update={"evals": self.measured.evals[:1]})


def planned(request: TrainRequest, settings: Settings) -> tuple[TrainPlan, str]:
    """The plan, and which backend was chosen and why.

    Raises:
        UsageError: model, eval, recipe or reward are not there, or cannot work together.
        Unavailable: what one of them needs is not installed.
    """
    choice = resolve.resolve(request.model or settings.model, request.backend)
    if backends.served(choice.backend):
        raise UsageError("a server's model cannot be trained: its weights are not here")
    recipe = recipes.load(request.recipe).changed(
        steps=request.steps,
        samples=request.samples,
        prompts=request.prompts,
        lr=request.lr,
        rank=request.rank,
    )
    streams = min(recipe.prompts * recipe.samples, MOST_STREAMS)
    engine = EngineSettings(
        backend=choice.backend,
        parallel=request.parallel or streams,
        context=request.context,
        chat_template=choice.chat_template,
    )
    trained_name, measured_names = _parts(request)
    given = {"max_tokens": request.max_tokens} if request.max_tokens else {}
    asked = runs.make(
        choice.model,
        [trained_name],
        engine,
        samples=recipe.samples,
        sampling={**given, "temperature": recipe.temperature, "top_p": 1.0, "top_k": 0, "min_p": 0.0},
        seed=request.seed,
    )
    measured = runs.make(
        choice.model,
        measured_names,
        engine,
        named=request.model,
        limit=request.limit,
        sampling=given,
        seed=request.seed,
        command=request.command,
    )
    trained = asked.evals[0]
    reward = _reward(trained.spec, recipe, request.reward)
    longest = max(asked.engine.tokens_per_stream, measured.engine.tokens_per_stream)
    plan = TrainPlan(
        recipe=recipe,
        trained=trained.model_copy(
            update={"spec": trained.spec.model_copy(update={"rewards": [reward]}), "deviations": []}
        ),
        measured=_with_streams(measured, longest),
        deviations=recipe.deviations(trained.sampling.max_tokens),
        minutes=request.minutes,
        seed=request.seed,
    )
    return plan, f"{choice.backend}: {choice.why}"


def _parts(request: TrainRequest) -> tuple[str, list[str]]:
    """The name of the problems to train on, and the evals to measure, the held-out one first."""
    base, part = split.parse(request.eval)
    if part and part.part == "held-out":
        raise UsageError(
            f"{request.eval} is what measures a training", hint=f"train on {base}, or on {base}:train"
        )
    held_out = [name for name in request.measured if name.endswith(HELD_OUT)] or [base + HELD_OUT]
    others = [name for name in request.measured if not name.endswith(HELD_OUT)]
    if trained_on := {base, f"{base}:train"} & set(others):
        raise UsageError(
            f"--eval {trained_on.pop()} would measure by what is trained on", hint=f"take {base}{HELD_OUT}"
        )
    return f"{base}:train", [*held_out, *others]


def _reward(spec: EvalSpec, recipe: Recipe, wanted: str) -> Reward:
    """The eval's reward of this name; else its own for the recipe, its first, or the recipe's.

    Raises:
        UsageError: the eval has none of this name, or a verifier that it needs is not there.
        Unavailable: a verifier cannot run on this machine.
    """
    own = {reward.name: reward for reward in spec.rewards}
    if wanted and wanted not in own:
        raise UsageError(f"eval {spec.name} has no reward {wanted!r}", hint=nearest(wanted, own))
    found = own.get(wanted or recipe.name) or next(iter(own.values()), recipe.reward)
    for term in found.terms:
        if term.verifier:
            registry.ready(term.verifier)
    return found


def _with_streams(plan: RunPlan, longest: int) -> RunPlan:
    """One engine serves samples to train on and to measure by: it has to hold the longer ones."""
    return plan.model_copy(update={"engine": replace(plan.engine, tokens_per_stream=longest)})
