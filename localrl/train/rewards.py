"""An eval's reward as a function that TRL and verl call, for those who outgrow one machine.

Both read the groups that `localrl runs export --format grpo` (or `grpo-parquet`) writes. TRL:

    from localrl.train.rewards import trl_reward
    GRPOTrainer(model, reward_funcs=trl_reward, train_dataset=load_dataset("json", data_files="groups.jsonl"))

verl:

    custom_reward_function.path=$(python -c "import localrl.train.rewards as r; print(r.__file__)")
    custom_reward_function.name=verl_reward

Verifiers run under the same limits as here, code in the sandbox; one that fails gives the reward of an answer
that is not correct.
"""

from __future__ import annotations

import functools
import json
from typing import TYPE_CHECKING, Any

from localrl.chat import ThinkingTags
from localrl.evals import spec as evals
from localrl.evals.rewards import Reward
from localrl.runs import rewarding
from localrl.thinking import split
from localrl.verify.pool import VerifierPool

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from concurrent.futures import Future

    from localrl.evals.spec import EvalSpec
    from localrl.verdict import Verdict

SOURCE = "localrl/"
"""What `data_source` begins with in our exports; the eval's name follows."""


def trl_reward(
    completions: Sequence[str | Sequence[Mapping[str, Any]]],
    data_source: Sequence[str],
    reward_model: Sequence[Mapping[str, Any]],
    completion_ids: Sequence[Sequence[int]] | None = None,
    **_: Any,
) -> list[float]:
    """The rewards of a batch, as TRL's `reward_funcs` are called: columns of the dataset as lists.

    Args:
        completions: texts, or conversations whose last message is the model's.
        completion_ids: their tokens, which TRL gives; without them, overlong ones are not punished.
    """
    texts = [each if isinstance(each, str) else str(each[-1]["content"]) for each in completions]
    lengths = [len(ids) for ids in completion_ids] if completion_ids is not None else [0] * len(texts)
    rows = zip(data_source, texts, reward_model, lengths, strict=True)
    waiting = [_submit(source, text, truth["ground_truth"], length) for source, text, truth, length in rows]
    return [_value(each) for each in waiting]


def verl_reward(
    data_source: str, solution_str: str, ground_truth: str, extra_info: Mapping[str, Any] | None = None
) -> float:
    """The reward of one response, as verl's `custom_reward_function` is called."""
    return _value(_submit(data_source, solution_str, ground_truth, 0))


def _submit(source: str, text: str, truth: str, tokens: int) -> Future[Verdict]:
    spec = _spec(source)
    response = split(text, ThinkingTags())
    return rewarding.submit(_pool(), spec, response, _target(truth), tokens)


def _value(judged: Future[Verdict]) -> float:
    (reward,) = judged.result().detail["rewards"].values()
    return float(reward)


@functools.cache
def _spec(source: str) -> EvalSpec:
    """The eval with one reward: its first, else accuracy.

    Raises:
        UsageError: there is no such eval here.
    """
    spec, _ = evals.load(source.removeprefix(SOURCE))
    return spec.model_copy(update={"rewards": spec.rewards[:1] or [Reward(name="accuracy")]})


@functools.cache
def _pool() -> VerifierPool:
    return VerifierPool()


def _target(truth: str) -> Any:
    """The target that an export wrote as text: an object or a list of alternatives as JSON, else as it is."""
    try:
        found = json.loads(truth)
    except ValueError:
        return truth
    alternatives = isinstance(found, list) and all(isinstance(each, str) for each in found)
    return found if isinstance(found, dict) or alternatives else truth
