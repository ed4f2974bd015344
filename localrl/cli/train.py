"""`localrl train`: improve a model with an eval's verifier as reward, and measure it again."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from localrl import settings
from localrl.cli.flags import Real, count
from localrl.cli.interrupts import Interrupts
from localrl.cli.lazy import LazyGroup
from localrl.cli.output import document, note
from localrl.cli.progress import StatusLine, status
from localrl.cli.train_summary import step_line, summary
from localrl.errors import INTERRUPTED, LocalrlError, Stopped, UsageError
from localrl.formats import percent
from localrl.runs import estimate
from localrl.store.runs import Store
from localrl.train import memory, outcome, recipe, session
from localrl.train.loop import Measuring, Stepping
from localrl.train.plan import MEASURED, TrainPlan, TrainRequest, planned
from localrl.train.rails import Check, Concern
from localrl.train.record import StepRecord
from localrl.train.rollouts import JudgedGroup

if TYPE_CHECKING:
    from localrl.store.trainings import Training
    from localrl.train.session import TrainSession

ANY_SESSION = ("resume", "as_json", "display")
"""Flags that say nothing about the training itself, so that they may differ when it goes on."""


class TrainGroup(LazyGroup):
    """`localrl train MODEL EVAL`, and the commands of trainings such as `localrl train export`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args or args[0] not in self.list_commands(ctx):
            args = [MODEL_EVAL, *args]
        return super().parse_args(ctx, args)

    def get_help(self, ctx: click.Context) -> str:
        return click.Context(self.commands[MODEL_EVAL], ctx, MODEL_EVAL).get_help()


MODEL_EVAL = "model-eval"


@click.group("train", cls=TrainGroup)
def command() -> None:
    """Improve a model with an eval's verifier as reward."""


class _Train(click.Command):
    """Called as the group is."""

    def format_usage(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        path = ctx.command_path.removesuffix(f" {MODEL_EVAL}")
        formatter.write_usage(path, " ".join(self.collect_usage_pieces(ctx)))

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        rows = [(name, recipe.load(name).title) for name in recipe.available()]
        with formatter.section("Recipes"):
            formatter.write_dl(rows)
        with formatter.section("Commands"):
            formatter.write_dl(
                [
                    ("localrl train export", "Write the adapter of a training for other programs."),
                    ("localrl runs ls --trainings", "List trainings; runs show, watch and rm take them too."),
                ]
            )


@command.command(MODEL_EVAL, cls=_Train)
@click.argument("model", required=False)
@click.argument("eval_name", metavar="[EVAL]", required=False)
@click.option("--recipe", default="dapo", show_default=True, metavar="NAME|FILE", help="How it is trained.")
@click.option("--reward", default="", help="One of the eval's [[rewards]]; else the recipe's.")
@click.option("--steps", type=count(), help="Updates of the adapter.")
@click.option("-k", "--samples", type=count(2), help="Samples of each problem.")
@click.option("--prompts", type=count(), help="Problems a step.")
@click.option("--lr", type=Real(0, 1, min_open=True), help="Learning rate.")
@click.option("--rank", type=count(1, 1024), help="Of the LoRA adapter.")
@click.option("--max-tokens", type=count(), help="Limit of one sample, thinking included.")
@click.option("--minutes", type=Real(0, min_open=True), help="Begin no further step after so long.")
@click.option(
    "--eval",
    "measured",
    multiple=True,
    metavar="EVAL[:held-out]",
    help="Measured before and after; may be repeated. By default the held-out part of EVAL.",
)
@click.option(
    "--limit", type=count(), default=MEASURED, show_default=True, help="Problems measured, of each."
)
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--backend", default="auto", show_default=True, help="As for bench.")
@click.option("--parallel", type=count(), help="Streams at once.")
@click.option("--ctx", type=count(64), help="Tokens of context in all, over all streams.")
@click.option("--resume", metavar="RUN", help="Go on with a training: its id, its name, or 'last'.")
@click.option("--name", default="", help="A name for the training.")
@click.option("--dry-run", is_flag=True, help="Say what it would do and how long it would take.")
@click.option("--json", "as_json", is_flag=True, help="Print what it did as one JSON document.")
@click.option("--display", type=click.Choice(["full", "plain", "none"]), help="Progress on stderr.")
def train(model: str | None, eval_name: str | None, **options: Any) -> int:
    """Train MODEL on EVAL's problems, with EVAL's verifier as the reward.

    Accuracy on problems that are held out is measured before and after, with the same quantised weights. The
    result is an adapter: localrl bench, chat and serve take it with --adapter.
    """
    with Store() as store, Interrupts() as interrupts:
        if options["resume"]:
            found: Training | None = _resumed(store, model, options)
            assert found
            opened = session.work_on(store, found, interrupts.stopping)
        else:
            found, (plan, why) = None, _planned(model, eval_name, options)
            _introduce(plan, why, options)
            if options["dry_run"]:
                return 0
            opened = session.start(store, plan, options["name"], interrupts.stopping)
        try:
            with opened as open_session:
                found = open_session.training
                _work(open_session, StatusLine(options["display"]), options["display"] == "none")
        except Stopped as stopped:
            note(f"{stopped}; {_how_to_go_on(found)}")
            return INTERRUPTED
        made = outcome.document(store, store.trainings.find(found.id))
        if options["as_json"]:
            document(made)
        else:
            click.echo(summary(made))
        if interrupts.stopping.is_set():
            note(f"interrupted; {_how_to_go_on(found)}")
            return INTERRUPTED
        note(f"kept as training {found.id}; use it with: localrl chat {_model(made)} --adapter {found.id}")
    return 0


def _planned(model: str | None, eval_name: str | None, options: dict[str, Any]) -> tuple[TrainPlan, str]:
    if not model or not eval_name:
        hint = "for example: localrl train smollm2-135m sums"
        raise UsageError("name a model and the eval to train on", hint=hint)
    request = TrainRequest(
        model=model,
        eval=eval_name,
        recipe=options["recipe"],
        reward=options["reward"],
        steps=options["steps"],
        samples=options["samples"],
        prompts=options["prompts"],
        lr=options["lr"],
        rank=options["rank"],
        max_tokens=options["max_tokens"],
        minutes=options["minutes"],
        measured=options["measured"],
        limit=options["limit"],
        backend=options["backend"],
        parallel=options["parallel"],
        context=options["ctx"],
        seed=options["seed"],
        command=("localrl", *sys.argv[1:]),
    )
    return planned(request, settings.load().settings)


def _resumed(store: Store, model: str | None, options: dict[str, Any]) -> Training:
    source = click.get_current_context().get_parameter_source
    given = click.core.ParameterSource.COMMANDLINE
    fixed = [key for key in options if key not in ANY_SESSION and source(key) is given]
    if model or fixed:
        what = "a model" if model else f"--{fixed[0].replace('_', '-')}"
        raise UsageError(f"--resume goes on with the training as it was; {what} cannot be changed")
    return store.trainings.find(options["resume"])


def _introduce(plan: TrainPlan, why: str, options: dict[str, Any]) -> None:
    """Before it starts: what it will do, and how that differs from the recipe's paper."""
    if options["display"] == "none" and not options["dry_run"]:
        return
    r = plan.recipe
    note(why)
    note(
        f"{r.title}: up to {r.steps} steps of {r.prompts} problems × {r.samples} samples, "
        f"learning rate {r.optimiser.lr:g}"
    )
    note(f"reward {plan.reward.name} of {plan.trained.spec.name}")
    for part in plan.measured.evals:
        problems = estimate.problems(part)
        note(f"measured: {part.spec.name}, {problems or '?'} problems")
        for words in estimate.prospects(part, problems):
            note(f"  {words}")
    for words in plan.deviations:
        note(f"  differs: {words}")
    if plan.measured.engine.backend == "llama.cpp":
        note(str(memory.beside(plan.measured.engine, session.trainer_settings(plan))))


def _work(open_session: TrainSession, line: StatusLine, quiet: bool) -> None:
    """Train until everything is done or the person interrupts."""
    loop = open_session.loop
    steps = open_session.plan.recipe.steps
    now: Measuring | Stepping | None = None
    groups = 0

    def text() -> str:
        if isinstance(now, Measuring):
            return f"measuring {now.purpose}  {status(now.runner.progress)}"
        if isinstance(now, Stepping):
            drawn = f"  {groups} groups judged" if now.part == "sampling" else ""
            return f"step {now.step + 1}/{steps}  {now.part}{drawn}"
        return "loading"

    try:
        with line:
            for event in loop.events():
                if isinstance(event, Measuring | Stepping):
                    now, groups = event, 0
                elif isinstance(event, JudgedGroup):
                    groups += 1
                elif isinstance(event, StepRecord) and not quiet:
                    line.note(step_line(event, steps))
                elif isinstance(event, Check):
                    line.note(f"held-out accuracy {percent(event.accuracy)} after {event.step} steps")
                elif isinstance(event, Concern):
                    line.note(f"warning: {event}")
                line.show(text)
    except LocalrlError:
        note(f"what was done is kept; {_how_to_go_on(open_session.training)}")
        raise


def _how_to_go_on(training: Training | None) -> str:
    return f"go on with: localrl train --resume {training.id}" if training else "no training was begun"


def _model(made: dict[str, Any]) -> str:
    return ":".join(filter(None, (made["model"]["name"], made["model"]["quantisation"])))
