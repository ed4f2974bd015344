"""The last fenced block that is closed and not empty."""

from __future__ import annotations

import re

FORM = "```python\n{}\n```"


def extract(answer: str) -> str | None:
    last: str | None = None
    block: list[str] | None = None
    fence = ""
    for line in answer.splitlines(keepends=True):
        bare = line.strip()
        if block is None:
            if opening := re.match(r"```+|~~~+", bare):
                fence, block = opening[0], []
        elif bare == fence:
            last = "".join(block) if "".join(block).strip() else last
            block = None
        else:
            block.append(line)
    return last
