"""Whether an eval's definition can work, found out before a model is loaded or data fetched.

`localrl evals check` and the start of every run ask here. What the file's form does not tell is asked of the
members that it names: each is loaded and held against its contract.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from localrl import tomlfile
from localrl.errors import ConfigError, UsageError
from localrl.evals import escapes
from localrl.evals.environments import ENVIRONMENTS, ParamError
from localrl.evals.layouts import LAYOUTS
from localrl.verify import registry

if TYPE_CHECKING:
    from pathlib import Path

    from localrl.evals.spec import EvalSpec


def check(spec: EvalSpec, path: Path) -> None:
    """Refuse a definition that cannot work on this machine.

    Args:
        path: its file; for an eval that has none, a name like a file's.

    Raises:
        ConfigError: a name or a setting in it is wrong, or what it names breaks its contract; with the line.
        Unavailable: a package or a sandbox that it needs is not here.
    """
    if "{question}" not in spec.prompt.template:
        _refuse(path, UsageError("the prompt's template has no {question}"), "prompt", "template")
    for key in ("template", "system"):
        if lost := escapes.lost(getattr(spec.prompt, key)):
            _refuse(path, UsageError(f"the prompt's {key} holds {lost}", hint=escapes.HINT), "prompt", key)
    _check_data(spec, path)
    _check_verifiers(spec, path)


def _check_data(spec: EvalSpec, path: Path) -> None:
    for name, params in (spec.data.model_extra or {}).items():
        try:
            environment = ENVIRONMENTS.get(name)
            if look := getattr(environment, "check", None):
                look(params)
        except ParamError as error:
            _refuse(path, error, "data", name, *error.keys)
        except UsageError as error:
            _refuse(path, error, "data", name)
    try:
        LAYOUTS.get(spec.data.layout)
    except UsageError as error:
        _refuse(path, error, "data", "layout")


def _check_verifiers(spec: EvalSpec, path: Path) -> None:
    terms = [
        (term.verifier, ("rewards", index, "terms", number, "verifier"))
        for index, reward in enumerate(spec.rewards)
        for number, term in enumerate(reward.terms)
        if term.verifier
    ]
    for verifier, keys in [(spec.verifier, ("verifier",)), *terms]:
        key = "name"
        try:
            registry.VERIFIERS.get(verifier.name)
            key = "extractor"
            registry.extractors(verifier.extractor)
            key = "params"
            registry.check(verifier)
        except UsageError as error:
            _refuse(path, error, *keys, key)
        registry.ready(verifier)


def _refuse(path: Path, error: UsageError, *keys: str | int) -> NoReturn:
    text = tomlfile.source(path) if path.is_file() else ""
    line = tomlfile.line_of(text, keys) if text else None
    raise ConfigError(str(error.args[0]), file=path, line=line, hint=error.hint) from error
