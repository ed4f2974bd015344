"""Everything, without the blanks around it."""

from __future__ import annotations


def extract(answer: str) -> str | None:
    return answer.strip() or None
