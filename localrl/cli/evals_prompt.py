"""`localrl evals show NAME --model M --problem N`: the exact prompt that a model is given."""

from __future__ import annotations

import itertools
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from localrl import sanitise, settings
from localrl.cli.flags import server_of
from localrl.cli.output import document, note
from localrl.errors import UsageError

if TYPE_CHECKING:
    from localrl.engine.preview import Preview
    from localrl.runs.plan import EvalPlan, RunPlan
    from localrl.sample import Problem


def show(name: str, model: str | None, number: int, options: dict[str, Any], *, as_json: bool) -> None:
    """Print it.

    Args:
        number: of the problem, from 0.

    Raises:
        UsageError: there is no such eval, problem or model.
    """
    from localrl.engine.preview import preview
    from localrl.engine.protocol import GroupRequest

    plan, why = _planned(name, model, options)
    (part,) = plan.evals
    problem = _problem(part, number)
    group = GroupRequest(problem.id, problem.messages, (), thinking=plan.thinking, control=plan.control)
    made = preview(plan.engine, group)
    if as_json:
        document(_described(part, problem, plan, made))
        return
    note(f"{part.spec.name} {problem.id}, {plan.model} on {why}")
    if made is None:
        note(f"the backend {plan.engine.backend} leaves the template to others; these messages are sent:")
        for message in problem.messages:
            click.echo(f"{message.role}: {message.content}")
        return
    _draw(made)
    note(f"{len(made.tokens)} tokens, {sum(token.control for token in made.tokens)} of them control tokens")
    for deviation in part.deviations:
        note(f"differs: {deviation}")


def _planned(name: str, model: str | None, options: dict[str, Any]) -> tuple[RunPlan, str]:
    from localrl.runs.plan import planned
    from localrl.runs.request import RunRequest

    asked = RunRequest(
        model=model or "",
        evals=(name,),
        backend=options["backend"],
        endpoints=options["endpoint"],
        server=server_of(options),
        chat_template=options["chat_template"],
    )
    return planned(asked, settings.load().settings)


def _problem(part: EvalPlan, number: int) -> Problem:
    from localrl.evals import dataset

    found = dataset.problems(part.spec, Path(part.path))
    for problem in itertools.islice(found, number, None):
        return problem
    raise UsageError(f"{part.spec.name} has no problem {number}; they are counted from 0")


def _described(part: EvalPlan, problem: Problem, plan: RunPlan, made: Preview | None) -> dict[str, Any]:
    return {
        "eval": part.spec.name,
        "problem": problem.id,
        "model": plan.model,
        "messages": [message.model_dump() for message in problem.messages],
        "prompt": made and made.prompt,
        "tokens": [asdict(token) for token in made.tokens] if made else None,
        "starts_thinking": made and made.starts_thinking,
        "deviations": part.deviations,
    }


def _draw(made: Preview) -> None:
    """The prompt as it is; on a terminal control tokens are bold, so that text that looks like one is not."""
    if not sys.stdout.isatty():
        click.echo(made.prompt)
        return
    out = sanitise.drawing(sys.stdout)
    for control, run in itertools.groupby(made.tokens, key=lambda token: token.control):
        text = sanitise.clean("".join(token.text for token in run))
        out.write(click.style(text, bold=True) if control else text)
    out.write("\n")
    out.flush()
