"""What a run will do, fixed before it starts and stored with it, so that it can go on where it stopped."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from localrl import jsontext, thinking
from localrl.catalog import adapters, template
from localrl.chat import ThinkingControl, ThinkingTags
from localrl.engine import prompts, resolve
from localrl.engine.backends import BACKENDS, Ability
from localrl.engine.protocol import EngineSettings
from localrl.errors import UsageError
from localrl.evals import protocol, spec
from localrl.evals.check import check
from localrl.evals.spec import EvalSpec, Published
from localrl.runs import budgets
from localrl.sampling import Sampling
from localrl.tomlfile import Strict
from localrl.verify import registry

if TYPE_CHECKING:
    from collections.abc import Sequence

    from localrl.catalog.card import Card
    from localrl.catalog.locate import LocalModel
    from localrl.runs.budgets import Budgets
    from localrl.runs.request import RunRequest
    from localrl.settings import Settings

PROMPT_TOKENS = 512
"""Guess of a prompt's length, where only the answer's limit is known."""


class EvalPlan(Strict):
    """One eval as this run does it."""

    spec: EvalSpec
    path: str
    """The definition's file: data files are relative to it."""
    samples: int
    """The group size k."""
    limit: int | None = None
    """Only so many problems, from the beginning."""
    sampling: Sampling
    deviations: list[str] = []
    published: list[Published] | None = None
    """What others scored with this model; None in a run made before plans kept it."""
    budgets: list[int] = []
    """Thinking budgets at which each sample also answers, ascending."""


class RunPlan(Strict):
    model: str
    """As the person named it."""
    model_name: str
    model_path: str
    quantisation: str = ""
    thinking: ThinkingTags | None = None
    control: ThinkingControl = ThinkingControl()
    budget_answer_tokens: int = budgets.ANSWER_TOKENS
    engine: EngineSettings
    adapter_sha256: str = ""
    """Of the engine's adapter, if it has one."""
    evals: list[EvalPlan]
    seed: int = 0
    loop_guard: bool = True
    command: list[str] = []
    """The command line, to do it again."""
    until: float | None = None
    """Stop an eval when its accuracy is known to plus or minus this, in [0, 1]."""
    decide: str | None = None
    """Stop an eval when the comparison with the run of this id is settled."""

    def with_adapter(self, path: Path) -> RunPlan:
        """The same run of the model with an adapter.

        Raises:
            UsageError: the file is none for this model.
        """
        sha256 = adapters.fingerprint(path, Path(self.model_path))
        words = f"adapter {path.name} ({sha256[:8]})"
        parts = [part.model_copy(update={"deviations": [*part.deviations, words]}) for part in self.evals]
        engine = replace(self.engine, adapter=str(path.resolve()))
        return self.model_copy(update={"engine": engine, "adapter_sha256": sha256, "evals": parts})

    def published(self, part: EvalPlan) -> list[Published]:
        """What others scored with this model on one of the evals, as was known when the run was planned."""
        if part.published is not None:
            return part.published
        return protocol.published(part.spec, _card_named(self.model_name))


def _card_named(name: str) -> Card | None:
    from localrl.catalog import card

    return card.load(name) if name in card.available() else None


def make(
    model: LocalModel,
    eval_names: Sequence[str],
    engine: EngineSettings,
    *,
    named: str = "",
    samples: int | None = None,
    limit: int | None = None,
    seed: int = 0,
    loop_guard: bool = True,
    sampling: dict[str, Any] | None = None,
    command: Sequence[str] = (),
    until: float | None = None,
    decide: str | None = None,
    control: ThinkingControl | None = None,
    wanted_budgets: Budgets = (),
    budget_answer_tokens: int = budgets.ANSWER_TOKENS,
) -> RunPlan:
    """Put a run together: flags win over the card's protocol for an eval, that over the eval's own defaults.

    Args:
        sampling: the sampler's settings that the person gave, by name.
        wanted_budgets: each eval takes those below its token limit.

    Raises:
        UsageError: there is no such eval, one is named twice, or its definition cannot work; or budgets are
            wanted of a model that does not think, or of a backend that cannot fork; or the thinking cannot
            be steered as `control` says.
        Unavailable: what an eval needs is not installed.
    """
    card = model.card
    tags = card.thinking if card else ThinkingTags()
    control = control or ThinkingControl()
    thinking.check(control, tags, model.name)
    used = engine.chat_template or template.of_files(model.path)
    if control.effort and used and "reasoning_effort" not in used:
        raise UsageError(f"the chat template of {model.name} takes no effort", hint="leave out --effort")
    if wanted_budgets or control.stop_when_sure:
        _check_forks(model.name, tags, engine.backend)
    elif control.budget and Ability.BUDGET in BACKENDS.get(engine.backend).CANNOT:
        raise UsageError(f"{engine.backend} cannot {Ability.BUDGET.value}")
    parts: list[EvalPlan] = []
    for name in eval_names:
        found, path = spec.load(name)
        if any(found.name == part.spec.name for part in parts):
            raise UsageError(f"eval {found.name!r} is named twice")
        check(found, path)
        found = protocol.for_model(found, card)
        registry.ready(found.verifier)  # the card may name another extractor
        chosen = protocol.sampling(found, card, Sampling()).model_copy(update=sampling or {})
        chosen = Sampling.model_validate(chosen.model_dump())
        k = samples or found.samples
        departures = protocol.deviations(
            found,
            card,
            sampling=chosen,
            samples=k,
            problems=limit,
            quantisation=model.quantisation,
        )
        departures += protocol.steered(control, tags)
        departures += _prompting(model, engine, system=bool(found.prompt.system))
        if engine.server.extra_body:
            departures.append(f"extra body {jsontext.dumps(engine.server.extra_body)}")
        parts.append(
            EvalPlan(
                spec=found,
                path=str(path),
                samples=k,
                limit=limit,
                sampling=chosen,
                deviations=departures,
                published=protocol.published(found, card or _card_named(model.name)),
                budgets=list(budgets.below(wanted_budgets, chosen.max_tokens)) if wanted_budgets else [],
            )
        )
    longest = max(part.sampling.max_tokens for part in parts)
    longest += budget_answer_tokens if wanted_budgets else 0  # a fork may leave at the very end
    return RunPlan(
        model=named or model.name,
        model_name=model.name,
        model_path=str(model.path),
        quantisation=model.quantisation,
        thinking=tags,
        control=control,
        budget_answer_tokens=budget_answer_tokens,
        engine=replace(
            engine,
            model=str(model.path),
            tags=tags,
            tokens_per_stream=PROMPT_TOKENS + longest,
            aim="throughput",
        ),
        evals=parts,
        seed=seed,
        loop_guard=loop_guard,
        command=list(command),
        until=until,
        decide=decide,
    )


def _check_forks(model: str, tags: ThinkingTags | None, backend: str) -> None:
    if tags is None:
        raise UsageError(f"{model} does not think, so that there is nothing to budget")
    if Ability.FORK in BACKENDS.get(backend).CANNOT:
        raise UsageError(
            f"{backend} cannot {Ability.FORK.value}",
            hint="run without budgets, then answer from what was thought: localrl runs budgets RUN",
        )


def _prompting(model: LocalModel, engine: EngineSettings, *, system: bool) -> list[str]:
    """What the chat template makes of prompts, where that is not what the eval and the model's files say."""
    own = template.of_files(model.path)
    used = engine.chat_template or own
    if not used:
        return [prompts.NO_TEMPLATE] if used == "" else []
    other = ["another chat template than the model's own"] if used != own else []
    return other + prompts.form(used, system=system).departures


def planned(request: RunRequest, settings: Settings) -> tuple[RunPlan, str]:
    """The plan, and which backend was chosen and why.

    Raises:
        UsageError: the model or an eval is not there, or cannot work.
        Unavailable: what one of them needs is not installed.
    """
    model = request.model or settings.model
    parallel = request.parallel or settings.parallel
    choice = resolve.resolve(model, request.backend, request.endpoints, request.chat_template)
    engine = EngineSettings(
        backend=choice.backend,
        parallel=None if parallel == "auto" else int(parallel),
        context=request.context or settings.ctx,
        cache_type=request.cache_type,
        **request.placement,
        endpoints=choice.endpoints,
        server=request.server,
        chat_template=choice.chat_template,
    )
    made = make(
        choice.model,
        request.evals or settings.evals,
        engine,
        named=model,
        samples=request.samples,
        limit=request.limit,
        seed=request.seed,
        loop_guard=request.loop_guard,
        sampling=request.sampling,
        command=request.command,
        until=request.until,
        decide=request.decide,
        control=request.control,
        wanted_budgets=request.budgets,
        budget_answer_tokens=request.budget_answer_tokens,
    )
    if request.adapter:
        made = made.with_adapter(Path(request.adapter))
    return made, f"{choice.backend}: {choice.why}"
