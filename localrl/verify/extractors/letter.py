"""The option chosen, A to J: in the last box or, where that holds no letter, in the last clause that names
one as the answer; `Answer: C` is not overruled by comment after it.

Two letters side by side (`A or B`) are returned as they stand, for they are no choice.
"""

from __future__ import annotations

import re

from localrl.verify import boxes
from localrl.verify.extractors import answer_tag
from localrl.verify.plaintext import plain

FORM = "So\n\nANSWER: {}"


def extract(answer: str) -> str | None:
    from localrl.verify import letters  # its expressions take 20 ms to compile

    answer = boxes.BARE_BOX.sub(r"\\boxed{", plain(answer))
    if len(joined := boxes.joined(answer, boxes.valued(answer))) > 1:
        return ", ".join(joined)
    if joined and (boxed_letter := letters.boxed(joined[0])):
        return boxed_letter
    answer = answer_tag.extract(answer) or answer
    if re.fullmatch(r"[\s(\[*]*[A-Ja-j][\s).:\]*]*", answer):
        return re.sub(r"[\W_]", "", answer).upper()
    return letters.chosen(answer)
