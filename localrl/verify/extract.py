"""How an answer is found in a text: extractors by name.

The text is the answer part of a response, never its thinking. An extractor is part of an eval's protocol, so
what one returns for a given text does not change without a new name. Names joined by `|` are tried in turn.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from localrl.errors import UsageError, nearest

if TYPE_CHECKING:
    from collections.abc import Callable

_NUMBER = re.compile(
    r"(?<![\w.)\]}])[-−+]?(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?|(?<!\w)[-−]?\.\d+|\d+(?:\.\d+)?"
)
_ANSWER_LINE = re.compile(r"answer\s*(?:\*\*)?\s*:\s*(?:\*\*)?\s*([^\n]+)", re.IGNORECASE)
_SAID = re.compile(
    r"\banswer\b\s{0,4}(?:\*\*)?\s{0,4}(?:is|:|=)\s{0,4}"
    r"((?:(?!\banswer\b)[^\n])+?)(?=\.\s|\.?$|,\s+(?:which|since|because|as|so|not)\b)",
    re.IGNORECASE | re.MULTILINE,
)
_HEADED = re.compile(
    r"^[#* \t]{0,8}(?:final )?answer[*: \t]{0,4}\n{1,3}([^\n]+)$", re.IGNORECASE | re.MULTILINE
)
_LAST_LINE = re.compile(r"^####[ \t]{0,8}(-?\$?\d[\d,.]{0,99}%?)[ \t]{0,8}$", re.MULTILINE)  # as GSM8K's
# Repeats are bounded, so that no text takes more than linear time.
_LETTER = (
    r"[\s*:：$(\"'`\\\[<–-]{0,12}(?:\\(?:text|mathrm|mathbf|textbf)\s?\{)?\(?"
    r"(?:([A-HJ]|I(?!\s+\w))(?![A-Za-z]|['’][A-Za-z])|(?<=\()([a-j])(?=\))|([a-j])(?=[\s*$.)}]{0,8}$))"
)
_CHOOSING = re.compile(
    r"(?i:\banswer\b(?:\sto\s(?:the|this)\squestion)?(?:[\s*:：=<–-]|is|definitely|clearly|most likely"
    r"|must be|should be|would be|option|choice|letter|the|therefore){0,12})"
    rf"{_LETTER}"
    rf"|(?i:\b(?:option|choice|choose|chose|select|pick|go with)\b[\s*:]{{0,8}}(?:(?:option|choice|is)\b)?"
    r"|\b(?:letter|solution|(?:correct|right|best|true)\s\w{1,20})\sis\b)"
    rf"{_LETTER}"
    rf"|(?:^|(?<=[\s(*]))([A-J])[\s*)}}]{{0,8}}(?i:is|seems)\s(?i:the\s)?(?i:correct|right|best|answer)"
    rf"|\b(?i:therefore|thus|hence|so|it is|it's)[\s,:]{{1,4}}\(?([A-J])\)?\.?[ \t]{{0,4}}$",
    re.MULTILINE,
)
_LONE_LETTER = re.compile(r"^[ \t(*$]{0,8}([A-J])[ \t).:*$]{0,8}$", re.MULTILINE)
_LEADING_LETTER = re.compile(r"^[ \t(*]{0,8}([A-J])[).:](?=\s)", re.MULTILINE)
_HEDGED = re.compile(
    r"[\s*)}\]$?]{0,8}(?:[,;(]?\s?or\b(?:\s(?:maybe|perhaps|possibly))?|[,;/|+&–-]|and\b|to\b|\s)[\s*($]{0,8}"
    r"(?:option\s)?(?:[A-HJ]|I(?!\s+\w))(?![A-Za-z'’]|\s+(?:(?:and\s[A-J]\s)?(?:is|was|are|were|would|can|fails?)\b))"
    r"|[^.\n]{0,20}\b[A-J]\b[^.\n]{0,20}\b(?:also|as well)\b"
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
    r"""What the last `\boxed{}` (or `\fbox{}`) holds, braces balanced; None when that one is never closed."""
    start = max(answer.rfind("\\boxed"), answer.rfind("\\fbox"))
    if start < 0:
        return None
    rest = answer[start:].partition("box")[2].removeprefix("ed").lstrip()
    if not rest.startswith("{"):
        bare = re.match(r"[-\w.]+", rest)  # `\boxed 5`
        return bare[0] if bare else None
    depth = 0
    for token in re.finditer(r"\\.|[{}]", rest, re.DOTALL):
        depth += {"{": 1, "}": -1}.get(token[0], 0)
        if depth == 0:
            return rest[1 : token.start()].strip() or None
    return None


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
    """For text made without a protocol: the last box or, in a text without any, what is called the answer.

    That is the answer tag, then `answer: X` or `answer is X`, then GSM8K's `#### X`, then a text of one line
    without a sentence.
    """
    if "\\boxed" in answer or "\\fbox" in answer:
        return boxed(answer)
    if (tagged := answer_tag(answer)) is not None:
        return tagged
    if said := _SAID.findall(answer) or _HEADED.findall(answer) or _LAST_LINE.findall(answer):
        return re.sub(r"^[\s*:$]+|[\s*]+$", "", said[-1]).rstrip(".").strip("$ ") or None
    bare = answer.strip()
    words = re.findall(r"(?<![\\a-zA-Z])[a-zA-Z]{2,}", bare)
    alone = not words or (len(words) == 1 and bare[0] in "-$(\\0123456789")
    return bare if bare and "\n" not in bare and alone else None


def letter(answer: str) -> str | None:
    """The chosen option, A to J: in the last box, or as `answer is C`, `option C`, or a line of its own.

    Two letters side by side (`A or B`) are returned as they stand, for they are no choice. Options that the
    model merely repeats are not taken for its choice.
    """
    if (box := boxed(answer)) is not None:
        return _boxed_letter(box)
    answer = answer_tag(answer) or answer
    if re.fullmatch(r"[\s(\[*]*[A-Ja-j][\s).:\]*]*", answer):
        return re.sub(r"[\W_]", "", answer).upper()
    for found in reversed(list(_CHOOSING.finditer(answer))):
        chosen = next(group for group in found.groups() if group)
        rest = answer[found.end() :].split("\n")[0]
        return found[0].strip() + rest[:40] if _HEDGED.match(rest) else chosen.upper()
    if lone := _LONE_LETTER.findall(answer):
        return str(lone[-1])
    leading = set(_LEADING_LETTER.findall(answer))
    return leading.pop() if len(leading) == 1 else None


def _boxed_letter(box: str) -> str | None:
    bare = re.sub(r"\\(?:text|mathrm|mathbf|textbf)\s*\{|[{}$*]|\\[ ,;]", " ", box).strip()
    found = re.match(
        r"(?:option|choice|answer)?\s*[(\[]?\s*([A-Ja-j])\s*(?:[)\].:,/]|$|(?:or|and)\b)", bare, re.IGNORECASE
    )
    if found is None:
        return None
    return bare if _HEDGED.match(bare[found.end(1) :]) else found[1].upper()


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
