"""What programs find: the imports that LiveCodeBench's grader puts before them, and installed packages.

The list and its order are LiveCodeBench's (`lcb_runner/evaluation/testing_util.py`); modules of which a
program names nothing are left out, since importing all of them takes longer than most programs.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
import sys
from functools import cache

from localrl.sandbox.interpreter import PACKAGES

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


def missing(source: str, message: str) -> str:
    """The package for want of which a program ended with this message; empty for none."""
    found = re.match(r"ModuleNotFoundError: No module named '(\w+)", message)
    if not found or (name := found[1]) in sys.stdlib_module_names or importlib.util.find_spec(name):
        return ""  # what is here and hidden from programs may hold answers: no honest program needs it
    return name if re.search(rf"^\s*(?:from|import)\s[^#\n]*\b{name}\b", source, re.MULTILINE) else ""


@cache
def visible_packages() -> tuple[str, ...]:
    """The packages beside the standard library that programs in the sandbox can import on this machine."""
    return tuple(name for name in PACKAGES if importlib.util.find_spec(name))


@cache
def _exported(name: str) -> frozenset[str]:
    module = importlib.import_module(name)
    public = (word for word in dir(module) if not word.startswith("_"))
    return frozenset(getattr(module, "__all__", public))
