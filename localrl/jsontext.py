"""JSON that every reader takes, from values that a model, a verifier or a data set made."""

from __future__ import annotations

import json
import math
from typing import Any


def dumps(value: Any, **options: Any) -> str:
    """`json.dumps` with NaN and infinities as text, since bare, as Python writes them, they are no JSON."""
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False, **options)
    except ValueError:
        return json.dumps(_finite(value), ensure_ascii=False, allow_nan=False, **options)


def loads(text: bytes) -> Any:
    """`json.loads` that takes no NaN or infinity, and half a surrogate pair as "?".

    Raises:
        ValueError: it is not JSON, or not UTF-8.
    """
    value = json.loads(text, parse_constant=_refuse)
    return whole(value) if b"\\ud" in text.lower() else value


def whole(value: Any) -> Any:
    """The value with "?" for half a surrogate pair, which no file and no pipe can hold."""
    return json.loads(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return value


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")
