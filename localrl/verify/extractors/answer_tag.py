"""What stands in the last `<answer>...</answer>`."""

from __future__ import annotations

import re

NAME = "answer_tag"
FORM = "So <answer>{}</answer>"


def extract(answer: str) -> str | None:
    lower = answer.lower() if answer.isascii() else re.sub("(?i)</?answer>", lambda m: m[0].lower(), answer)
    end = lower.rfind("</answer>")
    start = lower.rfind("<answer>", 0, max(end, 0))
    return (answer[start + len("<answer>") : end].strip() or None) if start >= 0 else None
