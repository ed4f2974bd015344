"""Flags that several commands share; numbers that make no sense are refused here, not deep inside."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from localrl import thinking
from localrl.chat import EFFORTS
from localrl.engine.backends import BACKENDS
from localrl.engine.backends.server import options as server_options
from localrl.engine.protocol import ServerOptions
from localrl.errors import UsageError
from localrl.runs.budgets import ANSWER_TOKENS, Budgets, parsed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from localrl.store.runs import Store

LARGEST = 2**31 - 1
"""What the libraries below take as a number of tokens, problems or candidates."""


class Real(click.FloatRange):
    """A number between two others; `nan`, which no comparison refuses, is none."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        number = float(super().convert(value, param, ctx))
        if math.isnan(number):
            self.fail(f"{value!r} is not a number", param, ctx)
        return number


def count(least: int = 1, most: int = LARGEST) -> click.IntRange:
    """A number of things."""
    return click.IntRange(least, most)


SAMPLING = {
    "temperature": Real(0, 10),
    "top_p": Real(0, 1, min_open=True),
    "top_k": count(0),
    "min_p": Real(0, 1),
    "presence_penalty": Real(-2, 2),
    "frequency_penalty": Real(-2, 2),
    "repetition_penalty": Real(0, 10, min_open=True),
    "max_tokens": count(),
}


def sampling_flags(command: Callable[..., Any]) -> Callable[..., Any]:
    for name, kind in reversed(SAMPLING.items()):
        words = "Limit of one sample or reply, thinking included." if name == "max_tokens" else None
        command = click.option(f"--{name.replace('_', '-')}", type=kind, help=words)(command)
    return command


def sampling_of(options: dict[str, Any]) -> dict[str, Any]:
    """The sampler's settings that the person gave."""
    return {name: options[name] for name in SAMPLING if options[name] is not None}


class ThinkingFlag(click.ParamType[dict[str, Any]]):
    """Whether and how long a model thinks."""

    name = "on|off|TOKENS"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> dict[str, Any]:
        try:
            return thinking.parsed(str(value))
        except UsageError as error:
            return self.fail(str(error), param, ctx)


def thinking_flags(command: Callable[..., Any]) -> Callable[..., Any]:
    for flag in reversed(
        [
            click.option("--thinking", type=ThinkingFlag(), help="A number closes it after so many tokens."),
            click.option("--effort", type=click.Choice(EFFORTS), help="Where the model's template takes it."),
            click.option(
                "--stop-when-sure",
                type=count(),
                metavar="N",
                help="Close the thinking after N equal answers of probes in a row.",
            ),
        ]
    ):
        command = flag(command)
    return command


def control_of(options: dict[str, Any]) -> dict[str, Any]:
    """What the person said of the thinking, as fields of a `ThinkingControl`."""
    given = {name: options[name] for name in ("effort", "stop_when_sure") if options[name] is not None}
    return {**(options["thinking"] or {}), **given}


class BudgetList(click.ParamType[Budgets]):
    """Thinking budgets."""

    name = "B,B,...|log2"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Budgets:
        try:
            return parsed(str(value))
        except UsageError as error:
            return self.fail(str(error), param, ctx)


BUDGET_ANSWER = click.option(
    "--budget-answer-tokens",
    type=count(),
    default=ANSWER_TOKENS,
    show_default=True,
    help="Limit of each answer at a budget.",
)


class HeaderFlag(click.ParamType[tuple[str, str]]):
    """An HTTP header."""

    name = "NAME:VALUE"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        try:
            return server_options.header(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


class ExtraBody(click.ParamType[dict[str, Any]]):
    """Fields of a request that localrl does not set itself."""

    name = "JSON"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> dict[str, Any]:
        try:
            return server_options.extra_body(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Shares(click.ParamType[tuple[float, ...]]):
    """How a model is split over accelerators."""

    name = "N,N,..."

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[float, ...]:
        try:
            shares = tuple(float(share) for share in str(value).split(","))
        except ValueError:
            shares = ()
        if not (2 <= len(shares) <= 16 and sum(shares) > 0 and all(0 <= s < 1e6 for s in shares)):
            self.fail(f"{value!r} is not a share for each accelerator, such as 3,1", param, ctx)
        return shares


PLACEMENT = {
    "threads": click.option("--threads", type=count(most=1024), help="Threads that compute."),
    "gpu_layers": click.option(
        "--gpu-layers", type=click.IntRange(-1, 10_000), help="Layers on the accelerator; -1 is all of them."
    ),
    "main_gpu": click.option(
        "--main-gpu", type=click.IntRange(0, 15), help="The accelerator for the whole model."
    ),
    "tensor_split": click.option(
        "--tensor-split", type=Shares(), help="The share of the model on each accelerator."
    ),
}


def placement_flags(command: Callable[..., Any]) -> Callable[..., Any]:
    """Where llama.cpp computes, for who knows better than the plan."""
    for flag in reversed(PLACEMENT.values()):
        command = flag(command)
    return command


def placement_of(options: dict[str, Any]) -> dict[str, Any]:
    """Those that the person gave, as `EngineSettings` names them.

    Raises:
        UsageError: two exclude each other.
    """
    if options["main_gpu"] is not None and options["tensor_split"]:
        raise UsageError("--main-gpu puts the whole model on one accelerator; --tensor-split splits it")
    return {name: options[name] for name in PLACEMENT if options[name] is not None}


HEADER = click.option(
    "--header", type=HeaderFlag(), multiple=True, help="Sent to servers, never stored; may be repeated."
)
CA_FILE = click.option(
    "--ca-file",
    type=click.Path(exists=True, dir_okay=False, resolve_path=True),
    help="PEM certificates of servers to trust.",
)


def backend_flags(command: Callable[..., Any]) -> Callable[..., Any]:
    for flag in reversed(
        [
            click.option("--backend", type=click.Choice(["auto", *BACKENDS.names()]), default="auto"),
            click.option(
                "--endpoint", multiple=True, help="URL of an OpenAI-compatible server; may be repeated."
            ),
            HEADER,
            click.option("--extra-body", type=ExtraBody(), help="More fields of every request to servers."),
            CA_FILE,
            click.option(
                "--chat-template",
                type=click.Path(exists=True, dir_okay=False, path_type=Path),
                help="Jinja file to render prompts with, in place of the model's own template.",
            ),
        ]
    ):
        command = flag(command)
    return command


def adapter_flag(command: Callable[..., Any]) -> Callable[..., Any]:
    words = "A LoRA adapter on top of the model: of a training, or a GGUF file."
    return click.option("--adapter", metavar="RUN|FILE", help=words)(command)


def adapter_of(store: Store, named: str | None) -> str | None:
    """The adapter's file, or folder for MLX, by its path or by the training that made it.

    Raises:
        UsageError: there is none.
    """
    if named is None or Path(named).exists():
        return named
    training = store.trainings.find(named)
    path = training.adapter(len(store.trainings.steps(training)))
    if not path.exists():
        raise UsageError(f"training {training.id} has no adapter yet")
    return str(path)


def server_of(options: dict[str, Any]) -> ServerOptions:
    """How servers are asked.

    Raises:
        UsageError: no server is.
    """
    given = [key for key in ("header", "extra_body", "ca_file") if options[key]]
    if given and not (options["endpoint"] or options.get("resume")):
        raise UsageError(f"--{given[0].replace('_', '-')} is for servers; name one with --endpoint")
    return ServerOptions(options["header"], options["extra_body"] or {}, options["ca_file"] or "")


def without_secrets(arguments: Sequence[str]) -> list[str]:
    """A command line as it may be stored: the values of headers are left out."""
    kept: list[str] = []
    for argument in arguments:
        flag, equals, value = argument.partition("=")
        if kept and kept[-1] == "--header":
            argument = f"{argument.partition(':')[0]}:***"
        elif flag == "--header" and equals:
            argument = f"--header={value.partition(':')[0]}:***"
        kept.append(argument)
    return kept
