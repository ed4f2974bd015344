"""What follows the last `Answer:` with a value in the last 300 characters, as DAPO's reward reads it."""

from __future__ import annotations

import re

from localrl.verify import boxes
from localrl.verify.plaintext import plain

NAME = "answer_line"
FORM = "So\n\nAnswer: {}"

TAIL = 300  # characters; github.com/BytedTsinghua-SIA/DAPO scores only the end of a response
_ANSWER_LINE = re.compile(r"answer\s*(?:\*\*)?\s*:\s*(?:\*\*)?\s*([^\n]+)", re.IGNORECASE)


def extract(answer: str) -> str | None:
    found = [line.strip().strip("*").strip() for line in _ANSWER_LINE.findall(plain(answer)[-TAIL:])]
    return next((line for line in reversed(found) if boxes.holds_value(line)), None)
