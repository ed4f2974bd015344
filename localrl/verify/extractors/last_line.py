"""The last line that is not blank."""

from __future__ import annotations

NAME = "last_line"


def extract(answer: str) -> str | None:
    lines = answer.strip().splitlines()
    return lines[-1].strip() if lines else None
