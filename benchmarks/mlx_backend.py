"""The MLX backend against a bare loop over mlx-lm's `BatchGenerator`, on the same work.

    python benchmarks/mlx_backend.py FOLDER [--prompts 8] [--samples 1] [--tokens 64] [--streams 8]

Both use the same prompts, lengths, number of streams and kind of sampler, and no text ends early. The bare
loop computes the prompt of every sample, the backend once a group. Runs alternate; a first one warms up.
"""

from __future__ import annotations

import argparse
import importlib
import random
import statistics
import time

from localrl.engine.backends.mlx.device import PREFILL_TOKENS, MlxDevice
from localrl.engine.backends.mlx.padded import PaddedScheduler
from localrl.engine.protocol import EngineSettings, Finished, GroupRequest, SampleRequest
from localrl.sampling import Sampling


def bare(rows: MlxDevice, prompts: list[list[int]], samples: int, sampling: Sampling, streams: int) -> float:
    generate = importlib.import_module("mlx_lm.generate")
    began = time.monotonic()
    generator = generate.BatchGenerator(
        rows._model,
        max_tokens=sampling.max_tokens,
        completion_batch_size=streams,
        prefill_batch_size=min(8, streams),
        prefill_step_size=PREFILL_TOKENS,
    )
    work = [prompt for prompt in prompts for _ in range(samples)]
    samplers = [rows.sampler(sampling, seed, 0, 0).draw for seed in range(len(work))]
    generator.insert(work, samplers=samplers)
    made, left = 0, len(work)
    while left:
        _, drawn = generator.next()
        made += len(drawn)
        left -= sum(response.finish_reason is not None for response in drawn)
    generator.close()
    return made / (time.monotonic() - began)


def ours(rows: MlxDevice, prompts: list[list[int]], samples: int, sampling: Sampling, streams: int) -> float:
    backend = PaddedScheduler(rows, streams)
    began = time.monotonic()
    for i, prompt in enumerate(prompts):
        requests = tuple(SampleRequest(f"{i}.{j}", i * samples + j) for j in range(samples))
        backend.submit(
            GroupRequest(str(i), tuple(prompt), requests, sampling, ignore_end=True, loop_guard=True)
        )
    made = 0
    while backend.busy:
        for event in backend.step():
            if isinstance(event, Finished):
                made += event.thinking_tokens + event.answer_tokens
    return made / (time.monotonic() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder")
    parser.add_argument("--prompts", type=int, default=8)
    parser.add_argument("--samples", type=int, default=1)
    parser.add_argument("--prompt-tokens", type=int, default=32)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--streams", type=int, default=8)
    parser.add_argument("--temperature", type=float, default=0.6)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    rows = MlxDevice(EngineSettings("mlx", given.folder, parallel=given.streams))
    dice = random.Random(0)
    prompts = [[dice.randrange(10, 250) for _ in range(given.prompt_tokens)] for _ in range(given.prompts)]
    sampling = Sampling(temperature=given.temperature, top_k=40, max_tokens=given.tokens)
    rates: dict[str, list[float]] = {"bare": [], "localrl": []}
    bare(rows, prompts[:1], 1, Sampling(max_tokens=4), given.streams)
    for _ in range(given.rounds):
        rates["bare"].append(bare(rows, prompts, given.samples, sampling, given.streams))
        rates["localrl"].append(ours(rows, prompts, given.samples, sampling, given.streams))
    rows.close()
    for name, found in rates.items():
        print(f"{name:8} {statistics.median(found):8.1f} tokens/s  ({min(found):.1f} to {max(found):.1f})")
    print(f"ratio    {statistics.median(rates['localrl']) / statistics.median(rates['bare']):.3f}")


if __name__ == "__main__":
    main()
