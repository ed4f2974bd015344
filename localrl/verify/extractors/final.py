r"""For text made without a protocol: the last box or, in a text without any, what is called so.

Boxes that only `and`, `or` and commas join are one answer, a list; `boxed` finds the last of them
alone. A box that the text takes back (`Wait`, `Hold on`) gives way to what is called the answer
after it.

Without a box it is the answer tag, then `answer: X` or `answer is X`, then GSM8K's `#### X`, then
what a last line that begins with `so`, `thus` and the like comes to, then the one bold value of the
last paragraph, then `The ... is X` or a number alone at the end, then a text of one line without a
sentence.
"""

from __future__ import annotations

import re

from localrl.verify import boxes
from localrl.verify.extractors import answer_tag
from localrl.verify.extractors.answer_line import TAIL
from localrl.verify.extractors.last_number import NUMBER

FORM = r"So the answer is $\boxed{{{}}}$."

_SAID = re.compile(
    r"\banswers?\b\s{0,4}(?:\*\*)?\s{0,4}(?:(?:must|should|would|will|turns out to) be|comes (?:out )?to"
    r"|(?:is|are)\s?:?|equals|:|=)\s{0,4}(?:\*\*(?=\s))?\s{0,4}(?:(?:clearly|simply|just|then|therefore|thus|indeed|still)\s)?"
    r"((?:(?!\banswer\b)[^\n])+?)(?=\.\s|\.?$|\s\(not\b|,\s+(?:which|since|because|as|so|not)\b)",
    re.IGNORECASE | re.MULTILINE,
)
_HEADED = re.compile(
    r"^[#* \t]{0,8}(?:final )?answer[*: \t]{0,4}\n{1,3}([^\n]+)$", re.IGNORECASE | re.MULTILINE
)
_CONCLUDES = re.compile(
    r"(?i:[\W_]{0,8}(?:so|thus|therefore|hence|finally|consequently|altogether|total|result|to conclude"
    r"|in (?:total|all|conclusion|summary))\b)"
)
_CONCLUDED = re.compile(
    r"(?:\b(?:is|are|be|equals)|=)\s{0,4}(\*\*[^*]+\*\*|\$[^$]+\$|\\\(.+?\\\)|[^\s$]+)[\s.!$*]{0,8}$"
    r"|(?:\$|\\\()([^$=]{1,80}=[^$]+?)(?:\$|\\\))[\s.!]{0,8}$"
)
_DISPLAYED = re.compile(r"\$\$[^$]{1,300}\$\$|\\\[.{1,300}?\\\]", re.DOTALL)
_LAST_LINE = re.compile(
    r"^####[ \t]{0,8}(-?\$?\d[\d,.]{0,99}%?)(?:[ \t][a-z]{1,20})?[ \t]{0,8}$", re.MULTILINE
)  # as GSM8K's
_TAKEN_BACK = re.compile(
    r"(?i:(?:^|[.!?\n$)])\W{0,8}(?:(?:hmm|oh|but|no)\W{1,4})?(?:hold on|wait|actually|correction|oops|sorry"
    r"|on second thought|let me re-?\w+|i (?:made|mis\w+|was wrong|apologi[sz]e|overlooked))\b)"
)
_CORRECT_IS = re.compile(
    r"(?i:\b(?:correct|right|actual)\s(?:\w{1,20}\s){1,3}?(?:is|are|should be|must be)\s)"
    r"([^\n]{1,60}?)(?=[.!]?\s|[.!]?$|,)",
    re.MULTILINE,
)
_BOLD = re.compile(r"\*\*([^*\n]{1,200})\*\*")
_HEADS = re.compile(
    r"(?i:.*:\s*$|\W*(?:step|case|part|note|problem|question|method|option)\s?\d|\d{1,2}[.)]\s)"
)
_BOUND = re.compile(r"(?i:\b(?:not|than|least|most|if|over|under)\s*\$?$|n['’]t\s*$)")
_BOUNDS = re.compile(r"(?i:\b(?:not?|than|least|most|if|over|under|or|more|less|cannot)\b|n['’]t\b)")
_CLOSING = re.compile(
    r"(?i:\W{0,8}(?:let me know|i hope|hope (?:this|that)|feel free|would you like|note)\b)"
)
_STATED = re.compile(
    r"(?:^|[.!]\s|\n)The\s[^\d.!?\n]{1,120}\s(?:is|are|equals)\s(?:(?:therefore|thus|then)\s)?"
    r"(\$?-?\d[\d,]{0,20}(?:\.\d{1,20})?%?|\$[^$\n]{1,100}\$)[.!]?$"
)


def extract(answer: str) -> str | None:
    answer = boxes.BARE_BOX.sub(r"\\boxed{", answer)
    if "\\boxed" in answer or "\\fbox" in answer:
        return _corrected(answer) or ", ".join(boxes.joined(answer)) or None
    answer = _DISPLAYED.sub(lambda found: " ".join(found[0].split()), answer)
    if (tagged := answer_tag.extract(answer)) is not None:
        return tagged
    if (said := _said(answer)) is not None:
        return said or None
    bare = _without_closing(answer.strip())
    if (concluded := _concluded(bare) or _bold(bare)) is not None:
        return concluded
    last = bare.splitlines()[-1].strip("*$ .") if bare else ""
    if re.fullmatch(r"-?\d[\d,]{0,20}(?:\.\d{1,20})?", last):
        return last
    if (stated := _STATED.search(bare[-TAIL:])) is not None:
        return stated[1].strip("$")
    words = re.findall(r"(?<![\\a-zA-Z])[a-zA-Z]{2,}", bare)
    alone = not words or (len(words) == 1 and bare[0] in "-$(\\0123456789")
    return bare if bare and "\n" not in bare and alone else None


def _said(answer: str) -> str | None:
    """What is called the answer last; of a whole sentence so called, its one value."""
    found = _SAID.findall(answer) or _HEADED.findall(answer) or _LAST_LINE.findall(answer)
    if not found:
        return None
    bold = _valued(found[-1])
    said = bold[0] if len(bold) == 1 and len(found[-1].split()) > len(bold[0].split()) + 2 else found[-1]
    return _value(re.sub(r"^[\s*:$]+|[\s*]+$", "", said).rstrip(".").strip("$ "))


def _corrected(answer: str) -> str | None:
    """What is called the answer after the last box, where the text takes the box back."""
    found = boxes.find(answer)
    after = answer[found[-1].end :] if found else ""
    if not (taken_back := _TAKEN_BACK.search(after)):
        return None
    after = after[taken_back.end() :]
    said = _said(after) or next(iter(_CORRECT_IS.findall(after)[-1:]), None)
    return said if said and len(said) <= 60 and re.search(r"[\d\\]", said) else None


def _without_closing(answer: str) -> str:
    """Without a last paragraph that holds no number and only takes leave (`Let me know ...`)."""
    kept, _, last = answer.rpartition("\n\n")
    return kept.rstrip() if kept and _CLOSING.match(last) and not re.search(r"\d", last) else answer


def _bold(answer: str) -> str | None:
    """The one bold value of the last paragraph."""
    values = _valued(re.split(r"\n\s{0,8}\n", answer[-2000:])[-1])
    if len(values) != 1:
        return None
    return _value(values[0].strip("$ .")) or None


def _value(said: str) -> str:
    """The one number of a sentence (`John is 45 miles from home`), or what it says that something is."""
    if len(said.split()) <= 3 or _BOUNDS.search(said):
        return said
    numbers = NUMBER.findall(said)
    if len(numbers) == 1 and not re.search(r"[=\\]|\$(?!\d)", said):
        return str(numbers[0]).replace(",", "")
    last = re.search(r"\s(?:is|are|equals)\s(\S*[\d\\]\S*)$", said)
    return last[1] if last else said


def _valued(text: str) -> list[str]:
    """The bold spans that hold a number or a formula, but no headings and no bounds (`at least **5**`)."""
    return [
        found[1]
        for found in _BOLD.finditer(text)
        if re.search(r"[\d\\=π√]", found[1])
        and not _HEADS.match(found[1])
        and not _BOUND.search(text[max(found.start() - 20, 0) : found.start()])
    ]


def _concluded(answer: str) -> str | None:
    """What the last line comes to: `So it is X`, `Thus x = X`, or the one number in it."""
    lines = [line for line in answer[-TAIL:].splitlines() if line.strip()][-2:]
    if lines and lines[-1].lstrip().startswith(("$$", "\\[")):
        lines = [" ".join(lines)]
    if not lines or not _CONCLUDES.match(line := lines[-1]):
        return None
    if len(bold := _valued(line)) == 1:
        return _value(bold[0].strip("$ .")) or None
    if found := _CONCLUDED.search(line):
        return (found[1] or found[2]).removeprefix("\\(").removesuffix("\\)").strip("*$. ") or None
    numbers = NUMBER.findall(line)
    return numbers[0].replace(",", "") if len(numbers) == 1 else None
