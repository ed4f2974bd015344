r"""The content of the last `\boxed{}` or `\fbox{}` that holds a value, with those that `and`, `or` or commas
join to it; nothing when the last box is never closed.

Of boxes in one another it is the outermost, without the marks of the inner.
"""

from __future__ import annotations

from localrl.verify import boxes
from localrl.verify.plaintext import plain

FORM = r"So the answer is $\boxed{{{}}}$."


def extract(answer: str) -> str | None:
    answer = plain(answer)
    return ", ".join(boxes.joined(answer, boxes.valued(answer))) or None
