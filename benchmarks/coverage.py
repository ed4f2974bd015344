"""How often 95 % intervals cover, on simulated evals like the real ones: the tables of docs/statistics.md.

Run: python benchmarks/coverage.py [SEED] [REPEATS]
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np
from scipy.special import expit

from localrl import stats
from localrl.report.tables import Table, markdown

Draw = Callable[[np.random.Generator, int], np.ndarray]


def beta(mean: float, strength: float) -> Draw:
    return lambda rng, size: rng.beta(mean * strength, (1 - mean) * strength, size)


def hard_and_easy(rng: np.random.Generator, size: int) -> np.ndarray:
    return np.where(rng.random(size) < 0.15, rng.beta(1, 9, size), rng.beta(12, 1, size))


SETS: list[tuple[str, int, tuple[int, ...], Draw]] = [
    ("AIME, mean 0.8", 30, (1, 2, 4, 16, 64), beta(0.8, 0.6)),
    ("AIME, mean 0.5", 30, (1, 4, 16, 64), beta(0.5, 0.6)),
    ("AIME, mean 0.1", 30, (1, 4, 16, 64), beta(0.1, 0.6)),
    ("AIME, few hard ones", 30, (1, 4, 16, 64), hard_and_easy),
    ("GPQA-Diamond, mean 0.6", 198, (1, 8), beta(0.6, 1.5)),
    ("GSM8K, mean 0.95", 1319, (1, 2), beta(0.95, 0.8)),
    ("MMLU, mean 0.7", 3000, (1,), beta(0.7, 1.0)),
]
PAIRS: list[tuple[str, int, tuple[int, ...], float, float, float, float]] = [
    ("AIME, two quantisations", 30, (1, 4, 16), 1.5, 3, 0.1, 0.5),
    ("AIME, two models", 30, (1, 4, 16), 0, 3, 2, 2),
    ("AIME, nearly always right", 30, (2, 4), 6, 2, 0.1, 0.1),
    ("AIME, far apart", 30, (1, 4), 1, 1, 6, 1),
    ("GPQA-Diamond", 198, (1, 4), 0.5, 2, 0.2, 0.5),
    ("GSM8K", 1319, (1, 2), 4, 2, 0.3, 0.3),
]


def normal(n: np.ndarray, c: np.ndarray) -> tuple[float, float]:
    x = c / n
    half = 1.96 * float(x.std(ddof=1)) / len(x) ** 0.5
    return float(x.mean()) - half, float(x.mean()) + half


def bootstrap(rng: np.random.Generator, d: np.ndarray) -> tuple[float, float]:
    low, high = np.quantile(rng.choice(d, (300, d.size)).mean(axis=1), [0.025, 0.975])
    return float(low), float(high)


def accuracy(rng: np.random.Generator, repeats: int) -> None:
    rows = []
    for name, problems, ks, draw in SETS:
        population = float(draw(rng, 4_000_000).mean())
        for k in ks:
            n, hits = np.full(problems, k), np.zeros(4)
            for _ in range(repeats):
                p = draw(rng, problems)
                c = rng.binomial(k, p)
                new, same, clt = stats.generalisation(n, c), stats.repeatability(n, c), normal(n, c)
                hits += [
                    new.low <= population <= new.high,
                    clt[0] <= population <= clt[1],
                    same.low <= p.mean() <= same.high,
                    new.half_width,
                ]
            share = hits / repeats
            rows.append([name, str(problems), str(k), *(f"{100 * s:.1f}" for s in share)])
    header = ["set", "problems", "k", "generalisation", "normal interval", "repeatability", "± points"]
    print(markdown(Table(header, rows)), end="\n\n")


def paired(rng: np.random.Generator, repeats: int) -> None:
    rows = []
    for name, problems, ks, ease, spread, loss, disagreement in PAIRS:

        def chances(size: int) -> tuple[np.ndarray, np.ndarray]:
            a = rng.normal(ease, spread, size)  # noqa: B023 (used before the loop goes on)
            return expit(a), expit(a - loss + rng.normal(0, disagreement, size))  # noqa: B023

        a, b = chances(4_000_000)
        truth = float((a - b).mean())
        for k in ks:
            n, hits = np.full(problems, k), np.zeros(3)
            for _ in range(repeats):
                a, b = chances(problems)
                ca, cb = rng.binomial(k, a), rng.binomial(k, b)
                ours, boot = stats.compare(n, ca, n, cb), bootstrap(rng, (ca - cb) / k)
                real = float((a - b).mean())
                hits += [
                    ours.difference.low <= truth <= ours.difference.high,
                    boot[0] <= truth <= boot[1],
                    ours.same_problems.low <= real <= ours.same_problems.high,
                ]
            rows.append([name, str(problems), str(k), *(f"{100 * h / repeats:.1f}" for h in hits)])
    header = ["pair", "problems", "k", "difference", "percentile bootstrap", "on these problems"]
    print(markdown(Table(header, rows)), end="\n\n")


def sequential(rng: np.random.Generator, repeats: int) -> None:
    looks = [10, 15, 20, 30, 45, 70, 100, 150, 220, 330, 500]
    hits = np.zeros(5)
    for _ in range(repeats):
        x = rng.binomial(1, rng.beta(0.6, 0.2, 500)).astype(float)
        p = rng.beta(0.3, 0.3, 30)
        rounds = rng.random((30, 64)) < p[:, None]
        ease = rng.normal(1, 2, 500)
        a, b = (rng.random(500) < expit(ease + rng.normal(0, 1, 500)) for _ in range(2))
        d = a.astype(float) - b
        ordinary = [stats.wilson(int(x[:n].sum()), n) for n in looks]
        betting = [stats.mean_sequence(x[:n]) for n in looks]
        whole = [stats.mean_sequence(x[:n], population=500) for n in looks]
        repeat = [stats.repeat_sequence(rounds[:, :r]) for r in (1, 2, 4, 8, 16, 32, 64)]
        score = float(x.mean())
        hits += [
            any(not i.low <= 0.75 <= i.high for i in ordinary),
            any(not i.low <= 0.75 <= i.high for i in betting),
            any(not i.low - 1e-9 <= score <= i.high + 1e-9 for i in whole),
            any(not i.low <= p.mean() <= i.high for i in repeat),
            any(stats.difference_sequence(d[:n]).settled for n in looks),
        ]
    names = [
        "Wilson's interval, for comparison",
        "betting (problems of this kind)",
        "betting without replacement (the whole eval)",
        "empirical Bernstein (these problems, by rounds)",
        "paired betting: two equal runs told apart",
    ]
    print(
        markdown(
            Table(
                ["method", "missed at some look"],
                [[n, f"{100 * h / repeats:.1f} %"] for n, h in zip(names, hits, strict=True)],
            )
        )
    )


if __name__ == "__main__":
    seed = int(sys.argv[1]) if len(sys.argv) > 1 else 0
    times = int(sys.argv[2]) if len(sys.argv) > 2 else 4000
    accuracy(np.random.default_rng(seed), times)
    paired(np.random.default_rng(seed + 1), times)
    sequential(np.random.default_rng(seed + 2), max(100, times // 10))
