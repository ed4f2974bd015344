"""`localrl bench`: run a benchmark: accuracy and tokens per second from the same run."""

from __future__ import annotations

import contextlib
import shlex
import sys
import threading
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from localrl import settings
from localrl.chat import ThinkingControl
from localrl.cli import arguments
from localrl.cli.flags import (
    BUDGET_ANSWER,
    BudgetList,
    Real,
    adapter_flag,
    adapter_of,
    backend_flags,
    control_of,
    count,
    placement_flags,
    placement_of,
    sampling_flags,
    sampling_of,
    server_of,
    thinking_flags,
    without_secrets,
)
from localrl.cli.interrupts import Interrupts
from localrl.cli.output import document, note
from localrl.cli.progress import StatusLine, status
from localrl.cli.summary import summary
from localrl.engine import prompts
from localrl.engine.client import Restarted
from localrl.errors import INTERRUPTED, BelowMinimum, LocalrlError, Stopped, UsageError
from localrl.evals import spec
from localrl.report import report
from localrl.runs import estimate, session
from localrl.runs.plan import planned
from localrl.runs.request import RunRequest
from localrl.store.runs import Store

if TYPE_CHECKING:
    from localrl.runs.plan import EvalPlan, RunPlan
    from localrl.runs.session import Session
    from localrl.store.runs import Run

MOST_SAMPLES = 1_000_000
"""Of one problem; they are queued in memory."""
ANY_SESSION = ("header", "ca_file", "resume", "min_accuracy", "as_json", "display")
"""Flags that say nothing about the run itself, so that they may differ when it goes on."""


class Streams(click.ParamType[int | str]):
    """A number of streams, or `auto`."""

    name = "N|auto"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | str:
        text = str(value)
        if text == "auto":
            return text
        if text.isascii() and text.isdigit() and 0 < len(text) < 10 and int(text) > 0:
            return int(text)
        return self.fail(f"{value!r} is neither a number of streams nor 'auto'", param, ctx)


class Points(click.ParamType[float]):
    """Percentage points, as `2`, `±2` or `2%`; becomes a share."""

    name = "POINTS"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            points = float(str(value).strip().removeprefix("±").removesuffix("%"))
        except ValueError:
            points = 0.0
        if 0 < points < 50:
            return points / 100
        return self.fail(f"{value!r} is not between 0 and 50 percentage points", param, ctx)


@click.command("bench")
@arguments.model(required=False)
@arguments.evals(nargs=-1)
@click.option("-k", "--samples", type=count(most=MOST_SAMPLES), help="Samples of each problem.")
@click.option("--limit", type=count(), help="Only the first N problems of each eval.")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--parallel", type=Streams(), help="Streams at once; auto finds the number by measuring.")
@click.option("--ctx", type=count(64), help="Tokens of context in all, over all streams.")
@sampling_flags
@thinking_flags
@backend_flags
@adapter_flag
@click.option("--cache-type", type=click.Choice(["f16", "q8_0", "q4_0"]), help="Precision of the KV cache.")
@placement_flags
@click.option("--no-loop-guard", is_flag=True, help="Let a sample repeat itself up to its limit.")
@click.option("--resume", metavar="RUN", help="Go on with a run: its id, its name, or 'last'.")
@click.option("--name", default="", help="A name for the run.")
@click.option("--min-accuracy", type=Real(0, 1), help="Exit with 5 when accuracy is lower.")
@click.option("--until", type=Points(), help="Stop an eval when it is known to so many points, such as 2.")
@click.option("--decide", metavar="RUN", help="Stop an eval when the comparison with RUN is settled.")
@click.option(
    "--budgets", type=BudgetList(), help="Also answer after so many thinking tokens: 512,1024 or log2."
)
@BUDGET_ANSWER
@click.option("--dry-run", is_flag=True, help="Say what the run would do and how long it would take.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as one JSON document.")
@click.option("--display", type=click.Choice(["full", "plain", "none"]), help="Progress on stderr.")
def command(model: str | None, evals: tuple[str, ...], **options: Any) -> int:
    """Run EVALs on MODEL and report accuracy and tokens per second from the same run.

    Without arguments: the starter model on the eval `starter`.
    """
    line, ended = StatusLine(options["display"]), threading.Event()
    with Store() as store, Interrupts() as interrupts:
        if options["resume"]:
            resumed, why = _resumed(store, model, options), ""
            opened = session.work_on(store, resumed, interrupts.stopping, server_of(options))
        else:
            resumed, (made_plan, why) = None, _planned(store, model, evals, options)
            if options["dry_run"]:
                _tell_plan(store, made_plan, why, options["as_json"])
                return 0
            opened = session.start(store, made_plan, options["name"], interrupts.stopping)
            if options["display"] != "none":
                threading.Thread(target=_estimate, args=(made_plan, line, ended), daemon=True).start()
        try:
            with opened as open_session:
                _introduce(open_session, why, options)
                _work(open_session, line)
                run = open_session.run
        except Stopped as stopped:
            note(f"{stopped}; {_how_to_go_on(resumed)}")
            return INTERRUPTED
        finally:
            ended.set()
        made = report.make(store, store.find(run.id))
        if options["as_json"]:
            document(made)
        else:
            click.echo(summary(made))
        if interrupts.stopping.is_set():
            note(f"interrupted; {_how_to_go_on(run)}")
            return INTERRUPTED
        _tell_errors(made, run)
        note(f"kept as run {run.id}; look at it with: localrl runs show {run.id}")
        _check_answered(made, run)
        _check_minimum(made, options["min_accuracy"])
    return 0


def _planned(
    store: Store, model: str | None, evals: tuple[str, ...], options: dict[str, Any]
) -> tuple[RunPlan, str]:
    """The plan of a new run, and which backend was chosen and why."""
    asked = RunRequest(
        model=model or "",
        evals=evals,
        backend=options["backend"],
        endpoints=options["endpoint"],
        server=server_of(options),
        chat_template=options["chat_template"],
        parallel=options["parallel"],
        context=options["ctx"],
        cache_type=options["cache_type"],
        placement=placement_of(options),
        adapter=adapter_of(store, options["adapter"]),
        samples=options["samples"],
        limit=options["limit"],
        seed=options["seed"],
        sampling=sampling_of(options),
        loop_guard=not options["no_loop_guard"],
        control=ThinkingControl(**control_of(options)),
        budgets=options["budgets"] or (),
        budget_answer_tokens=options["budget_answer_tokens"],
        until=options["until"],
        decide=store.find(options["decide"]).id if options["decide"] else None,
        command=("localrl", *without_secrets(sys.argv[1:])),
    )
    chosen = settings.load().settings
    try:
        return planned(asked, chosen)
    except UsageError:
        if model and not evals and _names_an_eval(model):
            hint = f"the model comes first: localrl bench {chosen.model} {shlex.quote(model)}"
            raise UsageError(f"{model!r} is an eval", hint=hint) from None
        raise


def _names_an_eval(word: str) -> bool:
    if word.endswith(".gguf"):  # a model, and perhaps as large as the memory
        return False
    with contextlib.suppress(LocalrlError):
        return bool(spec.load(word))
    return False


def _tell_plan(store: Store, made: RunPlan, why: str, as_json: bool) -> None:
    """What the run would do, without a model being loaded or a run being begun."""
    expected = estimate.estimate(store, made)
    if as_json:
        evals = [
            {
                "eval": part.spec.name,
                "version": part.spec.version,
                "problems": estimate.problems(part) or None,
                "samples": part.samples,
                "sampling": part.sampling.model_dump(),
                "budgets": part.budgets,
                "deviations": part.deviations,
            }
            for part in made.evals
        ]
        plan = {"schema": report.SCHEMA, "model": made.model, "backend": made.engine.backend, "evals": evals}
        document({**plan, "estimate": asdict(expected)})
        return
    click.echo(f"{made.model} on {why}")
    for part in made.evals:
        problems = estimate.problems(part) or "?"
        click.echo(f"{part.spec.name}: {problems} problems × {part.samples}, {', '.join(_settings(part))}")
        if part.budgets:
            click.echo(f"  also answers after {', '.join(map(str, part.budgets))} thinking tokens")
        for deviation in part.deviations:
            click.echo(f"  differs: {deviation}")
    click.echo(str(expected))


def _settings(part: EvalPlan) -> list[str]:
    return [f"{name} {value:g}" for name, value in part.sampling.model_dump().items() if value is not None]


def _estimate(made: RunPlan, line: StatusLine, ended: threading.Event) -> None:
    """Say how long the run will take; computed while the model loads, which does not wait for it."""
    with contextlib.suppress(LocalrlError), Store() as store:
        found = estimate.estimate(store, made)
        if found.samples and found.seconds is not None and not ended.is_set():
            line.note(str(found))


def _resumed(store: Store, model: str | None, options: dict[str, Any]) -> Run:
    fixed = [key for key in options if key not in ANY_SESSION and _given(key)]
    if model or fixed:
        what = "a model" if model else f"--{fixed[0].replace('_', '-')}"
        raise UsageError(f"--resume goes on with the run as it was; {what} cannot be changed")
    return store.find(options["resume"])


def _given(option: str) -> bool:
    """Whether a person wrote this flag."""
    source = click.get_current_context().get_parameter_source(option)
    return source is click.core.ParameterSource.COMMANDLINE


def _work(open_session: Session, line: StatusLine) -> None:
    """Run until everything is done or the person interrupts."""
    runner = open_session.runner
    try:
        with line:
            for event in runner.events():
                if isinstance(event, Restarted):
                    died = f"the engine died (exit status {event.exit_status})"
                    line.note(f"{died} and was started again; the run goes on")
                line.show(lambda: status(runner.progress))
    except LocalrlError:
        note(f"what was done is kept; {_how_to_go_on(open_session.run)}")
        raise


def _how_to_go_on(run: Run | None) -> str:
    return f"go on with: localrl bench --resume {run.id}" if run else "no run was begun"


def _introduce(open_session: Session, why: str, options: dict[str, Any]) -> None:
    """Before it starts: the backend and why, and what a run of this size can show."""
    if options["display"] == "none":
        return
    if why:
        note(why)
    if any(prompts.NO_TEMPLATE in part.deviations for part in open_session.plan.evals):
        note(f"{open_session.plan.model_name}: {prompts.NO_TEMPLATE}")
    for part, progress in zip(open_session.plan.evals, open_session.runner.progress.evals, strict=True):
        for words in estimate.prospects(part, progress.total // part.samples):
            note(f"{part.spec.name}: {words}")


def _tell_errors(made: dict[str, Any], run: Run) -> None:
    """What the engine failed on, and how to try that again."""
    for part in made["evals"]:
        if "errors" in part:
            count, first = part["outcomes"]["engine_error"], part["errors"][0]["error"]
            note(f"{part['eval']}: engine error for {count} samples: {first}")
            note(f"try them again with: localrl bench --resume {run.id}")


def _check_answered(made: dict[str, Any], run: Run) -> None:
    """A run in which the engine answered nothing has measured nothing."""
    outcomes = [part["outcomes"] for part in made["evals"]]
    if any(sum(counts.values()) for counts in outcomes) and all(
        counts["engine_error"] == sum(counts.values()) for counts in outcomes
    ):
        raise LocalrlError("the engine answered none of the samples", hint=_how_to_go_on(run))


def _check_minimum(made: dict[str, Any], minimum: float | None) -> None:
    for part in made["evals"] if minimum is not None else []:
        value = part["accuracy"]["value"] if part["accuracy"] else 0.0
        if minimum is not None and value < minimum:
            raise BelowMinimum(f"{part['eval']}: accuracy {value:.3f} is below {minimum:g}")
