"""Parquet's library, which is an extra."""

from __future__ import annotations

from typing import Any

from localrl import installation
from localrl.errors import Unavailable


def pyarrow() -> tuple[Any, Any]:
    """The modules pyarrow and pyarrow.parquet.

    Raises:
        Unavailable: they are not installed.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as parquet
    except ImportError as error:
        raise Unavailable("Parquet needs pyarrow", hint=installation.extra("parquet")) from error
    return pa, parquet
