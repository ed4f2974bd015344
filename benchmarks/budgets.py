"""What answers at thinking budgets cost, as a ratio to the same run without them. Run by hand:

    python benchmarks/budgets.py [--streams 2 8] [--budgets 64 128 256 | --budgets log2] [--penalties]

Two engines work in turns of a few steps in one process, on one thread: what else the machine does hits both
alike. Processor time counts. `--penalties` compares draws with and without penalties instead.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace

import numpy as np

from localrl.catalog.locate import locate
from localrl.chat import Message, ThinkingTags
from localrl.engine.backends.llama_cpp.device import LlamaDevice
from localrl.engine.backends.llama_cpp.sampler import Candidates, Sampler
from localrl.engine.protocol import EngineSettings, Event, Finished, GroupRequest, SampleRequest
from localrl.engine.scheduler import Scheduler
from localrl.sampling import Sampling

LENGTH, ANSWER = 1024, 20
"""Tokens of a stream, and of a forced answer."""
TURN = 8
"""Steps that one engine takes before the other's turn."""
TAGS = ThinkingTags(
    open="<|im_start|>assistant",
    budget_message="\n\nConsidering the limited time by the user, I have to give the solution based on the "
    "thinking directly now.\n</think>\n\n",
)
"""The starter thinks from the beginning of its turn on, and never closes it by itself."""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--streams", type=int, nargs="*", default=[2, 8])
    parser.add_argument("--budgets", nargs="*", default=["64", "128", "256"])
    parser.add_argument("--penalties", action="store_true")
    arguments = parser.parse_args()
    if arguments.penalties:
        penalties()
        return
    log2 = arguments.budgets == ["log2"]
    budgets = tuple(2**i for i in range(6, 10)) if log2 else tuple(map(int, arguments.budgets))
    for streams in arguments.streams:
        measure(streams, budgets)


class Engine:
    """A scheduler on a device of its own, and the processor time that its steps took."""

    def __init__(self, streams: int, budgets: tuple[int, ...]) -> None:
        settings = EngineSettings(
            model=str(locate("smollm2-135m").path),
            parallel=streams,
            context=streams * (LENGTH + 512) + 2048,
            cache_type="f16",
            threads=1,
        )
        self.device = LlamaDevice(settings)
        self.scheduler = Scheduler(self.device, streams)
        self.seconds = 0.0
        self.events: list[Event] = []
        for i in range(streams):
            self.scheduler.submit(replace(_question(i), budgets=budgets))

    def turn(self) -> bool:
        """A few steps; whether there is more to do."""
        began = time.process_time()
        for _ in range(TURN):
            if self.scheduler.busy:
                self.events += self.scheduler.step()
        self.seconds += time.process_time() - began
        return self.scheduler.busy


def _question(i: int) -> GroupRequest:
    prompt = (Message(role="user", content=f"Tell me a long story, number {i}."),)
    sampling = Sampling(temperature=0.7, top_k=40, top_p=0.95, max_tokens=LENGTH)
    return GroupRequest(
        f"g{i}",
        prompt,
        (SampleRequest(f"s{i}", i),),
        sampling,
        thinking=TAGS,
        budget_answer_tokens=ANSWER,
        loop_guard=False,
        ignore_end=True,
    )


def measure(streams: int, budgets: tuple[int, ...]) -> None:
    plain, forked = Engine(streams, ()), Engine(streams, budgets)
    while any([plain.turn(), forked.turn()]):
        pass
    forks = [fork for end in forked.events if isinstance(end, Finished) for fork in end.forks]
    assert len(forks) == streams * len(budgets)
    closing = len(forked.device.tokenize(TAGS.closing, control=True))
    again = sum(fork.computed_tokens for fork in forks) - len(forks) * (closing - 1)
    expected = 1 + len(budgets) * (closing + ANSWER) / LENGTH
    ratio = forked.seconds / plain.seconds
    print(
        f"{streams} streams of {LENGTH}, budgets {budgets}, {closing} + {ANSWER} tokens each: {ratio:.3f} of "
        f"{plain.seconds:.1f} s (by tokens {expected:.3f}); computed again: {again} tokens"
    )
    for engine in (plain, forked):
        engine.scheduler.close()


def penalties() -> None:
    """A draw with penalties against one without, over a large vocabulary and 4,096 tokens said before."""
    rng = np.random.default_rng(0)
    for vocabulary in (49_152, 151_936):
        logits = rng.normal(size=vocabulary).astype(np.float32) * 3
        said = [int(token) for token in rng.integers(0, vocabulary, 4096)]
        plain = Sampling(temperature=0.6, top_k=20, top_p=0.95)
        samplers = [
            Sampler(sampling, 1, Candidates(vocabulary), (), said)
            for sampling in (plain, plain.model_copy(update={"presence_penalty": 1.5}))
        ]
        seconds = [0.0, 0.0]
        for _ in range(2000):
            for i, sampler in enumerate(samplers):
                began = time.process_time()
                sampler.draw(logits)
                seconds[i] += time.process_time() - began
        without, with_penalties = (1e6 * each / 2000 for each in seconds)
        print(f"vocabulary {vocabulary}: a draw {without:.0f} µs, with a penalty {with_penalties:.0f} µs")


if __name__ == "__main__":
    main()
