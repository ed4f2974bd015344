"""Which protocol a model runs an eval by, and how a run departs from the one behind a published score."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from localrl.evals import split
from localrl.evals.spec import Published, PublishedProtocol
from localrl.formats import count
from localrl.sampling import PENALTIES

if TYPE_CHECKING:
    from localrl.catalog.card import Card, EvalOverride
    from localrl.chat import ThinkingControl, ThinkingTags
    from localrl.evals.spec import EvalSpec
    from localrl.sampling import Sampling

_SAMPLER = ("temperature", "top_p", "top_k", "min_p", *PENALTIES)


def override(spec: EvalSpec, card: Card | None) -> EvalOverride | None:
    """What the card says about this eval, by its name without options and part."""
    base = split.parse(spec.name)[0].partition(",")[0]
    found = (given for pattern, given in (card.evals if card else {}).items() if fnmatchcase(base, pattern))
    return next(found, None)


def for_model(spec: EvalSpec, card: Card | None) -> EvalSpec:
    """The eval as the model's publishers ran it: with the card's prompt, extractor and samples."""
    given = override(spec, card)
    if given is None:
        return spec
    prompt = {key: value for key in ("template", "system") if (value := getattr(given, key)) is not None}
    update = {
        "prompt": spec.prompt.model_copy(update=prompt),
        "samples": given.samples or spec.samples,
        "verifier": spec.verifier.model_copy(
            update={"extractor": given.extractor or spec.verifier.extractor}
        ),
    }
    return spec.model_copy(update=update)


def sampling(spec: EvalSpec, card: Card | None, default: Sampling) -> Sampling:
    """The sampler's settings: the card's for this eval, the card's, then `default`; the eval's token limit.

    Only a card's settings for this very eval change the limit.
    """
    given = override(spec, card)
    if given and given.sampling:
        limit = (
            given.sampling.max_tokens if "max_tokens" in given.sampling.model_fields_set else spec.max_tokens
        )
        return given.sampling.model_copy(update={"max_tokens": limit})
    return (card.sampling if card else default).model_copy(update={"max_tokens": spec.max_tokens})


def published(spec: EvalSpec, card: Card | None) -> list[Published]:
    """The scores reported for this model: the eval's, which tell their protocol, or else the card's."""
    if card is None:
        return []
    return [score for score in spec.published if score.model == card.name] or [
        Published(
            model=card.name,
            value=score.value,
            source=score.source,
            protocol=PublishedProtocol(samples=score.samples),
        )
        for score in card.published
        if score.eval == spec.name and score.metric == "accuracy"
    ]


def deviations(
    spec: EvalSpec,
    card: Card | None,
    *,
    sampling: Sampling,
    samples: int,
    problems: int | None = None,
    quantisation: str = "",
) -> list[str]:
    """How a run departs from the protocol, in words, for the report.

    The protocol is the first published score's for this model, or else the eval's own definition.

    Args:
        spec: as it was run, after `for_model`.
        sampling: as it was run.
        samples: the group size k as it was run.
        problems: how many problems were run when not all of them.
        quantisation: of the weights; empty when they are as published.
    """
    scores = published(spec, card)
    protocol = scores[0].protocol if scores else None
    found = [f"quantised {quantisation}"] if quantisation and not _is_whole(quantisation) else []
    expected_samples = (protocol.samples if protocol else None) or spec.samples
    if samples != expected_samples:
        found.append(f"{count(samples, 'sample')} a problem, not {expected_samples}")
    if problems is not None:
        found.append(f"only {count(problems, 'problem')}")
    for key in (*_SAMPLER, "max_tokens"):
        wanted = getattr(protocol, key) if protocol else None
        if wanted is None and key == "max_tokens":
            wanted = spec.max_tokens
        if wanted is not None and (ours := getattr(sampling, key)) != wanted:
            found.append(f"{key} {ours:g}, not {wanted:g}")
    if protocol:
        if protocol.prompt and protocol.prompt.strip() != spec.prompt.template.strip():
            found.append("another prompt")
        if protocol.system.strip() != spec.prompt.system.strip():
            found.append("another system prompt")
        if protocol.grader:
            found.append(f"graded by {spec.verifier.name}, not by {protocol.grader}")
    return found


def steered(control: ThinkingControl, tags: ThinkingTags | None) -> list[str]:
    """How the thinking was steered, in words, for the report."""
    closing = repr(tags.closing if tags else "")
    found = [] if control.enabled else ["thinking off"]
    if control.budget is not None:
        found.append(f"thinking closed after {count(control.budget, 'token')} by {closing}")
    if control.effort:
        found.append(f"effort {control.effort}")
    if control.stop_when_sure is not None:
        found.append(f"thinking closed after {count(control.stop_when_sure, 'equal answer')} by {closing}")
    return found


def _is_whole(quantisation: str) -> bool:
    """Weights as they are published, nothing rounded away."""
    return quantisation.upper() in {"BF16", "F16", "FP16", "F32", "FP32"}
