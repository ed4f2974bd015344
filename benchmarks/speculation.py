"""One stream with and without speculation, in turns, on a text that copies its prompt and on another one.

    python benchmarks/speculation.py [--model MODEL] [--repeats N] [--tokens N]

Prints the ratio of the times (1.3 is asked where the text copies, and never under 0.98), how many passes each
took, and whether both said the same.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from localrl.catalog.locate import locate
from localrl.chat import Message
from localrl.engine.client import EngineClient
from localrl.engine.protocol import EngineSettings, Finished, GroupRequest, Metrics, SampleRequest, Started
from localrl.sampling import Sampling

CODE = '''\
def area(width, height):
    """Area of a rectangle."""
    if width < 0 or height < 0:
        raise ValueError("negative size")
    return width * height


def volume(width, height, depth):
    """Volume of a box."""
    if width < 0 or height < 0 or depth < 0:
        raise ValueError("negative size")
    return area(width, height) * depth


def cost(width, height, depth, price):
    """Price of the material of a box."""
    total = volume(width, height, depth) * price
    return round(total, 2)
'''
STORY = "Write a short story about a fisherman who finds a strange island."
PROMPTS: dict[str, str | tuple[Message, ...]] = {
    # Small models do not obey "repeat this", but go on with what has begun.
    "copies": f"Original file:\n\n{CODE}\nThe same file again, unchanged:\n\n{CODE[:120]}",
    "story": (Message(role="user", content=STORY),),
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--tokens", type=int, default=250)
    arguments = parser.parse_args()
    path = str(locate(arguments.model).path)
    with ExitStack() as stack:
        plain, drafting = (stack.enter_context(engine(path, speculate)) for speculate in (False, True))
        for name in PROMPTS:
            ratios = []
            for turn in range(arguments.repeats + 1):
                alone, drafted = (reply(client, name, turn, arguments.tokens) for client in (plain, drafting))
                if turn:  # the first is the warm-up
                    ratios.append(alone.seconds / drafted.seconds)
            same = "the same text" if alone.text == drafted.text else "another text"
            print(
                f"{name}: {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}), "
                f"{drafted.passes} passes instead of {alone.passes}, {same}",
                flush=True,
            )


class Reply:
    """A text, and the time and the passes from its first token to its last."""

    text = ""
    seconds = 0.0
    passes = 0


def engine(path: str, speculate: bool) -> EngineClient:
    settings = EngineSettings(model=path, parallel=1, context=4096, speculate=speculate)
    return EngineClient(settings, Path(tempfile.mkstemp(suffix=".log")[1]))


def reply(client: EngineClient, name: str, turn: int, tokens: int) -> Reply:
    sampling = Sampling(temperature=0.0, max_tokens=tokens)
    sample = SampleRequest(f"{name}.{turn}", 0)
    client.submit(GroupRequest(f"g{turn}", PROMPTS[name], (sample,), sampling, loop_guard=False))
    made, began, first, last = Reply(), 0.0, 0, 0
    while client.in_flight:
        for event in client.events():
            if isinstance(event, Started):
                began = time.perf_counter()
            elif isinstance(event, Metrics):
                last = event.steps
                first = first or last
            elif isinstance(event, Finished):
                made.text = event.text
    made.seconds, made.passes = time.perf_counter() - began, last - first
    return made


if __name__ == "__main__":
    main()
