"""How many answers a second `localrl verify math` judges: `python benchmarks/verify.py [--answers N]`.

Measures the whole command, reading and writing included, on integer answers at the end of a long thinking,
then on answers that need a worker. With `--share`, how much of a run of the starter model the verifiers take.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from localrl.catalog.locate import locate
from localrl.engine.protocol import EngineSettings
from localrl.runs import plan, session
from localrl.store.runs import Store

SYMBOLIC = [
    (r"\frac{\sqrt{3}}{3}", r"\frac{1}{\sqrt{3}}"),
    (r"x^2-1", r"(x-1)(x+1)"),
    (r"2\pi", r"\frac{4\pi}{2}"),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--answers", type=int, default=20_000)
    parser.add_argument("--share", action="store_true")
    given = parser.parse_args()
    if given.share:
        share()
        return
    count = given.answers
    draw = random.Random(0)
    golds = [draw.randint(0, 999) for _ in range(count)]
    integers = [(str(gold), str(gold + draw.randint(0, 1))) for gold in golds]
    for name, pairs in (("integers", integers), ("expressions", SYMBOLIC * (count // 100))):
        seconds = judge(pairs)
        print(f"{name:12} {len(pairs):7} answers  {seconds:6.2f} s  {len(pairs) / seconds:8.0f} a second")


def judge(pairs: list[tuple[str, str]]) -> float:
    """Wall time in seconds of the command on (gold, answer) pairs."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "answers.jsonl"
        with path.open("w", encoding="utf-8") as out:
            for number, (gold, answer) in enumerate(pairs):
                text = f"<think>{'word ' * 300}</think>So the answer is $\\boxed{{{answer}}}$."
                out.write(json.dumps({"id": number, "response": text, "target": gold}) + "\n")
        command = [sys.executable, "-m", "localrl", "verify", "math", "--jsonl", str(path), "--json"]
        begun = time.perf_counter()
        done = subprocess.run(command, capture_output=True, check=True)
        seconds = time.perf_counter() - begun
    assert len(done.stdout.splitlines()) == len(pairs)
    return seconds


def share() -> None:
    """Processor seconds of the verifiers' processes over the wall seconds of a whole run."""
    verifiers: dict[int, float] = {}
    with tempfile.TemporaryDirectory() as folder, Store(Path(folder) / "runs.db") as store:
        made = plan.make(locate("smollm2-135m"), ["starter"], EngineSettings(parallel=16))
        with session.start(store, made) as opened:
            begun = time.perf_counter()
            for _ in opened.runner.events():
                for child in psutil.Process().children():
                    if "localrl.verify.worker" in child.cmdline():
                        verifiers[child.pid] = sum(child.cpu_times()[:2])
            wall = time.perf_counter() - begun
    print(f"starter run  {wall:.1f} s, verifiers {sum(verifiers.values()):.2f} s of a processor")


if __name__ == "__main__":
    main()
