"""How an answer is found in a text: extractors by name.

The text is the answer part of a response, never its thinking. An extractor is part of an eval's protocol, so
what one returns for a given text does not change without a new name. Names joined by `|` are tried in turn.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from localrl.errors import UsageError, nearest
from localrl.verify import letters

if TYPE_CHECKING:
    from collections.abc import Callable

_NUMBER = re.compile(
    r"(?<![\w.)\]}])[-−+]?(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?|(?<!\w)[-−]?\.\d+|\d+(?:\.\d+)?"
)
_BRACES = re.compile(r"\\(?:boxed|fbox)(?![a-zA-Z])(?:\s{0,4}\{)?|\\.|[{}]", re.DOTALL)
_ANSWER_LINE = re.compile(r"answer\s*(?:\*\*)?\s*:\s*(?:\*\*)?\s*([^\n]+)", re.IGNORECASE)
_SAID = re.compile(
    r"\banswers?\b\s{0,4}(?:\*\*)?\s{0,4}(?:(?:must|should|would|will|turns out to) be|comes (?:out )?to"
    r"|(?:is|are)\s?:?|equals|:|=)\s{0,4}(?:\*\*(?=\s))?\s{0,4}(?:(?:clearly|simply|just|then|therefore|thus)\s)?"
    r"((?:(?!\banswer\b)[^\n])+?)(?=\.\s|\.?$|,\s+(?:which|since|because|as|so|not)\b)",
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
_LAST_LINE = re.compile(r"^####[ \t]{0,8}(-?\$?\d[\d,.]{0,99}%?)[ \t]{0,8}$", re.MULTILINE)  # as GSM8K's
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
    last: tuple[int, int] | None = None
    opened: list[int | None] = []  # where what a brace holds begins, None for a brace that is no box's
    for token in _BRACES.finditer(answer):
        if token[0] == "}":
            begins = opened.pop() if opened else None
            if begins is not None:
                last = begins, token.start()
        elif token[0].endswith("{") and not token[0].startswith("\\{"):
            box = token[0] != "{"
            opened.append(token.end() if box else None)
            last = None if box else last
        elif "box" in token[0]:  # `\boxed 5`
            bare = re.compile(r"\s*([-\w.]+)").match(answer, token.end())
            last = bare.span(1) if bare else None
    if last is None:
        return None
    return re.sub(r"\\(?:boxed|fbox)(?=\s*\{)", "", answer[slice(*last)]).strip() or None


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

    That is the answer tag, then `answer: X` or `answer is X`, then GSM8K's `#### X`, then what a last line
    that begins with `so`, `thus` and the like comes to or that is a number, then a text of one line without a
    sentence.
    """
    if "\\boxed" in answer or "\\fbox" in answer:
        return boxed(answer)
    answer = _DISPLAYED.sub(lambda found: " ".join(found[0].split()), answer)
    if (tagged := answer_tag(answer)) is not None:
        return tagged
    if said := _SAID.findall(answer) or _HEADED.findall(answer) or _LAST_LINE.findall(answer):
        return re.sub(r"^[\s*:$]+|[\s*]+$", "", said[-1]).rstrip(".").strip("$ ") or None
    bare = answer.strip()
    if (concluded := _concluded(bare)) is not None:
        return concluded
    last = bare.splitlines()[-1].strip("*$ .") if bare else ""
    if re.fullmatch(r"-?\d[\d,]{0,20}(?:\.\d{1,20})?", last):
        return last
    words = re.findall(r"(?<![\\a-zA-Z])[a-zA-Z]{2,}", bare)
    alone = not words or (len(words) == 1 and bare[0] in "-$(\\0123456789")
    return bare if bare and "\n" not in bare and alone else None


def _concluded(answer: str) -> str | None:
    """What the last line comes to: `So it is X`, `Thus x = X`, or the one number in it."""
    lines = [line for line in answer[-_DAPO_TAIL:].splitlines() if line.strip()][-2:]
    if lines and lines[-1].lstrip().startswith(("$$", "\\[")):
        lines = [" ".join(lines)]
    if not lines or not _CONCLUDES.match(line := lines[-1]):
        return None
    if found := _CONCLUDED.search(line):
        return (found[1] or found[2]).removeprefix("\\(").removesuffix("\\)").strip("*$. ") or None
    numbers = _NUMBER.findall(line)
    return numbers[0].replace(",", "") if len(numbers) == 1 else None


def letter(answer: str) -> str | None:
    """The chosen option, A to J: in the last box or, in a text without any, as `letters` reads it.

    Two letters side by side (`A or B`) are returned as they stand, for they are no choice.
    """
    if (box := boxed(answer)) is not None:
        return letters.boxed(box)
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
