"""The last decimal number, thousands commas removed; a `-` after a digit or bracket is no sign."""

from __future__ import annotations

import re

from localrl.verify.plaintext import plain

NAME = "last_number"

NUMBER = re.compile(
    r"(?<![\w.)\]}])[-−+]?(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?|(?<!\w)[-−]?\.\d+|\d+(?:\.\d+)?"
)


def extract(answer: str) -> str | None:
    found = NUMBER.findall(plain(answer))
    return str(found[-1]).replace(",", "").replace("−", "-").removeprefix("+") if found else None
