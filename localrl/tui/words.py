"""Numbers as people read them, in as little room as possible."""

from __future__ import annotations

BARS = "▁▂▃▄▅▆▇█"


def number(value: float | None, digits: int = 1) -> str:
    return "–" if value is None else f"{value:,.{digits}f}"


def pace(tokens_per_s: float | None) -> str:
    """Tokens per second; a slow model's with a digit more, that it is not none."""
    return number(tokens_per_s, 0 if tokens_per_s is None or tokens_per_s >= 9.95 else 1)


def percent(value: float | None, digits: int = 1) -> str:
    return "–" if value is None else f"{100 * value:.{digits}f} %"


def span(seconds: float | None) -> str:
    """A duration: `42 s`, `3 m 41 s`, `1 h 12 m`."""
    if seconds is None:
        return "–"
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} m {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} m"


def size(value: float | None) -> str:
    """Bytes as MiB or GiB."""
    if value is None:
        return "–"
    return f"{value / 2**30:.1f} GiB" if value >= 2**30 else f"{value / 2**20:.0f} MiB"


def sparkline(values: list[float], width: int) -> str:
    """The last values as bars, one a column, from zero to the highest."""
    shown = values[-width:]
    highest = max(shown, default=0.0)
    if highest <= 0:
        return BARS[0] * len(shown)
    return "".join(BARS[min(7, int(value / highest * 7.99))] for value in shown)
