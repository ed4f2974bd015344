"""What an eval is: one TOML file in `evals/` that fixes data, prompt, extractor, verifier and defaults.

All of it is the protocol: two results of one eval compare only if name and version are the same.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from localrl import paths, tomlfile
from localrl.chat import Message
from localrl.definitions import definitions
from localrl.errors import UsageError, nearest
from localrl.evals import environments
from localrl.evals.data import Data
from localrl.evals.environments import ENVIRONMENTS
from localrl.evals.rewards import Reward
from localrl.tomlfile import Strict
from localrl.verify.base import VerifierSpec


class PromptTemplate(Strict):
    template: str = "{question}"
    """The user message; `{question}` is replaced, every other brace stays as it is."""
    system: str = ""

    def messages(self, question: str) -> tuple[Message, ...]:
        user = Message(role="user", content=self.template.replace("{question}", question))
        return (Message(role="system", content=self.system), user) if self.system else (user,)


class PublishedProtocol(Strict):
    """How a published score was made; None where the publisher does not say."""

    samples: int | None = None
    """Samples a problem that were averaged."""
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    repetition_penalty: float | None = None
    max_tokens: int | None = None
    prompt: str = ""
    """The template, where it is not the eval's."""
    system: str = ""
    grader: str = ""
    """Who or what judged, where it is not our verifier."""
    note: str = ""


class Published(Strict):
    """A score that somebody reported for a model on this eval, shown beside ours."""

    model: str
    """The model card's name."""
    value: float = Field(ge=0, le=1)
    """Accuracy, 0 to 1."""
    source: str
    protocol: PublishedProtocol = PublishedProtocol()


class EvalSpec(Strict):
    name: str
    title: str
    version: int = Field(ge=1)
    description: str = ""
    licence: str = ""
    citation: str = ""
    data: Data
    prompt: PromptTemplate = PromptTemplate()
    verifier: VerifierSpec
    rewards: list[Reward] = []
    """Beside accuracy, never instead of it."""
    samples: int = Field(default=1, ge=1)
    """Default group size k."""
    max_tokens: int = Field(default=32_768, ge=1)
    """Default token limit, thinking included; a smaller one cuts models that reason."""
    published: list[Published] = []


def find(name: str) -> Path:
    """The TOML file of an eval: a path to one, or a name (see `localrl.definitions`).

    Raises:
        UsageError: there is no such eval; names the nearest.
    """
    if name.endswith(".toml"):
        path = Path(name).expanduser()
        if not path.is_file():
            raise UsageError(f"no eval file {name}")
        return path
    known = available()
    if name not in known:
        raise UsageError(f"no eval named {name!r}", hint=nearest(name, [*known, *environments.forms()]))
    return known[name]


def available() -> dict[str, Path]:
    """Every eval by name."""
    return {name: found.path for name, found in definitions("evals").items()}


def load(name: str) -> tuple[EvalSpec, Path]:
    """Read an eval's definition, with the path that its data files are relative to.

    A name may carry options, `NAME,key=value,...`: `livecodebench,release=5,since=2024-08-01`. An environment
    may make evals by name, `ENVIRONMENT:THING`: `gym:countdown,size=50,seed=3,min_numbers=3`. Any name may
    end in `:held-out` or `:train`, one part of its questions.

    Raises:
        UsageError: there is no such eval, or an option that it does not take.
        ConfigError: its file is malformed.
    """
    from localrl.evals import options, split

    whole, part = split.parse(name)
    if part:
        spec, path = load(whole)
        return split.of(spec, part), path
    base, given = options.split(name)
    scheme, _, thing = base.partition(":")
    if thing and scheme in ENVIRONMENTS and hasattr(environment := ENVIRONMENTS.get(scheme), "named"):
        return environment.named(name, thing, given), paths.shipped("evals") / scheme
    path = find(base)
    spec = tomlfile.load(path, EvalSpec)
    return (options.window(spec, name, given) if given else spec), path
