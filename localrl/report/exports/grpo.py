"""One group a line: prompt, k completions, rewards and advantages, for TRL and verl.

The advantage of sample i is (r_i - mean(r)) / (std(r) + 1e-6), with the sample's deviation (n - 1), as verl
computes it and TRL nearly so (GRPO: Shao et al. 2024, arXiv 2402.03300, section 4.1.2). A group whose
rewards are all equal has no gradient: its advantages are 0 and `zero_spread` is true, and DAPO's dynamic
sampling (arXiv 2503.14476, section 3.2) would drop it.

`prompt` is a list of messages, as TRL's prompt-only datasets have it; `data_source`, `ability`,
`reward_model` and `extra_info` are verl's columns.
"""

from __future__ import annotations

from typing import IO, TYPE_CHECKING, Any

from localrl import jsontext
from localrl.sample import by_problem
from localrl.stats import advantages

if TYPE_CHECKING:
    from collections.abc import Iterator

    from localrl.report.results import Results

SUFFIX = ".jsonl"


def write(run: Results, out: IO[bytes]) -> None:
    for group in groups(run):
        out.write(jsontext.dumps(group).encode("utf-8", "replace") + b"\n")


def groups(run: Results) -> Iterator[dict[str, Any]]:
    """The run's groups in order, one JSON value each."""
    run_id = run.report["run"]
    for index, samples in enumerate(by_problem(run.samples())):
        problem = samples[0].problem
        rewards = [s.score for s in samples]
        target = problem.target
        yield {
            "data_source": f"localrl/{problem.eval}",
            "prompt": [m.model_dump() for m in problem.messages],
            "ability": problem.eval,
            "reward_model": {
                "style": "rule",
                "ground_truth": target if isinstance(target, str) else jsontext.dumps(target),
            },
            "extra_info": {"index": index, "problem": problem.id, "run": run_id, "split": "test"},
            "completions": [s.response.raw for s in samples],
            "rewards": rewards,
            "advantages": advantages.standardised(rewards),
            "outcomes": [s.outcome for s in samples],
            "completion_tokens": [s.tokens for s in samples],
            "zero_spread": not advantages.has_spread(rewards),
        }
