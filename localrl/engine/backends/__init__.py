"""Backends by name, and what each must offer.

A backend is a module in this folder, or one of another package with an entry point of `localrl.backends`.
`BackendModule` is all that it offers; importing it must not import the library that computes.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Literal, Protocol

from localrl.registry import Registry

if TYPE_CHECKING:
    from localrl.engine.protocol import Backend, EngineSettings
    from localrl.machine.hardware import Machine


class Form(StrEnum):
    """In which form a backend takes a model; it also tells which of a card's weights are meant."""

    GGUF = "a .gguf file"
    MLX = "a folder of MLX weights"
    SERVED = "a model that servers hold"
    """Known by name; the settings hold the servers' endpoints."""
    ANY = "a file or a folder"


class Ability(StrEnum):
    """What a backend may declare in its `CANNOT`; `localrl.engine.conformance` then lets it off."""

    COUNT = "count the tokens of a prompt, nor see single ones of a text"
    SEED = "repeat a text from its seed"
    VARY = "say something else for another seed"
    REFUSE = "tell when a prompt is too long"
    TEMPLATE = "tell when a prompt ends inside the thinking tags"
    BUDGET = "close the thinking at a budget of tokens"
    FORK = "fork a sample at budgets or to probe for its answer"
    THOUGHT = "answer from thinking of before"
    LOGPROBS = "report tokens with their log-probabilities"
    GRAMMAR = "hold an answer to a grammar"


@dataclass(frozen=True, slots=True)
class Health:
    """Whether a backend works on this machine, as `localrl doctor` says it."""

    state: Literal["ok", "note", "missing"]
    text: str
    todo: str = ""


class BackendModule(Protocol):
    """The contract of a backend's module.

    It may also offer `health(machine: Machine) -> Health`, where more can be said than whether it is
    installed; `prompts(settings: EngineSettings) -> PromptEncoder`, where it renders chat templates itself,
    which reads the vocabulary and no weights; and `HIDDEN = True`, which keeps it out of lists of what a
    person may choose.
    """

    SUMMARY: str
    """One line: what it runs, and on what."""
    FORM: Form
    REQUIRES: tuple[str, ...]
    """Modules that must be installed; they are looked for, not imported."""
    INSTALL: str
    """The command that installs them; empty where nothing is required."""
    CANNOT: tuple[str, ...]
    """What it does not do: members of `Ability`, and whatever else a person should know, in a few words."""

    def load(self, settings: EngineSettings) -> Backend:
        """Load the model, in the process that calls this: the worker's.

        Raises:
            UsageError: the model or a setting is none that it can run.
            Unavailable: the library, memory or a server is missing.
        """


def _fault(member: BackendModule) -> str:
    if member.FORM not in tuple(Form):
        return f"has the FORM {member.FORM!r}, which is none of localrl.engine.backends.Form"
    return "requires modules but has no INSTALL" if member.REQUIRES and not member.INSTALL else ""


BACKENDS: Registry[BackendModule] = Registry(
    kind="backend",
    package=__name__,
    group="localrl.backends",
    contract={
        "SUMMARY": "one line on what it runs",
        "FORM": "the form of model that it takes",
        "REQUIRES": "the modules that must be installed",
        "CANNOT": "what it cannot do",
        "load": "a function from EngineSettings to a Backend",
    },
    check=_fault,
)


def offered() -> list[str]:
    """Backends that a person may choose, installed or not."""
    return [name for name, member in BACKENDS.usable().items() if not getattr(member, "HIDDEN", False)]


def served(name: str) -> bool:
    """Whether the backend takes a model by its name on servers instead of its files."""
    return name in BACKENDS.usable() and BACKENDS.get(name).FORM is Form.SERVED


def renders(name: str) -> bool:
    """Whether the backend renders chat templates itself, so that one can be named."""
    return hasattr(BACKENDS.get(name), "prompts")


def available(name: str) -> bool:
    """Whether what the backend requires is installed; nothing of it is imported."""
    return all(importlib.util.find_spec(module) is not None for module in BACKENDS.get(name).REQUIRES)


def health(name: str, machine: Machine) -> Health:
    """What `localrl doctor` says of a backend."""
    member = BACKENDS.get(name)
    if own := getattr(member, "health", None):
        found: Health = own(machine)
        return found
    if not available(name):
        return Health("note", "not installed", member.INSTALL)
    cannot = f"; it cannot: {'; '.join(member.CANNOT)}" if member.CANNOT else ""
    return Health("ok", f"{member.SUMMARY}{cannot}")
