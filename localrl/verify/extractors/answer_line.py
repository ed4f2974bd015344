"""What follows the last `Answer:` in the last 300 characters, as DAPO's reward reads it."""

from __future__ import annotations

import re

NAME = "answer_line"
FORM = "So\n\nAnswer: {}"

_ANSWER_LINE = re.compile(r"answer\s*(?:\*\*)?\s*:\s*(?:\*\*)?\s*([^\n]+)", re.IGNORECASE)
TAIL = 300  # characters; github.com/BytedTsinghua-SIA/DAPO scores only the end of a response


def extract(answer: str) -> str | None:
    found = _ANSWER_LINE.findall(answer[-TAIL:])
    return (found[-1].strip().strip("*").strip() or None) if found else None
