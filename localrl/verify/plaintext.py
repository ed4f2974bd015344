r"""A response as it is read: digits, spaces and brackets in one alphabet, without what is not shown.

Narrow and full-width signs become the usual ones and GLM's box tokens `\boxed{}`; what LaTeX or HTML hides is
taken out.
"""

from __future__ import annotations

import re
import unicodedata

ANSWER = (
    r"(?:(?:(?<![^\W\d_])(?i:antwort|lösung|r[ée]ponse|respuesta|resposta|risposta|antwoord|svar(?:et)?|vastaus|ответ"
    r"|ergebnis|r[ée]sultat|resultado|risultato|resultaat|wynik|результат|sonuç"
    r"|відповідь|odpowiedź|odpověď|cevap|yanıt|jawaban(?:nya)?|jibu|đáp (?:án|số)|câu trả lời|απάντηση))"
    r"|答案|答え|答|回答|解答|正解|정답|답|उत्तर|الإجابة|الجواب|উত্তর|คำตอบ|תשובה)"
)
"""What is called the answer, in other languages than English."""

JOINT = r"(?:and|or|und|oder|et|ou|y|o|и|или|和|或|また|または)"
"""What joins two values, in several languages."""

CORRECTS = (
    r"(?:(?i:\b(?:no|nope|wait|sorry|correction)(?:\s?[,:—–-]|\.{2,3})"
    r"|(?:^|(?<=[.!?,;:—–\n-]\s)|(?<=\bor\s))(?:rather|i mean|make (?:that|it)|actually),?)\s{1,3}){1,3}"
    r"(?i:it(?:['’]s| is)\s)?"
)
"""What joins an answer to the one that it replaces: `A. No, B`."""

NOT = (
    r"(?i:\b(?:no|not|never|neither|nor|none|nicht|kein\w*|weder|pas|jamais|nunca|non|não|не|ne|bukan|değil)\b"
    r"|n['’]t\b|不|没|ではな|아니)"
)
"""What denies, in several languages."""

TAKEN_BACK = (
    r"(?:hold on|wait|actually|correction|scratch that|oops|sorry|hmm|on (?:second thought|reflection)"
    r"|mistaken?|i (?:made an? (?:mistake|error)|mis\w+|was wrong|apologi[sz]e|overlooked)"
    r"|(?:let me )?(?:re-?|double[- ])(?:check|consider|evaluat|examin|read|think|count|calculat|comput)\w*)"
)
"""With what a text begins to change its mind; in small letters."""

_WIDE = {0xFF01 + n: 0x21 + n for n in range(94)}
_GROUPING = "\u202f\u2009\u00a0\u2007"
_SPACES = dict.fromkeys(map(ord, _GROUPING + "\u3000"), " ") | dict.fromkeys(map(ord, "\u200b\u2060\ufeff"))
_GROUP = re.compile(rf"(?<=\d)[{_GROUPING}](?=\d{{3}}(?!\d))")
_GLM_BOX = re.compile(r"<\|begin_of_box\|>(.*?)<\|end_of_box\|>", re.DOTALL)
_HIDDEN = re.compile(
    r"\\[hv]?phantom\s{0,4}\{[^{}]*\}|<!--.*?-->"
    r"|^[ \t]*%[^\n]*|(?<=[^\\\d\s])[ \t]{1,8}%[ \t\\][^\n]*",  # LaTeX comments, but no `5 % of`
    re.DOTALL | re.MULTILINE,
)


def plain(text: str) -> str:
    if not text.isascii():
        text = _GROUP.sub("", text.translate(_WIDE)).translate(_SPACES)
        text = re.sub(r"(?![0-9])\d", lambda found: str(unicodedata.decimal(found[0])), text)
    return _HIDDEN.sub("", _GLM_BOX.sub(r"\\boxed{\1}", text))
