"""IFEval's 25 instruction types: response and arguments in, followed or not out.

They count as google-research/instruction_following_eval counts, so that scores compare; sentences and words
are split by rules of our own, because its tokenizers need a download.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

Arguments = dict[str, Any]

_SHORTENED = """
a.m al approx apr aug ave b.a blvd capt cf co col corp d.c dec dept dr e.g est etc feb fig gen hon i.e inc
jan jr jul jun lt ltd m.a mar mr mrs ms nov oct p.m ph.d pp prof rev sep sept sgt sr st u.k u.s vol vs
"""
_ABBREVIATIONS = frozenset(_SHORTENED.split())
_END = re.compile(r"[.!?]+[\"'”’)\]]*(?=\s|$)")
_CONTRACTION = re.compile(r"(?i)(n't|'(?:s|m|d|ll|re|ve))$")


def sentences(text: str) -> int:
    """How many sentences; a line's end alone ends none, nor does the point of an abbreviation or initial."""
    count, start = 0, 0
    for end in _END.finditer(text):
        piece = text[start : end.start()]
        following = text[end.end() :].lstrip()
        mark = end[0].rstrip("\"'”’)]")
        if len(mark) > 1 and set(mark) == {"."} and following[:1].islower():
            continue
        if mark == ".":
            last = piece.split()[-1].lstrip("(\"'“‘[") if piece.split() else ""
            initial = len(last) == 1 and last.isupper() and last != "I"
            if following and (last.casefold() in _ABBREVIATIONS or initial or following[0].islower()):
                continue
            if last.casefold() == "no" and following[:1].isdigit():
                continue
            if following and last.isdigit() and re.search(r"(?:^|\n)\W*\d+$", piece):
                continue  # the number of a list's item
        if re.search(r"\w", piece):
            count += 1
            start = end.end()
    return count + bool(re.search(r"\w", text[start:]))


def words(text: str) -> list[str]:
    """Words and punctuation apart, contractions in two, as the Penn Treebank splits them."""
    found = []
    for token in text.split():
        core = token.strip(".,;:!?\"'()[]{}<>*_`“”‘’…#|~@$%&")
        core = core + "." if f"{core}." in token and re.fullmatch(r"(?:\w\.)+\w", core) else core
        for part in (
            re.split(r"[,;:!?\"()\[\]{}<>*`“”…@#$%&]|--|\.{2,}", core) if not core.isalnum() else [core]
        ):
            split = _CONTRACTION.search(part)
            found += [part[: split.start()], split[0]] if split and split.start() else [part]
    return [word for word in found if word]


def language(text: str) -> str | None:
    """The ISO code of the language, or None for a text of no language."""
    import langdetect

    try:
        return str(langdetect.detect(text))
    except langdetect.LangDetectException:
        return None


def _compare(count: int, relation: str, wanted: int) -> bool:
    if relation == "less than":
        return count < wanted
    if relation == "at least":
        return count >= wanted
    raise KeyError(f"unknown relation {relation!r}")


def _existence(text: str, given: Arguments) -> bool:
    return all(re.search(re.escape(word), text, re.IGNORECASE) for word in given["keywords"])


def _frequency(text: str, given: Arguments) -> bool:
    count = len(re.findall(re.escape(given["keyword"].strip()), text, re.IGNORECASE))
    return _compare(count, given["relation"], int(given["frequency"]))


def _forbidden(text: str, given: Arguments) -> bool:
    return not any(
        re.search(rf"\b{re.escape(word)}\b", text, re.IGNORECASE) for word in given["forbidden_words"]
    )


def _letter_frequency(text: str, given: Arguments) -> bool:
    count = Counter(text.lower())[given["letter"].strip().lower()]
    return _compare(count, given["let_relation"], int(given["let_frequency"]))


def _paragraphs(text: str, given: Arguments) -> bool:
    parts = re.split(r"\s?\*\*\*\s?", text)
    if any(not part.strip() for part in parts[1:-1]):
        return False
    return sum(bool(part.strip()) for part in parts) == int(given["num_paragraphs"])


def _nth_paragraph_first_word(text: str, given: Arguments) -> bool:
    parts = text.split("\n\n")
    count, nth = sum(bool(part.strip()) for part in parts), int(given["nth_paragraph"])
    if nth > count or not parts[nth - 1].strip():
        return False
    first = re.split(r"[.,?!'\"]", parts[nth - 1].split()[0].lstrip("'").lstrip('"'))[0].lower()
    return count == int(given["num_paragraphs"]) and first == given["first_word"].lower()


def _postscript(text: str, given: Arguments) -> bool:
    marker = given["postscript_marker"].strip()
    known = {"P.P.S": r"p\.\s?p\.\s?s", "P.S.": r"p\.\s?s\."}
    return bool(re.search(known.get(marker, re.escape(marker.lower())), text.lower()))


def _bullets(text: str, given: Arguments) -> bool:
    stars = re.findall(r"^\s*\*[^\*].*$", text, re.MULTILINE)
    dashes = re.findall(r"^\s*-.*$", text, re.MULTILINE)
    return len(stars) + len(dashes) == int(given["num_bullets"])


def _constrained(text: str, given: Arguments) -> bool:
    return any(f"My answer is {word}." in text for word in ("yes", "no", "maybe"))


def _highlights(text: str, given: Arguments) -> bool:
    single = [part for part in re.findall(r"\*[^\n\*]*\*", text) if part.strip("*").strip()]
    double = [part for part in re.findall(r"\*\*[^\n\*]*\*\*", text) if part[2:-2].strip()]
    return len(single) + len(double) >= int(given["num_highlights"])


def _sections(text: str, given: Arguments) -> bool:
    marks = re.findall(rf"\s?{re.escape(given['section_spliter'].strip())}\s?\d+\s?", text)
    return len(marks) >= int(given["num_sections"])


def _json(text: str, given: Arguments) -> bool:
    bare = re.sub(r"^```(?:json)?", "", text.strip(), flags=re.IGNORECASE).removesuffix("```").strip()
    try:
        json.loads(bare)
    except (ValueError, RecursionError):
        return False
    return True


def _title(text: str, given: Arguments) -> bool:
    return any(title.lstrip("<").rstrip(">").strip() for title in re.findall(r"<<[^\n]+>>", text))


def _two_responses(text: str, given: Arguments) -> bool:
    parts = text.split("******")
    if any(not part.strip() for part in parts[1:-1]):
        return False
    valid = [part.strip() for part in parts if part.strip()]
    return len(valid) == 2 and valid[0] != valid[1]


def _capital_words(text: str, given: Arguments) -> bool:
    count = sum(word.isupper() for word in words(text))
    return _compare(count, given["capital_relation"], int(given["capital_frequency"]))


def _quotation(text: str, given: Arguments) -> bool:
    bare = text.strip()
    return len(bare) > 1 and bare[0] == bare[-1] == '"'


CHECKS: dict[str, Callable[[str, Arguments], bool]] = {
    "keywords:existence": _existence,
    "keywords:frequency": _frequency,
    "keywords:forbidden_words": _forbidden,
    "keywords:letter_frequency": _letter_frequency,
    "language:response_language": lambda text, given: language(text) in (given["language"], None),
    "length_constraints:number_sentences": lambda text, given: _compare(
        sentences(text), given["relation"], int(given["num_sentences"])
    ),
    "length_constraints:number_paragraphs": _paragraphs,
    "length_constraints:number_words": lambda text, given: _compare(
        len(re.findall(r"\w+", text)), given["relation"], int(given["num_words"])
    ),
    "length_constraints:nth_paragraph_first_word": _nth_paragraph_first_word,
    "detectable_content:number_placeholders": lambda text, given: (
        len(re.findall(r"\[.*?\]", text)) >= int(given["num_placeholders"])
    ),
    "detectable_content:postscript": _postscript,
    "detectable_format:number_bullet_lists": _bullets,
    "detectable_format:constrained_response": _constrained,
    "detectable_format:number_highlighted_sections": _highlights,
    "detectable_format:multiple_sections": _sections,
    "detectable_format:json_format": _json,
    "detectable_format:title": _title,
    "combination:two_responses": _two_responses,
    "combination:repeat_prompt": lambda text, given: (
        text.strip().lower().startswith(given["prompt_to_repeat"].strip().lower())
    ),
    "startend:end_checker": lambda text, given: (
        text.strip().strip('"').lower().endswith(given["end_phrase"].strip().lower())
    ),
    "change_case:capital_word_frequency": _capital_words,
    "change_case:english_capital": lambda text, _: text.isupper() and language(text) in ("en", None),
    "change_case:english_lowercase": lambda text, _: text.islower() and language(text) in ("en", None),
    "punctuation:no_comma": lambda text, _: "," not in text,
    "startend:quotation": _quotation,
}
