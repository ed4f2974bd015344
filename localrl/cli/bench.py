"""`localrl bench`: run a benchmark: accuracy and tokens per second from the same run."""

from __future__ import annotations

import signal
import sys
import threading
from typing import TYPE_CHECKING, Any

import click

from localrl import settings
from localrl.cli.estimating import Estimating
from localrl.cli.flags import Real, count
from localrl.cli.output import document, note
from localrl.cli.progress import ProgressLine, choose
from localrl.cli.summary import summary
from localrl.engine import selection
from localrl.engine.backends import BACKENDS
from localrl.engine.protocol import EngineSettings
from localrl.errors import INTERRUPTED, BelowMinimum, LocalrlError, Stopped, UsageError
from localrl.evals import spec
from localrl.report import report
from localrl.runs import estimate, plan, session
from localrl.store.runs import Store

if TYPE_CHECKING:
    from localrl.runs.plan import RunPlan
    from localrl.runs.session import Session
    from localrl.store.runs import Run

MOST_SAMPLES = 1_000_000
"""Of one problem: they wait in memory."""
SAMPLER = ("temperature", "top_p", "top_k", "min_p", "max_tokens")
ANY_SESSION = ("resume", "min_accuracy", "as_json", "display")
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
@click.argument("model", required=False)
@click.argument("evals", nargs=-1)
@click.option("-k", "--samples", type=count(most=MOST_SAMPLES), help="Samples of each problem.")
@click.option("--limit", type=count(), help="Only the first N problems of each eval.")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--parallel", type=Streams(), help="Streams at once; auto finds the number by measuring.")
@click.option("--ctx", type=count(64), help="Tokens of context in all, over all streams.")
@click.option("--temperature", type=Real(0, 10))
@click.option("--top-p", type=Real(0, 1, min_open=True))
@click.option("--top-k", type=count(0))
@click.option("--min-p", type=Real(0, 1))
@click.option("--max-tokens", type=count(), help="Limit of one sample, thinking included.")
@click.option("--backend", type=click.Choice(["auto", *BACKENDS.names()]), default="auto")
@click.option("--cache-type", type=click.Choice(["f16", "q8_0", "q4_0"]), help="Precision of the KV cache.")
@click.option("--endpoint", multiple=True, help="URL of an OpenAI-compatible server; may be repeated.")
@click.option("--no-loop-guard", is_flag=True, help="Let a sample repeat itself up to its limit.")
@click.option("--resume", metavar="RUN", help="Go on with a run: its id, its name, or 'last'.")
@click.option("--name", default="", help="A name for the run.")
@click.option("--min-accuracy", type=Real(0, 1), help="Exit with 5 when accuracy is lower.")
@click.option("--until", type=Points(), help="Stop an eval when it is known to so many points, such as 2.")
@click.option("--decide", metavar="RUN", help="Stop an eval when the comparison with RUN is settled.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as one JSON document.")
@click.option("--display", type=click.Choice(["full", "plain", "none"]), help="Progress on stderr.")
def command(model: str | None, evals: tuple[str, ...], **options: Any) -> int:
    """Run EVALs on MODEL and report accuracy and tokens per second from the same run.

    Without arguments: the starter model on the eval `starter`.
    """
    with Store() as store, _Interrupts() as interrupts:
        estimating: Estimating | None = None
        if options["resume"]:
            resumed, why = _resumed(store, model, options), ""
            opened = session.work_on(store, resumed, interrupts.stopping)
        else:
            resumed, (made_plan, why) = None, _planned(store, model, evals, options)
            opened = session.start(store, made_plan, options["name"], interrupts.stopping)
            estimating = Estimating(made_plan) if options["display"] != "none" else None
        try:
            with opened as open_session:
                _introduce(open_session, why, options)
                _work(open_session, options, estimating)
                run = open_session.run
        except Stopped as stopped:
            note(f"{stopped}; {_how_to_go_on(resumed)}")
            return INTERRUPTED
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
    chosen = settings.load().settings
    named = model or chosen.model
    parallel = options["parallel"] or chosen.parallel
    try:
        choice = selection.choose(named, options["backend"], options["endpoint"])
    except UsageError:
        if named in spec.available() and not evals:
            hint = f"the model comes first: localrl bench {chosen.model} {named}"
            raise UsageError(f"{named!r} is an eval", hint=hint) from None
        raise
    engine = EngineSettings(
        backend=choice.backend,
        parallel=None if parallel == "auto" else int(parallel),
        context=options["ctx"] or chosen.ctx,
        cache_type=options["cache_type"],
        endpoints=choice.endpoints,
    )
    made = plan.make(
        choice.model,
        evals or chosen.evals,
        engine,
        named=named,
        samples=options["samples"],
        limit=options["limit"],
        seed=options["seed"],
        loop_guard=not options["no_loop_guard"],
        sampling={key: options[key] for key in SAMPLER if options[key] is not None},
        command=["localrl", *sys.argv[1:]],
        until=options["until"],
        decide=store.find(options["decide"]).id if options["decide"] else None,
    )
    return made, f"{choice.backend}: {choice.why}"


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


class _Interrupts:
    """The first Ctrl-C ends the loading of the model or the step under way, the second everything."""

    def __init__(self) -> None:
        self.stopping = threading.Event()

    def __enter__(self) -> _Interrupts:
        self._before = signal.signal(signal.SIGINT, self._interrupt)
        return self

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGINT, self._before)

    def _interrupt(self, *_: object) -> None:
        if self.stopping.is_set():
            raise KeyboardInterrupt
        self.stopping.set()


def _work(open_session: Session, options: dict[str, Any], estimating: Estimating | None) -> None:
    """Do what the run lacks, or as much of it as there is time for until somebody interrupts."""
    runner = open_session.runner
    line = ProgressLine(runner.progress, choose(options["display"]))
    if estimating:
        estimating.line_begun()
    try:
        for event in runner.events():
            if estimating and (words := estimating.late()):
                line.say(words)
            line.take(event)
    except LocalrlError:
        note(f"what was done is kept; {_how_to_go_on(open_session.run)}")
        raise
    finally:
        line.end()


def _how_to_go_on(run: Run | None) -> str:
    return f"go on with: localrl bench --resume {run.id}" if run else "no run was begun"


def _introduce(open_session: Session, why: str, options: dict[str, Any]) -> None:
    """Before it starts: the backend and why, and what a run of this size can show."""
    if options["display"] == "none":
        return
    if why:
        note(why)
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
