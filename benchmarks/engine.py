"""The engine against a bare loop, and against itself. Run by hand on a quiet machine:

    python benchmarks/engine.py [decode|group|pool|run ...] [--repeats N] [--model MODEL] [--top-k N]

Every figure is a ratio of two measurements taken in turn, so it holds on a noisy machine; medians count.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from localrl.catalog.locate import LocalModel, locate
from localrl.engine.client import EngineClient
from localrl.engine.protocol import EngineSettings, Finished, GroupRequest, Metrics, SampleRequest, Started
from localrl.machine import hardware
from localrl.runs import plan, session
from localrl.sample import Sample
from localrl.sampling import Sampling
from localrl.store.runs import Store

CELLS = 8192


@dataclass(frozen=True, slots=True)
class Subject:
    """What is measured, and how often."""

    model: LocalModel
    top_k: int
    """0 leaves top-p alone, as DeepSeek-R1's protocol does."""
    repeats: int

    @property
    def path(self) -> str:
        return str(self.model.path)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("what", nargs="*", default=["decode", "group", "pool", "run"])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--top-k", type=int, default=40)
    arguments = parser.parse_args()
    subject = Subject(locate(arguments.model), arguments.top_k, arguments.repeats)
    for what in arguments.what:
        {"decode": decode, "group": first, "pool": pool, "run": run}[what](subject)


def engine(
    subject: Subject, parallel: int | None, context: int | None = CELLS, longest: int = 4096
) -> EngineClient:
    log = Path(tempfile.mkstemp(suffix=".log")[1])
    return EngineClient(
        EngineSettings(
            model=subject.path,
            parallel=parallel,
            context=context,
            cache_type="f16",
            tokens_per_stream=longest,
            speculate=False,  # which the bare loop does not
        ),
        log,
    )


def group(name: str, length: int, k: int, tokens: int, seed: int = 0, top_k: int = 40) -> GroupRequest:
    """A prompt of random tokens, whose samples go on to their limit."""
    prompt = tuple(int(t) for t in np.random.default_rng(seed).integers(1000, 20000, length))
    samples = tuple(SampleRequest(f"{name}.{i}", i) for i in range(k))
    sampling = Sampling(temperature=0.7, top_k=top_k, top_p=0.95, max_tokens=tokens)
    return GroupRequest(name, prompt, samples, sampling, loop_guard=False, ignore_end=True)


def decode(subject: Subject) -> None:
    """Aggregate decoding at 1, 8, 16 and 32 streams: tokens per second over the bare loop's."""
    script = str(Path(__file__).with_name("bare_loop.py"))
    child = [sys.executable, script, subject.path, *map(str, (CELLS, hardware.cores(), subject.top_k))]
    bare = subprocess.Popen(child, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert bare.stdin is not None
    assert bare.stdout is not None
    for streams in (1, 8, 16, 32):
        tokens = 200 if streams == 1 else 60
        ratios, rates = [], []
        with engine(subject, streams, None, 256) as client:
            for repeat in range(subject.repeats + 1):
                ours = decode_rate(client, streams, tokens, repeat, subject.top_k)
                bare.stdin.write(f"{streams} {tokens}\n")
                bare.stdin.flush()
                theirs = streams * tokens / float(bare.stdout.readline())
                if repeat:  # the first is the warm-up
                    ratios.append(ours / theirs)
                    rates.append(ours)
        show(f"decode, {streams} streams: engine / bare loop", ratios, statistics.median(rates), "tokens/s")
    bare.kill()
    bare.wait()


def decode_rate(client: EngineClient, streams: int, tokens: int, repeat: int, top_k: int) -> float:
    """Tokens per second while all streams run, by the app's clock."""
    for i in range(streams):
        client.submit(group(f"g{repeat}.{i}", 32, 1, tokens + 2, seed=i, top_k=top_k))
    marks: list[tuple[float, int]] = []
    while client.in_flight:
        events = client.events()
        now = time.perf_counter()
        metrics = (event for event in events if isinstance(event, Metrics))
        marks += [(now, e.generated_tokens) for e in metrics if e.running == streams and not e.waiting]
    (t0, n0), (t1, n1) = marks[0], marks[-1]
    return (n1 - n0) / (t1 - t0)


def first_tokens(client: EngineClient, name: str, k: int, seed: int) -> float:
    """Seconds until all k samples of a 500-token prompt have their first token."""
    began = time.perf_counter()
    client.submit(group(name, 500, k, 4, seed))
    started, last = 0, 0.0
    while client.in_flight:
        for event in client.events():
            if isinstance(event, Started):
                started, last = started + 1, time.perf_counter()
    assert started == k
    return last - began


def pool_throughput(subject: Subject, context: int, repeat: int) -> tuple[float, int]:
    """Tokens per second of 32 requests of 96 + 160 tokens, and the most that were set preempted at once."""
    with engine(subject, 32, context) as client:
        began = time.perf_counter()
        for i in range(32):
            client.submit(group(f"p{repeat}.{i}", 96, 1, 160, seed=i))
        done, preempted = 0, 0
        while client.in_flight:
            for event in client.events():
                if isinstance(event, Finished):
                    assert event.answer_tokens == 160, event
                    done += event.answer_tokens
                elif isinstance(event, Metrics):
                    preempted = max(preempted, event.preempted)
        return done / (time.perf_counter() - began), preempted


def pool(subject: Subject) -> None:
    """32 requests that need four times the cells of the pool, against a pool that holds them all."""
    ratios, preempted = [], 0
    for repeat in range(max(2, subject.repeats // 2)):
        small, preempted = pool_throughput(subject, 2048, repeat)
        large, _ = pool_throughput(subject, 8448, repeat)
        ratios.append(small / large)
    show(f"pool, a quarter of the cells ({preempted} set preempted at once): small / large", ratios)


def run(subject: Subject) -> None:
    """A whole bench run, verified and stored, against the engine alone on the same prompts."""
    ratios = []
    for _ in range(max(2, subject.repeats // 2)):
        with tempfile.TemporaryDirectory() as folder, Store(Path(folder) / "runs.db") as store:
            made = plan.make(subject.model, ["starter"], EngineSettings(parallel=16))
            with session.start(store, made) as opened:
                began = time.perf_counter()
                judged = sum(isinstance(event, Sample) for event in opened.runner.events())
                whole_s = time.perf_counter() - began
                prompts = [s.problem.messages for s in store.samples(opened.run)]
            tokens = sum(s.answer_tokens for s in store.samples(opened.run))
        alone, alone_s = engine_alone(prompts, made)
        assert judged == len(prompts)
        ratios.append((tokens / whole_s) / (alone / alone_s))
    show("run, verified and stored: whole run / engine alone", ratios)


def engine_alone(prompts: list[Any], made: plan.RunPlan) -> tuple[int, float]:
    part = made.evals[0]
    with EngineClient(made.engine, Path(tempfile.mkstemp(suffix=".log")[1])) as client:
        began = time.perf_counter()
        for i, prompt in enumerate(prompts):
            client.submit(GroupRequest(f"g{i}", prompt, (SampleRequest(f"{i}", i),), part.sampling))
        tokens = 0
        while client.in_flight:
            tokens += sum(e.answer_tokens for e in client.events() if isinstance(e, Finished))
        return tokens, time.perf_counter() - began


def first(subject: Subject) -> None:
    """16 samples of one 500-token prompt against one sample, each with a prompt of its own."""
    ratios = []
    with engine(subject, 16) as client:
        for repeat in range(subject.repeats + 1):
            one = first_tokens(client, f"one{repeat}", 1, 2 * repeat)
            many = first_tokens(client, f"many{repeat}", 16, 2 * repeat + 1)
            if repeat:
                ratios.append(many / one)
    show("group, first tokens of 16 samples: time / one sample's", ratios)


def show(what: str, ratios: list[float], rate: float | None = None, unit: str = "") -> None:
    quoted = f"   {rate:,.0f} {unit}" if rate else ""
    print(
        f"{what}: {statistics.median(ratios):.3f}  ({min(ratios):.3f} to {max(ratios):.3f}){quoted}",
        flush=True,
    )


if __name__ == "__main__":
    main()
