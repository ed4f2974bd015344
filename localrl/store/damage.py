"""What is wrong with a store, in words: asked only when something that should not happen has happened."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

from localrl.store import db

if TYPE_CHECKING:
    from pathlib import Path

_JSON = {
    "runs": ("manifest", "report"),
    "sessions": ("engine", "counters"),
    "problems": ("prompt", "target", "meta"),
    "texts": ("detail",),
    "fork_texts": ("detail",),
    "chats": ("sampling",),
    "messages": ("figures",),
}
_TABLES = ("runs", "sessions", "problems", "samples", "texts", "forks", "fork_texts", "chats", "messages")
_ADMITTED = {"INTEGER": ("integer",), "REAL": ("real", "integer"), "TEXT": ("text",)}
_RULES = {
    "runs": "json_type(manifest, '$.plan.evals') IS NOT 'array'",
    "problems": "json_type(prompt) IS NOT 'array' OR json_type(meta) IS NOT 'object' OR eval < 0",
    "samples": "eval < 0 OR problem NOT IN (SELECT key FROM problems)",
    "forks": "eval < 0 OR budget < 1 OR problem NOT IN (SELECT key FROM problems)",
    "sessions": "json_type(engine) IS NOT 'object' OR json_type(counters) IS NOT 'object'",
}
"""What else must not be, a condition a table."""


def find(path: Path | None = None) -> str:
    """The first damage that is found; empty when the store looks sound or is not there.

    Reads every row: seconds for a million samples.
    """
    path = path or db.default_path()
    if not path.is_file():
        return ""
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            return _find(connection)
    except sqlite3.Error as error:
        return str(error)


def _find(connection: sqlite3.Connection) -> str:
    said = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if said != "ok":
        return str(said)
    for table in _TABLES:
        columns = connection.execute('SELECT name, type, "notnull", pk FROM pragma_table_info(?)', (table,))
        for name, kind, required, key in columns.fetchall():
            kinds = _ADMITTED.get(kind, ()) if required or key else (*_ADMITTED.get(kind, ()), "null")
            wrong = f"typeof({name}) NOT IN {(*kinds, '')}"
            if name in _JSON.get(table, ()):
                wrong += f" OR ({name} <> '' AND NOT json_valid({name}))"
            if _count(connection, table, wrong):
                return f"{table}.{name} holds what localrl does not write there"
        if found := _count(connection, table, _RULES.get(table, "0")):
            return f"{found} rows of {table} hold what localrl does not write there"
    return ""


def _count(connection: sqlite3.Connection, table: str, condition: str) -> int:
    return int(connection.execute(f"SELECT count(*) FROM {table} WHERE {condition}").fetchone()[0])
