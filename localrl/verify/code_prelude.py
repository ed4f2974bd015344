"""The imports that LiveCodeBench's grader puts before every program, as many of them as the program uses.

The list and its order are LiveCodeBench's (`lcb_runner/evaluation/testing_util.py`); modules of which a
program names nothing are left out, since importing all of them takes longer than most programs.
"""

from __future__ import annotations

import importlib
import re
from functools import cache

_STARRED = (
    *("string", "re", "datetime", "collections", "heapq", "bisect", "copy", "math", "random", "statistics"),
    *("itertools", "functools", "operator", "io", "sys", "json", "builtins", "typing"),
)
_RECURSION_LIMIT = "import sys; sys.setrecursionlimit(50000)"


def livecodebench(source: str) -> str:
    """The statements to run before `source`, on one line."""
    words = set(re.findall(r"[^\W\d]\w*", source))
    starred = [f"from {name} import *" for name in _STARRED if words & _exported(name)]
    plain = [f"import {name}" for name in _STARRED[:-2] if name in words]
    return "; ".join([*starred, *plain, _RECURSION_LIMIT])


@cache
def _exported(name: str) -> frozenset[str]:
    module = importlib.import_module(name)
    public = (word for word in dir(module) if not word.startswith("_"))
    return frozenset(getattr(module, "__all__", public))
