r"""The content of the last `\boxed{}` or `\fbox{}`; nothing when that one is never closed.

Of boxes in one another it is the outermost, without the marks of the inner.
"""

from __future__ import annotations

from localrl.verify import boxes

FORM = r"So the answer is $\boxed{{{}}}$."


def extract(answer: str) -> str | None:
    found = boxes.find(answer)
    return found[-1].content(answer) if found else None
