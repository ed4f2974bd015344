"""What stands in the last `<answer>...</answer>` that holds a value, with those joined to it."""

from __future__ import annotations

import re

from localrl.verify import boxes
from localrl.verify.plaintext import plain

NAME = "answer_tag"
FORM = "So <answer>{}</answer>"

_TAGGED = re.compile(r"<answer>((?:(?!<answer>).)*?)</answer>", re.DOTALL | re.IGNORECASE)


def extract(answer: str) -> str | None:
    answer = plain(answer)
    found = [boxes.Box(tag.start(), tag.span(1), tag.end()) for tag in _TAGGED.finditer(answer)]
    stated = [tag for tag in found if boxes.holds_value(tag.content(answer))]
    return ", ".join(boxes.joined(answer, stated)) or None
