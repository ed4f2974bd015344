"""Numbers as people read them, the same on every screen, in every table and in every message.

What was not measured is `ABSENT`. A minus is typographic, and a unit stands after a space, as in SI.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

ABSENT = "–"


def percent(share: float | None, digits: int = 1) -> str:
    """A share in [0, 1]: `78.9 %`."""
    return ABSENT if share is None else f"{100 * share:.{digits}f} %"


def percents(shares: Iterable[float | None]) -> str:
    """Several shares in little room: `46.0, 3.8 %`."""
    return ", ".join(percent(share).removesuffix(" %") for share in shares) + " %"


def points(difference: float) -> str:
    """A difference of shares in percentage points, with its sign: `−2.5`."""
    return f"{100 * difference:+.1f}".replace("-", "−")


def bounds(low: float, high: float) -> str:
    """Both ends of a share's interval, in percent: `71.0–85.1`."""
    return f"{100 * low:.1f}–{100 * high:.1f}"


def interval(value: float, low: float, high: float) -> str:
    """A share with its interval: `78.9 % (71.0–85.1)`."""
    return f"{percent(value)} ({bounds(low, high)})"


def difference(value: float, low: float, high: float) -> str:
    """A difference of shares with its interval, in percentage points: `+2.5 (−1.0 to +6.0)`."""
    return f"{points(value)} ({points(low)} to {points(high)})"


def number(value: float | None, digits: int = 1) -> str:
    """A measured value: `digits` after the point, none from 100 on, and significant ones below 1."""
    if value is None:
        return ABSENT
    if value and abs(value) < 1:
        return f"{value:.{digits + 1}g}"
    return f"{value:,.{digits if abs(value) < 100 else 0}f}"


def rate(per_s: float | None) -> str:
    """A rate that moves or is estimated: whole, but for slow ones, which must not look like none."""
    return number(per_s, 1 if per_s is not None and per_s < 9.95 else 0)


def count(n: int, noun: str) -> str:
    """`1 problem`, `2,000 problems`."""
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def duration(seconds: float | None) -> str:
    """`0.42 s`, `4.2 s`, `48 s`, `3 min 41 s`, `12 min`, `1 h 12 min`."""
    if seconds is None:
        return ABSENT
    if seconds < 9.95:
        return "0 s" if not seconds else f"{seconds:.2f} s" if seconds < 0.995 else f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 600:
        return f"{whole // 60} min {whole % 60} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60:,} h {minutes % 60} min"


def size(n_bytes: float | None) -> str:
    """Bytes of memory or of a file: `512 KiB`, `260 MiB`, `19.9 GiB`."""
    if n_bytes is None:
        return ABSENT
    unit, name, digits = _unit(n_bytes)
    return f"{n_bytes / unit:,.{digits}f} {name}"


def part_of_size(n_bytes: float, total: float) -> str:
    """How much of a file is here: `8.9 of 19.9 GiB`."""
    unit, _, digits = _unit(total)
    return f"{n_bytes / unit:,.{digits}f} of {size(total)}"


def bandwidth(bytes_per_s: float) -> str:
    """Bytes per second of a network or a memory, in powers of ten as both are sold: `95 MB/s`."""
    unit, name = (1e9, "GB/s") if bytes_per_s >= 1e9 else (1e6, "MB/s")
    return f"{rate(bytes_per_s / unit)} {name}"


def parameters(n: float) -> str:
    """A model's parameters: `1.5B`, `671B`."""
    return f"{n / 1e9:.{1 if n < 1e11 else 0}f}B"


def _unit(n_bytes: float) -> tuple[int, str, int]:
    if n_bytes >= 2**30:
        return 2**30, "GiB", 1
    return (2**20, "MiB", 0) if n_bytes >= 2**20 else (2**10, "KiB", 0)
