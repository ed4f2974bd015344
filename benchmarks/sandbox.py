"""How many programs a second the sandbox runs: `python benchmarks/sandbox.py [--programs N] [--parallel N]`.

Each program is a fresh process that reads standard input, as in LiveCodeBench, its prelude included; calls
are those of one program that is asked over and over. Prints one line for each mechanism that works here.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from localrl import sandbox
from localrl.errors import LocalrlError
from localrl.verdict import Response
from localrl.verify.base import VerifierSpec
from localrl.verify.verifiers import code

if TYPE_CHECKING:
    from collections.abc import Callable

PLAIN = "```python\nprint(sum(map(int, input().split())))\n```"
TYPICAL = """```python
import sys
from collections import defaultdict, deque
def main():
    n, *edges = map(int, sys.stdin.read().split())
    graph = defaultdict(list)
    for a, b in zip(edges[::2], edges[1::2]):
        graph[a].append(b)
    queue, seen = deque([0]), {0}
    while queue:
        for b in graph[queue.popleft()]:
            if b not in seen:
                seen.add(b)
                queue.append(b)
    print(len(seen))
main()
```"""
CHAIN = " ".join(f"{i} {i + 1}" for i in range(200))
STDIN: dict[str, tuple[str, dict[str, Any]]] = {
    "plain": (PLAIN, {"kind": "stdin", "tests": [{"input": "1 2 3", "output": "6"}]}),
    "typical": (
        TYPICAL,
        {"kind": "stdin", "prelude": True, "tests": [{"input": f"201 {CHAIN}", "output": "201"}]},
    ),
}
CALLS = (
    "```python\ndef f(x):\n    return x + 1\n```",
    {"kind": "call", "function": "f", "tests": [{"args": [i], "output": i + 1} for i in range(1000)]},
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--programs", type=int, default=200)
    parser.add_argument("--parallel", type=int, default=4)
    options = parser.parse_args()
    cores, load = len(os.sched_getaffinity(0)), os.getloadavg()[0]
    print(f"{cores} cores, load {load:.1f} before; {options.parallel} programs at a time")
    for mechanism in sandbox.mechanisms():
        try:
            began = time.perf_counter()
            box = sandbox.checked(mechanism)
            canaries = time.perf_counter() - began
        except LocalrlError as error:
            print(f"{mechanism.name}: {error}")
            continue
        sandbox._acquired = box
        rates = {name: throughput(*job, options) for name, job in STDIN.items()}
        alone = statistics.median(timed(lambda: judge(*STDIN["plain"])) for _ in range(20))
        calls = timed(lambda: judge(*CALLS))
        print(
            f"{box.name}: {rates['plain']:.0f} plain and {rates['typical']:.0f} typical programs/s; "
            f"one alone {1000 * alone:.0f} ms; {1000 / calls:.0f} calls/s; canaries {canaries:.2f} s"
        )


def throughput(response: str, target: dict[str, Any], options: argparse.Namespace) -> float:
    with ThreadPoolExecutor(options.parallel) as pool:
        jobs = range(options.programs)
        seconds = timed(lambda: list(pool.map(lambda _: judge(response, target), jobs)))
    return float(options.programs / seconds)


def judge(response: str, target: dict[str, Any]) -> None:
    verdict = code.verify(Response(answer=response), target, VerifierSpec(name="code"))
    assert verdict.correct, verdict.detail


def timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
