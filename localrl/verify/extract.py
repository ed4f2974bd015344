"""How an answer is found in a text: extractors by name.

The text is the answer part of a response, never its thinking. An extractor is part of an eval's protocol, so
what one returns for a given text does not change without a new name. Names joined by `|` are tried in turn.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from localrl.errors import UsageError, nearest

if TYPE_CHECKING:
    from collections.abc import Callable

_NUMBER = re.compile(
    r"(?<![\w.)\]}])[-−+]?(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?|(?<!\w)[-−]?\.\d+|\d+(?:\.\d+)?"
)
_BRACES = re.compile(r"\\(?:boxed|fbox)(?![a-zA-Z])(?:\s{0,4}\{)?|\\.|[{}]", re.DOTALL)
_BARE_BOX = re.compile(r"(?:\\\\|(?<![\\\w]))boxed\s?\{")  # models lose the backslash, or double it
_ANSWER_LINE = re.compile(r"answer\s*(?:\*\*)?\s*:\s*(?:\*\*)?\s*([^\n]+)", re.IGNORECASE)
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
_GAP = re.compile(
    r"(?:[\s$,;&]|\\[()\[\]]|\\q?quad\b|\\text\s?\{\s*,?\s*(?:and|or)\s*\}|\b(?:and|or)\b|(?P<name>[a-zA-Z])\s?=)*"
)
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
_DAPO_TAIL = 300  # characters; github.com/BytedTsinghua-SIA/DAPO scores only the end of a response


def text(answer: str) -> str | None:
    """All of it, without the blanks around it."""
    return answer.strip() or None


def last_line(answer: str) -> str | None:
    """The last line that is not blank."""
    lines = answer.strip().splitlines()
    return lines[-1].strip() if lines else None


def last_number(answer: str) -> str | None:
    """The last decimal number, thousands commas removed; a `-` after a digit or bracket is no sign."""
    found = _NUMBER.findall(answer)
    return str(found[-1]).replace(",", "").replace("−", "-").removeprefix("+") if found else None


def boxed(answer: str) -> str | None:
    r"""What the last `\boxed{}` (or `\fbox{}`) holds, braces balanced; None when that one is never closed.

    Of boxes in one another it is the outermost, without the marks of the inner.
    """
    boxes = _boxes(answer)
    return boxes[-1].content(answer) if boxes else None


@dataclass(frozen=True, slots=True)
class _Box:
    start: int
    inside: tuple[int, int]
    end: int

    def content(self, answer: str) -> str | None:
        return re.sub(r"\\(?:boxed|fbox)(?=\s*\{)", "", answer[slice(*self.inside)]).strip() or None


def _boxes(answer: str) -> list[_Box]:
    """All boxes that are in no other, or none when the last is never closed."""
    boxes: list[_Box] = []
    open_box = False  # whether the last box to open is still open
    opened: list[tuple[int, int] | None] = []  # where a box and its content begin, None for a brace of no box
    for token in _BRACES.finditer(answer):
        if token[0] == "}":
            if begins := opened.pop() if opened else None:
                while boxes and boxes[-1].start > begins[0]:
                    boxes.pop()
                boxes.append(_Box(begins[0], (begins[1], token.start()), token.end()))
                open_box = False
        elif token[0].endswith("{") and not token[0].startswith("\\{"):
            box = token[0] != "{"
            opened.append(token.span() if box else None)
            open_box = open_box or box
        elif "box" in token[0]:  # `\boxed 5`
            bare = re.compile(r"\s*([-\w.]+)").match(answer, token.end())
            open_box = bare is None
            if bare:
                boxes.append(_Box(token.start(), bare.span(1), bare.end()))
    return [] if open_box else boxes


def _joined(answer: str) -> list[str]:
    r"""What the last box holds, after what those joined to it hold, as in `$\boxed{1}$ and $\boxed{-2}$`."""
    boxes = _boxes(answer)
    if not boxes:
        return []
    first = len(boxes) - 1
    while first > 0 and _join(answer, boxes[first - 1], boxes[first]):
        first -= 1
    return list(dict.fromkeys(filter(None, (box.content(answer) for box in boxes[first:]))))


def _join(answer: str, one: _Box, other: _Box) -> bool:
    """Whether only commas, `or`, or `and` in the text between formulas, stand between two boxes."""
    gap = answer[one.end : other.start]
    if len(gap) > 60 or not (found := _GAP.fullmatch(gap)):
        return False
    words = re.search(r"\b(?:and|or)\b", gap)
    if words and words[0] == "and" and not re.search(r"[$\\]", gap):
        return False  # `... is \boxed{17} and \boxed{204}`: the last counts
    if not words and "\n" in gap and not re.search(r"[,;]", gap):
        return False
    named = re.search(r"([a-zA-Z])\s?=\s?$", answer[max(one.start - 6, 0) : one.start])
    return found["name"] == (named and named[1])


def answer_tag(answer: str) -> str | None:
    """What stands in the last `<answer>...</answer>`."""
    lower = answer.lower() if answer.isascii() else re.sub("(?i)</?answer>", lambda m: m[0].lower(), answer)
    end = lower.rfind("</answer>")
    start = lower.rfind("<answer>", 0, max(end, 0))
    return (answer[start + len("<answer>") : end].strip() or None) if start >= 0 else None


def answer_line(answer: str) -> str | None:
    """What follows the last `Answer:` in the last 300 characters, as DAPO's reward reads it."""
    found = _ANSWER_LINE.findall(answer[-_DAPO_TAIL:])
    return (found[-1].strip().strip("*").strip() or None) if found else None


def final(answer: str) -> str | None:
    r"""For text made without a protocol: the last box or, in a text without any, what is called so.

    Boxes that only `and`, `or` and commas join are one answer, a list; `boxed` finds the last of them
    alone. A box that the text takes back (`Wait`, `Hold on`) gives way to what is called the answer
    after it.

    Without a box it is the answer tag, then `answer: X` or `answer is X`, then GSM8K's `#### X`, then
    what a last line that begins with `so`, `thus` and the like comes to, then the one bold value of the
    last paragraph, then `The ... is X` or a number alone at the end, then a text of one line without a
    sentence.
    """
    answer = _BARE_BOX.sub(r"\\boxed{", answer)
    if "\\boxed" in answer or "\\fbox" in answer:
        return _corrected(answer) or ", ".join(_joined(answer)) or None
    answer = _DISPLAYED.sub(lambda found: " ".join(found[0].split()), answer)
    if (tagged := answer_tag(answer)) is not None:
        return tagged
    if (said := _said(answer)) is not None:
        return said or None
    bare = _without_closing(answer.strip())
    if (concluded := _concluded(bare) or _bold(bare)) is not None:
        return concluded
    last = bare.splitlines()[-1].strip("*$ .") if bare else ""
    if re.fullmatch(r"-?\d[\d,]{0,20}(?:\.\d{1,20})?", last):
        return last
    if (stated := _STATED.search(bare[-_DAPO_TAIL:])) is not None:
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
    boxes = _boxes(answer)
    after = answer[boxes[-1].end :] if boxes else ""
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
    numbers = _NUMBER.findall(said)
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
    lines = [line for line in answer[-_DAPO_TAIL:].splitlines() if line.strip()][-2:]
    if lines and lines[-1].lstrip().startswith(("$$", "\\[")):
        lines = [" ".join(lines)]
    if not lines or not _CONCLUDES.match(line := lines[-1]):
        return None
    if len(bold := _valued(line)) == 1:
        return _value(bold[0].strip("$ .")) or None
    if found := _CONCLUDED.search(line):
        return (found[1] or found[2]).removeprefix("\\(").removesuffix("\\)").strip("*$. ") or None
    numbers = _NUMBER.findall(line)
    return numbers[0].replace(",", "") if len(numbers) == 1 else None


def letter(answer: str) -> str | None:
    """The chosen option, A to J: in the last box or, where that holds none, as `letters` reads the text.

    Two letters side by side (`A or B`) are returned as they stand, for they are no choice.
    """
    from localrl.verify import letters  # its expressions take 20 ms to compile

    answer = _BARE_BOX.sub(r"\\boxed{", answer)
    if len(joined := _joined(answer)) > 1:
        return ", ".join(joined)
    if joined and (boxed_letter := letters.boxed(joined[0])):
        return boxed_letter
    answer = answer_tag(answer) or answer
    if re.fullmatch(r"[\s(\[*]*[A-Ja-j][\s).:\]*]*", answer):
        return re.sub(r"[\W_]", "", answer).upper()
    return letters.chosen(answer)


def code(answer: str) -> str | None:
    """The last fenced block that is closed and not empty."""
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


EXTRACTORS: dict[str, Callable[[str], str | None]] = {
    "text": text,
    "last_line": last_line,
    "last_number": last_number,
    "boxed": boxed,
    "answer_tag": answer_tag,
    "answer_line": answer_line,
    "final": final,
    "letter": letter,
    "code": code,
}


def extract(name: str, answer: str) -> str | None:
    """The answer as the extractors of `name` find it, the first that does; None when none finds any.

    Raises:
        UsageError: there is no such extractor.
    """
    check(name)
    for one in name.split("|"):
        if (found := EXTRACTORS[one.strip()](answer)) is not None:
            return found
    return None


def check(name: str) -> None:
    """Refuse a name that is no extractor.

    Raises:
        UsageError: names the nearest.
    """
    for one in name.split("|"):
        if one.strip() not in EXTRACTORS:
            raise UsageError(f"no extractor named {one.strip()!r}", hint=nearest(one.strip(), EXTRACTORS))
