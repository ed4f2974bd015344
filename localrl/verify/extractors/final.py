r"""For text made without a protocol: the last box with those joined to it (`$\boxed{1}$ and $\boxed{-2}$`),
unless the text takes it back and names another; in a text without any, what is called the answer in any of
many languages, what a last line such as `So it is 5` or `Total: 5` comes to, or the one bold value of the
last paragraph.

Without a box it is the answer tag, then a JSON object's `"answer"`, then `answer: X`, `answer is X` or
`Antwort: X`, then GSM8K's `#### X`, then what a last line that begins with `so`, `thus` and the like comes
to, then the one bold value of the last paragraph, then a last line `WORD: X` or `x = X`, then `The ... is X`
or a number alone at the end, then a text of one line without a sentence. A remark in brackets after an
answer is not part of it.
"""

from __future__ import annotations

import re

from localrl.verify import boxes
from localrl.verify.extractors import answer_tag
from localrl.verify.extractors.answer_line import TAIL
from localrl.verify.extractors.last_number import NUMBER
from localrl.verify.plaintext import ANSWER, CORRECTS, NOT, TAKEN_BACK, plain

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
_AMOUNT = r"\$?-?\d[\d,]{0,20}(?<!,)(?:\.\d{1,20})?%?"
_COMPUTED = re.compile(
    rf"=\s{{0,4}}(?P<value>{_AMOUNT})\$?(?P<rest>(?:\s[^\d=\n]{{1,60}})?)[.!]?$"
)  # `So she sold 48 + 24 = 72 clips in all.`
_DISPLAYED = re.compile(r"\$\$[^$]{1,300}\$\$|\\\[.{1,300}?\\\]", re.DOTALL)
_LAST_LINE = re.compile(
    r"^####[ \t]{0,8}(-?\$?\d[\d,.]{0,99}%?)(?:[ \t][a-z]{1,20})?[ \t]{0,8}$", re.MULTILINE
)  # as GSM8K's
_TAKEN_BACK = re.compile(rf"(?i:(?:^|[.!?\n$)])\W{{0,8}}(?:(?:hmm|oh|but|no)\W{{1,4}})?{TAKEN_BACK}\b)")
_CORRECT_IS = re.compile(
    r"(?i:\b(?:correct|right|actual)\s(?:\w{1,20}\s){1,3}?(?:is|are|should be|must be)\s)"
    r"([^\n]{1,60}?)(?=[.!]?\s|[.!]?$|,)",
    re.MULTILINE,
)
_IN_JSON = re.compile(r'"(?:final_?)?answer"\s*:\s*(?:"([^"\n]+)"|(-?\d[^"\s,}]*))', re.IGNORECASE)
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
    r"(?:^|[.!]\s|\n|\.\.\.)\s?[Tt]he\s[^\d.!?\n]{1,120}\s(?:is|are|equals)\s(?:(?:therefore|thus|then)\s)?"
    rf"(?P<value>{_AMOUNT}|\$[^$\n]{{1,100}}\$)(?P<rest>(?:,?\s[^\d.\n$=]{{1,60}})?)[.!]?$"
)
_SAID_ABROAD = re.compile(
    rf"{ANSWER}(?P<gap>[^\d\n.!?。$\\(−+-]{{0,40}}?)(?P<value>\*\*[^*\n]{{1,60}}\*\*|\$[^$\n]{{1,100}}\$|\\\(.{{1,100}}?\\\)"
    r"|[-−+]?\d+(?:[.,/]\d+)*%?)(?P<more>(?:\s?(?:oder|ou|o|или|或|または|or)\s?\d[\d.,]*)?)"
)
_CORRECTS = re.compile(rf"{CORRECTS}(?P<value>{_AMOUNT}|\$[^$\n]{{1,100}}\$)(?:\s[a-z]{{1,20}})?[.!]?$")
_DENIED = re.compile(NOT)
_REMARK = re.compile(r"(?<=[^\s(])\s+\((?!mod\b|or\b)[^()]*(?<![\\a-zA-Z])[a-zA-Z]{3,}[^()]*\)$")
_LABEL = re.compile(r"[\W_]{0,8}(?P<label>[^\W\d_](?:[^\n:=\d]{0,40}[^\W\d])?)[*_\s]{0,6}[:=]")
_NO_RESULT = re.compile(
    r"(?i:\b(?:check|verif\w+|note|hint|example|step|case|part|option|not?|wrong|incorrect|if|where|let|given)\b)"
)
_ONE_VALUE = re.compile(
    r"[$€£]?-?(?:\d[\d,]*(?:\.\d+)?(?:\s?/\s?\d+|\s?(?:×|\\times|x)\s?10(?:\^\{?[-−]?\d+\}?|[⁻⁰-⁹¹²³]+)|[eE]-?\d+"
    r"|(?:√\d+|π))?|[^\s\d]{0,12}\\(?:frac|sqrt|pi)\S*)%?(?:\s+[^\W\d_][^\d=\n]{0,40})?"
)


def extract(answer: str) -> str | None:
    answer = boxes.BARE_BOX.sub(r"\\boxed{", plain(answer))
    found = boxes.valued(answer)
    if found is None or found:
        return _corrected(answer, found) or ", ".join(boxes.joined(answer, found)) or None
    for empty in reversed(boxes.find(answer) or []):
        answer = answer[: empty.start] + answer[empty.end :]
    answer = _DISPLAYED.sub(lambda display: " ".join(display[0].split()), answer)
    if (tagged := answer_tag.extract(answer)) is not None:
        return tagged
    if (in_json := json_answer(answer)) is not None:
        return in_json
    bare = _without_closing(answer.strip("` \t\n"))
    if corrected := _CORRECTS.search(bare[-TAIL:]):
        return corrected["value"].strip("$")
    if (said := called_the_answer(answer)) is not None:
        return said or None
    paragraph = re.split(r"\n\s{0,8}\n", bare[-2000:])[-1]
    if concluded := _concluded(bare) or _bold(paragraph) or _labelled(bare):
        return concluded
    last = bare.splitlines()[-1].strip("*$ .") if bare else ""
    if re.fullmatch(r"-?\d[\d,]{0,20}(?:\.\d{1,20})?", last):
        return last
    if (stated := _STATED.search(bare[-TAIL:])) and not _BOUNDS.search(stated["rest"]):
        return stated["value"].strip("$")
    words = re.findall(r"(?<![\\\w])[^\W\d_]{2,}", bare)
    alone = not words or (len(words) == 1 and bare[0] in "-$(\\0123456789")
    return bare if bare and "\n" not in bare and alone else None


def json_answer(answer: str) -> str | None:
    """What a JSON object holds as its `answer`."""
    found = _IN_JSON.findall(answer)
    return (found[-1][0] or found[-1][1]) if found else None


def called_the_answer(answer: str) -> str | None:
    """What is called the answer last; of a whole sentence so called, its one value."""
    found = [said for said in _SAID.findall(answer) if boxes.holds_value(said)]
    found = found or _HEADED.findall(answer) or _LAST_LINE.findall(answer)
    if not found:
        return _called_in_another_language(answer)
    bold = _valued(found[-1])
    said = bold[0] if len(bold) == 1 and len(found[-1].split()) > len(bold[0].split()) + 2 else found[-1]
    said = _REMARK.sub("", re.sub(r"^[\s*:$]+|[\s*]+$", "", said).rstrip("."))
    return _value(said.rstrip(".").strip("$ "))


def _called_in_another_language(answer: str) -> str | None:
    """The value after the last word for `answer`; with what a following `or` joins to it."""
    found = [one for one in _SAID_ABROAD.finditer(answer) if not _DENIED.search(one["gap"])]
    if not found:
        return None
    value = found[-1]["value"].strip("*$ ").removeprefix("\\(").removesuffix("\\)").strip()
    if re.fullmatch(r"[-−+]?\d+,\d{1,2}", value):
        value = value.replace(",", ".")
    return value + found[-1]["more"]


def _labelled(answer: str) -> str | None:
    """The value of a last line `WORD: X` or `x = X`, whatever the word and its language."""
    line = answer.rpartition("\n")[2]
    label = _LABEL.match(line)
    if not label or _NO_RESULT.search(label["label"]):
        return None
    value = _REMARK.sub("", line[label.end() :].strip("*_ .。")).rpartition("=")[2].strip("*_$ ")
    return value if _ONE_VALUE.fullmatch(value) and not _BOUNDS.search(value) else None


def _corrected(answer: str, found: list[boxes.Box] | None) -> str | None:
    """What is called the answer after the last box, where the text takes the box back."""
    after = answer[found[-1].end :] if found else ""
    if not (taken_back := _TAKEN_BACK.search(after)):
        return None
    after = after[taken_back.end() :]
    said = called_the_answer(after) or next(iter(_CORRECT_IS.findall(after)[-1:]), None)
    return said if said and len(said) <= 60 and re.search(r"[\d\\]", said) else None


def _without_closing(answer: str) -> str:
    """Without a last paragraph that holds no number and only takes leave (`Let me know ...`)."""
    kept, _, last = answer.rpartition("\n\n")
    return kept.rstrip() if kept and _CLOSING.match(last) and not re.search(r"\d", last) else answer


def _bold(text: str) -> str | None:
    """The one bold value."""
    values = _valued(text)
    return _value(values[0].strip("$ .")) or None if len(values) == 1 else None


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
    """What the last line or sentence comes to: `So it is X`, `Thus x = X`, or the one number in it."""
    lines = [line for line in answer[-TAIL:].splitlines() if line.strip()][-2:]
    if lines and lines[-1].lstrip().startswith(("$$", "\\[")):
        lines = [" ".join(lines)]
    line = lines[-1] if lines else ""
    last = re.split(r"(?<=[a-z\d][.!])\s+(?=[A-Z])", line)[-1]
    line = _REMARK.sub("", (last if _CONCLUDES.match(last) else line).rstrip("."))
    if not _CONCLUDES.match(line):
        return None
    if bold := _bold(line):
        return bold
    if found := _CONCLUDED.search(line):
        return (found[1] or found[2]).removeprefix("\\(").removesuffix("\\)").strip("*$. ") or None
    if (computed := _COMPUTED.search(line)) and not _BOUNDS.search(computed["rest"]):
        return computed["value"]
    numbers = NUMBER.findall(line)
    return numbers[0].replace(",", "") if len(numbers) == 1 and not re.search("[π√]", line) else None
