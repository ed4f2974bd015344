"""The option chosen, A to J: in the last box or, where that holds no letter, as `letters` reads the text.

Two letters side by side (`A or B`) are returned as they stand, for they are no choice.
"""

from __future__ import annotations

import re

from localrl.verify import boxes
from localrl.verify.extractors import answer_tag

FORM = "So\n\nANSWER: {}"


def extract(answer: str) -> str | None:
    from localrl.verify import letters  # its expressions take 20 ms to compile

    answer = boxes.BARE_BOX.sub(r"\\boxed{", answer)
    if len(joined := boxes.joined(answer)) > 1:
        return ", ".join(joined)
    if joined and (boxed_letter := letters.boxed(joined[0])):
        return boxed_letter
    answer = answer_tag.extract(answer) or answer
    if re.fullmatch(r"[\s(\[*]*[A-Ja-j][\s).:\]*]*", answer):
        return re.sub(r"[\W_]", "", answer).upper()
    return letters.chosen(answer)
