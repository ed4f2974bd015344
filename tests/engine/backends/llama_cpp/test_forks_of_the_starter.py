"""On a real model, what a fork says greedily is the likeliest behind its sample's thinking.

Texts of two runs are no measure: the last bits depend on the batch, and a small model is often undecided.
"""

from __future__ import annotations

import pytest

from localrl.catalog.locate import locate
from localrl.chat import Message, ThinkingTags
from localrl.engine.backends.llama_cpp.device import LlamaDevice
from localrl.engine.conformance import run
from localrl.engine.protocol import EngineSettings, GroupRequest, SampleRequest, Started
from localrl.engine.scheduler import Scheduler
from localrl.sampling import Sampling

pytestmark = [pytest.mark.slow, pytest.mark.process]

BUDGET, ANSWER = 24, 12
UNDECIDED = 0.1
"""Difference of log-probabilities that rounding may turn around."""
TAGS = ThinkingTags(open="<|im_start|>assistant", close="</think>")
"""The starter thinks from the beginning of its turn on."""
QUESTIONS = (
    "What is 37 times 24?",
    "How many primes are below 60?",
    "Sort these words: pear, apple, fig, date.",
    "What is the sum of 12, 55, 78 and 91?",
    "A train goes 60 km in 45 minutes. How fast is it?",
    "What is the greatest common divisor of 84 and 126?",
    "Reverse the word 'localhost'.",
    "If x + 3 = 11, what is 2x?",
)


def asked(number: int) -> GroupRequest:
    return GroupRequest(
        f"g{number}",
        (Message(role="user", content=QUESTIONS[number]),),
        (SampleRequest(f"s{number}", 1),),
        Sampling(max_tokens=BUDGET + 4),
        thinking=TAGS,
        budgets=(BUDGET,),
        budget_answer_tokens=ANSWER,
        logprobs=0,
    )


@pytest.mark.parametrize("unified", [True, False])
def test_a_greedy_fork_says_what_is_likeliest_behind_its_samples_thinking(unified: bool) -> None:
    settings = EngineSettings(
        model=str(locate("smollm2-135m").path), parallel=4, context=4096, tokens_per_stream=512, threads=1
    )
    device = LlamaDevice(settings, unified=unified)
    assert device.unified is unified
    scheduler = Scheduler(device, 4)
    groups = [asked(i) for i in range(len(QUESTIONS))]
    outcomes = run(scheduler, groups)
    closing = device.tokenize(TAGS.closing, control=True)
    likeliest = 0
    for group in groups:
        end = outcomes[group.samples[0].id].finished
        (fork,) = end.forks
        thought = [token.id for token in end.logprobs[:BUDGET]]
        answer = device.tokenize(fork.text, control=True)
        whole = (*device.encode(group)[0], *thought, *closing, *answer)
        scheduler.submit(
            GroupRequest(
                "echo", whole, (SampleRequest("echo", 1),), Sampling(max_tokens=1), logprobs=1, echo=True
            )
        )
        echoed = next(event for event in _events(scheduler) if isinstance(event, Started)).logprobs
        misses = [
            token.top[0][1] - token.logprob
            for token in echoed[-len(answer) :]
            if token.logprob is not None and token.top
        ]
        likeliest += max(misses) < UNDECIDED
    scheduler.close()
    assert likeliest >= 7


def _events(scheduler: Scheduler) -> list[object]:
    events: list[object] = []
    while scheduler.busy:
        events += scheduler.step()
    return events
