"""Which option a text chooses, read clause by clause, as a person reads it.

A clause declares an option when it names one as the answer (`the answer is C`, `C is correct`, `I go with C`,
`which leaves C`) and neither denies nor supposes it. The last declaration counts; but what is called the
answer outright (`Answer: C`) is overruled only by another such, or once the text takes it back (`Wait, ...`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from localrl.verify.plaintext import ANSWER, CORRECTS, NOT, TAKEN_BACK

if TYPE_CHECKING:
    from collections.abc import Iterator

# Repeats are bounded, so that no text takes more than linear time.
_FONT = re.compile(r"\\(?:(?:text|math)(?:bf|rm|it|sf|tt)?|boldsymbol|bm)\s?\{([^{}]{0,80})\}")
_OPENS, _CLOSES = r"(?:[*`_<\"'“‘\[({]|\$\s?)", r"(?:[*`_>\"'”’\])}]|\s?\$)"
_MARKED = re.compile(rf"(?<![\w\\]){_OPENS}{{1,6}}([A-Ja-j])[).:]?{_CLOSES}{{1,6}}(?!\w)")
_NOUN = r"(?i:answer|option|choice|alternative|selection|letter|solution|statement|response)"
_HEADING = re.compile(  # of what stands on the next line
    rf"(\b{_NOUN}\b[^\n.]{{0,60}}(?::|\bis)|^\W{{0,8}}(?i:(?:final |correct )?answer))\W{{0,4}}\n\s{{0,4}}"
    r"(?=\(?[A-J]\b)(?![^\n]{0,300}\n{1,2}\W{0,4}[A-J][).:])",  # which is no list of options
    re.MULTILINE,
)
_SENTENCE_END = re.compile(r"(?<=[.!?。])(?<!\b[a-z]\.[a-z]\.)(?<!\bvs\.)\s{1,8}(?=\W{0,3}[A-Z\d])")
_CLAUSE_END = re.compile(
    r"(?i:;|(?<!\bno)\s[—–]\s|(?:(?<=[,;] )|(?<=\band ))(?:hence|thus|therefore)\b"
    r"|\b(?:but|yet|so|because|since|whereas|while|although|though)\b"
    r"|,\s(?:it|that|this|which|leaving|not)\b)"
)

# An option's letter: in brackets (as `_plain` leaves the marked), a capital, or small before `)` or the end.
_LETTER = r"(?:\((?P<marked>[A-Ja-j])\)|(?P<bare>[A-J]|[a-j](?=\)|[\s.!]{0,4}$)))(?![\w’'=^]|\s[=<])\)?"
_LINKING = (  # goes on after an option; before any other word an `A` is the article, an `I` the pronoun
    r"(?:because|since|as|for|which|and|or|but|due|given|so|with|when|by|from|in|not|rather|based|if|at|over"
    r"|where)\b"
)
_MENTION = re.compile(rf"\([A-Ja-j]\)|(?<![\w\\(’'])[A-J](?![\w’'=]|\s=|\s(?!{_LINKING}|alone\b)[a-z])")
_GOES_ON = re.compile(r"\s(?:is|are|was|has|does|do|cannot|can|could|would|will|might|may|must|isn)\b")
_IS = (
    r"(?i:\b(?:is|are|was)\b|(?<=[a-z])['’]s\b|\b(?:must|should|has to|have to|ought to|would|will)"
    r"(?: therefore| then| thus)? be\b"
    r"|\b(?:seems?|appears?|turns? out|proves?)(?: to be)?\b)"
)
_ADVERB = (
    r"(?i:(?:clearly|definitely|most likely|likely|probably|therefore|thus|then|hence|indeed|simply|actually"
    r"|still|again|obviously|certainly|now|in fact|just|only|given by|described by|represented by)[\s,]{1,3})"
)
_AN_OPTION = rf"(?:(?i:the\s)?{_NOUN}s?[\s:]{{1,4}})?"
_RESTRICTED = (
    r"\s(?:only|if|when|unless|under|at|for (?!this|the (?:question|given|problem)|our|these|all|both))\b"
)
_IS_LETTER = re.compile(
    rf"(?:{_IS}|[:：=→]|\s[-–—](?=\s)|\b(?i:answer)(?=\s?[(<]|\s[A-J]\b))"
    rf"[\s:<\"“–-]{{0,6}}{_ADVERB}{{0,3}}(?i:either\s|both\s|(?P<one>the one|that) (?:in|of) )?"
    rf"{_AN_OPTION}{_LETTER}(?!{_RESTRICTED})"
)
_CHOOSES = re.compile(
    r"\b(?i:choose|chose|select(?:ed)?|pick|go(?:ing)? (?:with|for)|opt(?:ing)? for|settle (?:on|for)|say"
    r"|we want|change my (?:answer|choice) to"
    r"|answer|lea(?:ves?|ving)|mak(?:es|ing)|left with|down to|lean(?:ing)? towards?)\s{1,3}"
    r"(?i:(?:us|me|you|only|just|with|that|for)\s){0,3}"
    rf"{_AN_OPTION}{_LETTER}(?!{_RESTRICTED})"
)
_MATCHES = re.compile(
    r"(?:\b(?i:match(?:es)?|corresponds? to|listed (?:as|at|under)|labell?ed(?: as)?|agrees? with|points? to"
    r"|consistent with)\s"
    rf"(?:(?i:option|choice|answer)\s)?|(?P<noun>\b(?i:option|choice|alternative)\s)){_LETTER}(?=\W{{0,8}}$|[.,]\s|\s\(|(?(noun)$|:\s))"
)
_GOOD = (
    r"(?i:(?:(?:the|an?|our|my)\s)?(?:(?:most|only|single|one|also)\s)?"
    r"(?:correct|right|true|best|better|likely|appropriate|accurate|suitable|plausible|reasonable|closest|nearest"
    r"|(?<=most )(?:defensible|consistent|fitting|compelling|convincing|logical|accepted))"
    r"(?:(?<!right)(?<!true)(?<!better)(?:\s[a-z]{3,16}){1,2}|(?<=the right)\s[a-z]{3,16}"
    rf"|\s(?:\w{{1,12}}\s)?(?:{_NOUN}|one))?"
    rf"|(?:the|our|my)\s(?:final\s)?(?:answer|choice|selection)|the one(?=\s(?:that|which|I|we)\b)"
    r"|the (?:allowed|possible|desired|intended|remaining|wanted|required|odd) one"
    rf"|the only\s(?:[\w-]{{1,20}}\s){{0,3}}?(?:{_NOUN}|one|possibility|candidate))"
)
_IS_GOOD = re.compile(
    rf"(?:{_IS}\s(?:all\s|both\s)?{_ADVERB}{{0,2}}{_GOOD}|\b(?i:fits?|matches|agrees|works|wins|remains"
    r"|gives the (?:right|correct|best)\s[a-z]{1,16}"
    r"|[a-z]{2,12}s (?:it|this|that|(?:the |all )?[a-z]{1,16}) (?:best|correctly)"
    r"|is what (?:we|explains|accounts for|answers|describes|the question))\b)"
    rf"(?!{_RESTRICTED})"
    rf"(?=\W{{0,6}}$|[.,;:!)]|\s(?:{_LINKING}|(?:here|among|of|to|that|I|we|left|consistent|better|best|all|both|the)\b))"
    r"|\b(?i:best)\s[a-z]{3,15}s\b"
)
_ONLY = re.compile(
    rf"\b(?i:only)\s(?:{_NOUN}\s{_LETTER}|\((?P<alone>[A-J])\)"
    r"|(?P<left>[A-J])(?=\s(?:survives|remains|fits|works|holds|matches|satisfies|agrees|is)\b))\s(?=[a-z]{2})"
)
_CONCLUDES = re.compile(
    r"(?:^\W{0,8}(?:(?i:(?:so|thus|hence|therefore|finally|consequently|but)[\s,:]{1,4})|(?i:option|choice)\s){1,3}"
    r"|\bi\.e\.[\s,]{1,3}(?:(?i:option|choice)\s)?"
    r"|\b(?i:answer choice|option|choice|one),\s|(?:→|⇒|\\Rightarrow)\s?)"
    rf"{_LETTER}(?:\sit is)?(?:\W{{0,8}}$|(?<=^but .):\s|[,.]\s)"
)
_CORRECTS = re.compile(rf"{CORRECTS}{_AN_OPTION}{_LETTER}(?=\W{{0,6}}$|[.,;]\s)")
_TITLE = re.compile(rf"^\W{{0,8}}(?i:option|choice)\s{_LETTER}\s?[:.–-]")
_ABROAD = re.compile(
    rf"(?:{ANSWER}|选项?|選項?|\ba\s(?i:alternativa|opção)\b)"
    rf"(?:(?!{NOT})(?:[^\n.!?。A-J(]|[A-J](?=[a-zà-ü]))){{0,30}}?"
    r"(?:\((?P<marked>[A-Ja-j])\)|(?P<bare>[A-J])(?![a-zA-Z\d’'=^]))(?!\s?(?:选项|選項)?\s?(?:错|不|誤))"
)
_ANY_LABEL = re.compile(rf"\W{{0,8}}(?P<label>[^\W\d_]{{2,}}[^\n:]{{0,40}}):\W{{0,6}}{_LETTER}\W{{0,8}}$")
_TITLED = re.compile(r"\b(?i:option|choice)\s\(?[A-J]\)?\s?$")  # what follows is the option's own text
_QUOTED = re.compile(r"\"[^\"]{0,200}\"|“[^”]{0,200}”")
_ALONE = re.compile(r"[\s(]{0,8}([A-J])[\s).]{0,8}$")
_JUDGED = re.compile(
    r"[ \t(]{0,8}(?:([A-J])[).:]{1,2}\s{1,4}(?i:correct|right|true)\b|[✅☑✓✔]\W{0,4}([A-J])[).:]"
    r"|\W{0,8}([A-J])[).:][^\n✗✘❌]{1,200}[✅☑✓✔]\W{0,4}$"
    r"|\W{0,8}([A-J])\s[^\n]{1,200}[:,.]\s(?i:yes)\W{0,4}$)"
)
_LAST = re.compile(
    r"(?:\(|\b(?:option|choice|case|row|statement)\s)([A-J])\)?[.!]?$"
    r"|^\W{0,8}(?i:in (?:summary|conclusion|short)|overall|to (?:sum up|summari[sz]e|conclude)"
    r"|so|thus|therefore|hence|consequently|ultimately)\b[^\n]{0,80}?(?<![\w'’])([A-J])\)"
)
_LABELLED = re.compile(
    rf"[ \t(]{{0,8}}([A-J])\s?(?:[).:–-]|,(?=\s(?:because|since|as)\b))(?!{_GOES_ON.pattern})\s"
)

_THE_ANSWER = re.compile(
    r"(?i:\banswer\b|\b(?:correct|right|best|final|selected|chosen|closest|likely|accurate|appropriate|suitable|my)\s"
    rf"(?:\w{{1,20}}\s){{0,2}}{_NOUN}\b|^\W*(?:correct|final)\W*$)"
)
_OPTION = re.compile(rf"\b(?:{_NOUN}|(?i:one|pick))\b")
_MAY_BE = re.compile(
    rf"\b(?i:correct|right(?!\s(?:cosets?|hand|angle|side|ideals?|triangle))|best|closest|nearest"
    rf"|most (?:likely|appropriate|probable|accurate|plausible))\s"
    rf"|{_OPTION.pattern}|\b(?i:it|this|that|which)\s?$"
)
_LIST = re.compile(r"(?i:(?:\b(?:options|choices|statements)|^\W*(?:explanation|analysis))\W*$)")
_DENIED = re.compile(
    r"(?i:\b(?:not?|never|neither|nor|none|cannot|without|wrong|incorrect|false|rule[sd]? out|ruling out"
    r"|eliminat\w+|exclud\w+|discard\w*|reject\w*|unlike|than|instead of|except|contradict\w*|inconsistent"
    r"|between|avoid)\b|n['’]t\b)"
)
_ASKED_FALSE = re.compile(
    rf"(?i:(?:statement|one)|{_NOUN}\s(?:that|which)\b.{{0,80}})\s?$"
)  # what is asked for
_SUPPOSED = re.compile(
    r"(?i:\b(?:if|unless|whether|suppos\w+|assum\w+|were|might|may|could|thought|initially|originally"
    r"|at first|previous(?:ly)?|earlier|first (?:thought|guess|choice|impression|instinct)|tempt\w+"
    r"|(?:many|some|most|other)\s(?:students|people)|students\s(?:often|choose|pick|think|who)"
    r"|one would|otherwise|to (?:say|think|claim)"
    r"|common (?:error|mistake|guess|misconception))\b)"
)
_QUESTION = re.compile(r"(?i:\W{0,8}(?:is|are|could|would|might|does|do|why|what|which|how)\b)")
_CONDITION = re.compile(r"(?i:\b(?:if|unless|only|when|had|were|provided|under|in case)\b)")
_TAKEN_BACK = re.compile(rf"(?i:\b{TAKEN_BACK}\b)")
_REFUSES = re.compile(
    r"(?i:\b(?:cannot|can't|can’t|unable to|not (?:possible|able) to)\s(?:\w{1,12}\s){0,2}?"
    r"(?:give|determine|choose|decide|answer|pick|select|say|tell)\b)"
)
_SINGLE = re.compile(
    r"\W{1,3}(?:a|one|any)\s(?:(?:single|definite|unique|final)\s)?(?:answer|option|choice)\b"
)
_PERHAPS = re.compile(r"(?i:\b(?:maybe|perhaps|possibly)\b)")
_FINISHED = re.compile(r"[^\w\s,;:?(\[{<=+-][\s$]{0,8}$")
_ASKED_NEXT = re.compile(r"\W{0,8}(?i:question|problem|q)\s?\d{0,4}\s?[:.]\s")
_OTHER = r"(?:\([A-J]\)|(?:[A-HJ]|I(?!\s+\w))(?![A-Za-z’']|\s?=))"
_HEDGED = re.compile(
    rf"[\s)?:]{{0,4}}(?:[,(]?\s?or\s(?:maybe\s|perhaps\s|possibly\s)?|[,;/|+&–-]\s?|and\s|to\s|\s)\s?(?:option\s)?\(?{_OTHER}"
    rf"(?!(?:[\s,()]|and\b|or\b|{_OTHER}){{0,12}}\s(?!{_LINKING})[a-z])"
    r"|[^.\n]{0,20}\b[A-J]\b[^.\n]{0,20}\b(?:also|as well)\b"
)
_JOINED = re.compile(
    r"(?:\([A-J]\)|\b[A-J])\s?(?:,|,?\s?\band\b|\bor\b|/|&|vs\.?)\s{0,3}(?:(?:option|choice)\s)?$"
)
_SECOND = re.compile(r"(?<=\w)\sand\s\(?[A-J]\)?\s?$")
_CONTEXT = 200  # characters read on either side of a letter
_END = 20_000  # characters of a text that are read: its end, where a choice is made


@dataclass(frozen=True, slots=True)
class _Declared:
    at: int
    letter: str
    outright: bool = False


@dataclass(frozen=True, slots=True)
class _Clause:
    text: str
    after: str
    """What follows it in its sentence."""
    conditional: bool
    """The sentence names a condition, on which `would be` depends."""
    asked: bool

    def subject(self, end: int) -> str:
        """What stands before a verb, from the last comma that leaves anything."""
        before = self.text[max(end - _CONTEXT, 0) : end]
        last = before.rpartition(",")[2]
        return last if last.strip() else before

    def rest(self, start: int) -> str:
        return (self.text[start : start + _CONTEXT] + self.after)[:_CONTEXT]

    def supposes(self, subject: str, verb: str) -> bool:
        return bool(_SUPPOSED.search(subject)) or (self.conditional and verb.lower().startswith("would"))


def chosen(text: str) -> str | None:
    """The option that the text declares, A to J; two side by side (`A or B`) as they stand; None for none."""
    lines = _plain(text[-_END:]).splitlines()
    alone = [found for line in lines if (found := _ALONE.match(line))]
    labels = [found for line in lines if (found := _LABELLED.match(line))]
    titled = len({_letter(found) for line in lines if (found := _TITLE.match(line))}) == 1
    one_alone, one_label = (len({found[1] for found in some}) == 1 for some in (alone, labels))
    choice: _Declared | None = None
    doubted = False  # whether the text wavers and has called nothing the answer since
    for number, line in enumerate(lines):
        if choice and choice.outright and _ASKED_NEXT.match(line):
            break  # a text that runs on into a question of its own
        said = (
            _ALONE.match(line) if one_alone else _LABELLED.match(line) if one_label and not number else None
        )
        if said and not _HEDGED.match(line[said.end(1) :]):
            choice, doubted = _Declared(0, said[1], outright=True), False
        for sentence in _SENTENCE_END.split(line):
            if _TAKEN_BACK.search(sentence, 0, _CONTEXT):
                choice, doubted = choice and _Declared(choice.at, choice.letter), True
            for one in _declarations(sentence, titled):
                if choice is None or one.outright or not choice.outright or len(choice.letter) > 1:
                    choice, doubted = one, doubted and not one.outright
    sentence = _SENTENCE_END.split(lines[-1].rstrip())[-1] if lines else ""
    refused = _REFUSES.search(sentence)
    if choice and refused and (not choice.outright or _SINGLE.search(sentence, refused.end())):
        return None
    if choice:
        return None if doubted and not _FINISHED.search(text[-20:]) else choice.letter
    judged: set[str] = {
        next(filter(None, found.groups())) for line in lines if (found := _JUDGED.match(line))
    }
    if len(judged) == 1:
        return judged.pop()
    if (last := _LAST.search(sentence)) and len(_mentioned(sentence)) == 1 and not _DENIED.search(sentence):
        return last[1] or last[2]
    if (label := _ANY_LABEL.match(lines[-1]) if lines else None) and not _DENIED.search(label["label"]):
        return _letter(label)  # in whatever language
    return alone[-1][1] if alone else labels[0][1] if one_label else None


def boxed(box: str) -> str | None:
    """The option that a box holds, alone or before its own text; two as they stand."""
    bare = " ".join(re.sub(r"\\(?:text|mathrm|mathbf|textbf)\s*\{|[{}$*]|\\[ ,;]", " ", box).split())
    found = re.match(
        r"(?:(?:the )?(?:(?:correct|right|final) )?(?:option|choice|answer)(?: is|:)?)?"
        r"\s*[(\[]?\s*([A-Ja-j])\s*(?:[)\].:,/]|$|(?:or|and)\b)",
        bare,
        re.IGNORECASE,
    )
    if found is None:
        beside = re.match(r"\s*([A-J])\s*(?:\\[;,:!]|\\q?quad\b|~)\s*[^\s=]", box)
        return str(beside[1]) if beside else None
    return bare if _HEDGED.match(bare[found.end(1) :]) else found[1].upper()


def _plain(text: str) -> str:
    """Without the marks of fonts and headings; a letter that stood in marks stands in brackets."""
    text = re.sub(r"(?<=[a-z])_(?=[a-z]{3})", " ", text)  # `final_answer`
    text = re.sub(r"\(\s([A-J])\s\)", r"(\1)", text)
    text = re.sub(rf"({ANSWER})\s{{0,3}}[—–]\s", r"\1: ", text)  # Russian has no other copula
    text = re.sub(r"\\[()\[\]]", "$", _FONT.sub(r"\1", text))
    text = re.sub(r"[*`$_#>~]|\\[,;! ]", "", _MARKED.sub(r"(\1)", text))
    return _HEADING.sub(r"\1: ", text)


def _declarations(sentence: str, titled: bool) -> Iterator[_Declared]:
    """What each clause declares, in order."""
    if _QUESTION.match(sentence) and sentence.rstrip().endswith("?"):
        return
    conditional, asked = bool(_CONDITION.search(sentence)), sentence.rstrip().endswith("?")
    starts = [0, *(found.start() for found in _CLAUSE_END.finditer(sentence)), len(sentence)]
    for start, end in pairwise(starts):
        clause = _Clause(sentence[start:end], sentence[end : end + _CONTEXT], conditional, asked)
        found = [*_named(clause), *_praised(clause)]
        if titled and start == 0 and (title := _TITLE.match(sentence)):
            found.append(_Declared(0, _letter(title)))
        yield from sorted(found, key=lambda one: one.at)


def _named(clause: _Clause) -> Iterator[_Declared]:
    """`the answer is C`, `I choose C`, `matches option C`, `so C`: the letter after words that choose it."""
    for rule in (_IS_LETTER, _CHOOSES, _MATCHES, _ONLY, _CONCLUDES, _ABROAD, _CORRECTS):
        for found in rule.finditer(clause.text):
            subject = clause.subject(found.start())
            outright: bool | None = rule in (_ABROAD, _CORRECTS)
            if rule is _IS_LETTER:
                outright = _calls_it_the_answer(subject, found)
            if outright is None or clause.supposes(subject, found[0]):
                continue
            if clause.asked and (not outright or clause.conditional or _PERHAPS.search(subject)):
                continue
            if _DENIED.search(subject) and not (rule is _IS_LETTER and _ASKED_FALSE.search(subject)):
                continue
            rest = clause.rest(found.end())
            if found[0][0] in "=→-–— " and _MENTION.search(subject):
                continue  # a formula after the answer: `the answer is (A) D = 4 - E`
            if re.fullmatch(r"\s(?:and|or)\s*", rest):
                continue  # cut off before the other one
            if _DENIED.search(rest, 0, 40) if rule is _ONLY else _is_a_subject(found, rest):
                continue
            if rule is _MATCHES and _JOINED.search(subject):
                continue
            hedged = _HEDGED.match(rest)
            yield _Declared(
                found.start(), found[0].strip() + rest[:40] if hedged else _letter(found), outright
            )


def _praised(clause: _Clause) -> Iterator[_Declared]:
    """`C is correct`, `D must be the answer`, `B remains`: the letter in the subject of such words."""
    for found in _IS_GOOD.finditer(clause.text):
        subject = clause.subject(found.start())
        if found[0].startswith("are") or len(_mentioned(subject)) > 1:
            subject = clause.text[max(found.start() - _CONTEXT, 0) : found.start()]  # with all of its list
        if found[0].startswith("is") and (last := _SECOND.search(subject)):
            subject = last[0]  # `(D) drops out and (B) is best`
        letters = _mentioned(subject)
        if letters and not clause.supposes(subject, found[0]) and not _DENIED.search(subject):
            yield _Declared(found.start(), letters.pop() if len(letters) == 1 else subject.strip())


def _mentioned(text: str) -> set[str]:
    said = _QUOTED.sub("", text)  # an option's own words may name other letters: `I and III only`
    return {mention.strip("()").upper() for mention in _MENTION.findall(said)}


def _calls_it_the_answer(subject: str, found: re.Match[str]) -> bool | None:
    """Whether what `is C` is said of is outright the answer; None when it is not even an option."""
    verb = found[0]
    if verb.lower().startswith("answer"):
        return True
    if _LIST.search(subject):
        return None
    labels = verb[0] in ":：=→"
    if labels and _TITLED.search(subject):
        return None
    if _THE_ANSWER.search(subject) or (labels and _OPTION.search(subject)):
        return True
    if found.groupdict().get("one"):  # `the only workable order is the one in C`
        return False
    marked = found.groupdict().get("marked")  # `the first step should be **B)**`
    return False if not labels and (marked or _MAY_BE.search(subject)) else None


def _is_a_subject(found: re.Match[str], rest: str) -> bool:
    """Whether the letter is what another clause is about (`A is wrong`), or the article or pronoun."""
    article = found.groupdict().get("bare") in ("A", "I") and not found[0].endswith(")")
    if article and re.match(rf"\s(?!{_LINKING})[a-z]", rest):
        return True
    return bool(_GOES_ON.match(rest))


def _letter(found: re.Match[str]) -> str:
    named = found.groupdict()
    return (named.get("marked") or named.get("bare") or named["alone"] or named["left"]).upper()
