"""The SQLite file that holds runs, trainings and chats: opening it, its migrations, and its errors in words.

Write-ahead log with a full sync at each commit: what was committed survives the end of the process and of the
machine. Readers never block the writer.
"""

from __future__ import annotations

import errno
import fcntl
import os
import sqlite3
import tempfile
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from localrl import paths
from localrl.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

RUNS = """
CREATE TABLE runs (
    key INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    created TEXT NOT NULL,
    status TEXT NOT NULL,
    manifest TEXT NOT NULL,
    report TEXT
);
CREATE TABLE sessions (
    key INTEGER PRIMARY KEY,
    run INTEGER NOT NULL REFERENCES runs (key) ON DELETE CASCADE,
    engine TEXT NOT NULL,
    counters TEXT NOT NULL
);
CREATE INDEX sessions_of_run ON sessions (run);
CREATE TABLE problems (
    key INTEGER PRIMARY KEY,
    run INTEGER NOT NULL REFERENCES runs (key) ON DELETE CASCADE,
    eval INTEGER NOT NULL,
    id TEXT NOT NULL,
    prompt TEXT NOT NULL,
    target TEXT NOT NULL,
    meta TEXT NOT NULL,
    UNIQUE (run, eval, id)
);
-- Narrow rows in the order in which they are summed up; the long texts lie apart.
CREATE TABLE samples (
    run INTEGER NOT NULL REFERENCES runs (key) ON DELETE CASCADE,
    eval INTEGER NOT NULL,
    problem INTEGER NOT NULL,
    idx INTEGER NOT NULL,
    seed INTEGER NOT NULL,
    finish TEXT NOT NULL,
    outcome TEXT,
    score REAL,
    prompt_tokens INTEGER NOT NULL,
    shared_tokens INTEGER NOT NULL,
    thinking_tokens INTEGER NOT NULL,
    answer_tokens INTEGER NOT NULL,
    ttft_s REAL,
    tokens_per_s REAL,
    ended REAL NOT NULL,
    PRIMARY KEY (run, eval, problem, idx)
) WITHOUT ROWID;
CREATE INDEX unjudged ON samples (run) WHERE outcome IS NULL;
CREATE TABLE texts (
    problem INTEGER NOT NULL REFERENCES problems (key) ON DELETE CASCADE,
    idx INTEGER NOT NULL,
    text TEXT NOT NULL,
    starts_thinking INTEGER NOT NULL,
    error TEXT NOT NULL,
    verifier TEXT,
    extracted TEXT,
    detail TEXT,
    UNIQUE (problem, idx)
);
"""

CHATS = """
CREATE TABLE chats (
    key INTEGER PRIMARY KEY,
    created TEXT NOT NULL,
    title TEXT NOT NULL,
    model TEXT NOT NULL,
    system TEXT NOT NULL,
    sampling TEXT NOT NULL
);
-- A message that was edited or made again stays, marked as replaced.
CREATE TABLE messages (
    key INTEGER PRIMARY KEY,
    chat INTEGER NOT NULL REFERENCES chats (key) ON DELETE CASCADE,
    role TEXT NOT NULL,
    text TEXT NOT NULL,
    thinking TEXT NOT NULL,
    finish TEXT NOT NULL,
    figures TEXT NOT NULL,
    replaced INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX messages_of_chat ON messages (chat);
"""

CACHED_REPORT = """
-- A run's cached report is forgotten by whatever changes what it says.
CREATE TRIGGER run_changed AFTER UPDATE OF name, created, status, manifest ON runs
BEGIN UPDATE runs SET report = NULL WHERE key = NEW.key; END;
CREATE TRIGGER session_began AFTER INSERT ON sessions
BEGIN UPDATE runs SET report = NULL WHERE key = NEW.run AND report NOT NULL; END;
CREATE TRIGGER session_changed AFTER UPDATE ON sessions
BEGIN UPDATE runs SET report = NULL WHERE key = NEW.run AND report NOT NULL; END;
CREATE TRIGGER sample_added AFTER INSERT ON samples
BEGIN UPDATE runs SET report = NULL WHERE key = NEW.run AND report NOT NULL; END;
CREATE TRIGGER sample_changed AFTER UPDATE ON samples
BEGIN UPDATE runs SET report = NULL WHERE key = NEW.run AND report NOT NULL; END;
CREATE TRIGGER sample_removed AFTER DELETE ON samples
BEGIN UPDATE runs SET report = NULL WHERE key = OLD.run AND report NOT NULL; END;
CREATE TRIGGER text_changed AFTER UPDATE ON texts
BEGIN UPDATE runs SET report = NULL
    WHERE key = (SELECT run FROM problems WHERE key = NEW.problem) AND report NOT NULL; END;
"""

FORKS = """
-- A row for each sample and thinking budget. Where `forced` is 0 the sample had ended before, and its own
-- answer counts.
CREATE TABLE forks (
    run INTEGER NOT NULL REFERENCES runs (key) ON DELETE CASCADE,
    eval INTEGER NOT NULL,
    problem INTEGER NOT NULL,
    idx INTEGER NOT NULL,
    budget INTEGER NOT NULL,
    forced INTEGER NOT NULL,
    replayed INTEGER NOT NULL,
    reopened INTEGER NOT NULL,
    seed INTEGER NOT NULL,
    finish TEXT NOT NULL,
    outcome TEXT,
    score REAL,
    at INTEGER NOT NULL,
    thinking_tokens INTEGER NOT NULL,
    answer_tokens INTEGER NOT NULL,
    ended REAL NOT NULL,
    PRIMARY KEY (run, eval, problem, idx, budget)
) WITHOUT ROWID;
CREATE TABLE fork_texts (
    problem INTEGER NOT NULL REFERENCES problems (key) ON DELETE CASCADE,
    idx INTEGER NOT NULL,
    budget INTEGER NOT NULL,
    text TEXT NOT NULL,
    error TEXT NOT NULL,
    verifier TEXT,
    extracted TEXT,
    detail TEXT,
    UNIQUE (problem, idx, budget)
);
CREATE TRIGGER fork_added AFTER INSERT ON forks
BEGIN UPDATE runs SET report = NULL WHERE key = NEW.run AND report NOT NULL; END;
CREATE TRIGGER fork_changed AFTER UPDATE ON forks
BEGIN UPDATE runs SET report = NULL WHERE key = NEW.run AND report NOT NULL; END;
CREATE TRIGGER fork_removed AFTER DELETE ON forks
BEGIN UPDATE runs SET report = NULL WHERE key = OLD.run AND report NOT NULL; END;
"""

TRAININGS = """
CREATE TABLE trainings (
    key INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    created TEXT NOT NULL,
    status TEXT NOT NULL,
    manifest TEXT NOT NULL
);
CREATE TABLE steps (
    training INTEGER NOT NULL REFERENCES trainings (key) ON DELETE CASCADE,
    step INTEGER NOT NULL,
    record TEXT NOT NULL,
    PRIMARY KEY (training, step)
) WITHOUT ROWID;
CREATE TABLE rollouts (
    training INTEGER NOT NULL REFERENCES trainings (key) ON DELETE CASCADE,
    step INTEGER NOT NULL,
    place INTEGER NOT NULL,
    idx INTEGER NOT NULL,
    problem TEXT NOT NULL,
    seed INTEGER NOT NULL,
    text TEXT NOT NULL,
    finish TEXT NOT NULL,
    prompt BLOB NOT NULL,
    tokens BLOB NOT NULL,
    logprobs BLOB NOT NULL,
    starts_thinking INTEGER NOT NULL,
    outcome TEXT,
    reward REAL NOT NULL,
    spread REAL NOT NULL,
    detail TEXT NOT NULL,
    UNIQUE (training, step, place, idx)
);
CREATE TABLE measurements (
    training INTEGER NOT NULL REFERENCES trainings (key) ON DELETE CASCADE,
    step INTEGER NOT NULL,
    purpose TEXT NOT NULL,
    run INTEGER NOT NULL UNIQUE REFERENCES runs (key) ON DELETE CASCADE,
    PRIMARY KEY (training, step, purpose)
);
"""

CHAT_CONTROL = """
-- How long the model may think about its next reply.
ALTER TABLE chats ADD COLUMN control TEXT NOT NULL DEFAULT '{}'
"""

MIGRATIONS: tuple[str, ...] = (RUNS, CHATS, CACHED_REPORT, FORKS, TRAININGS, CHAT_CONTROL)
"""Each brings the file from version i to i + 1; only ever append."""


def default_path() -> Path:
    return paths.home("data") / "localrl.db"


class Cursor(sqlite3.Cursor):
    """Says SQLite's errors in our words; a damaged file shows at any row, not only at the first."""

    @property
    def _file(self) -> Path:
        assert isinstance(self.connection, Connection)
        return self.connection.file

    def execute(self, *arguments: Any) -> Cursor:
        with sqlite_errors(self._file):
            return super().execute(*arguments)

    def executemany(self, *arguments: Any) -> Cursor:
        with sqlite_errors(self._file):
            return super().executemany(*arguments)

    def __next__(self) -> Any:
        try:
            return super().__next__()
        except sqlite3.Error as error:
            raise _in_words(error, self._file) from error

    def fetchone(self) -> Any:
        with sqlite_errors(self._file):
            return super().fetchone()

    def fetchall(self) -> list[Any]:
        with sqlite_errors(self._file):
            return super().fetchall()


class Connection(sqlite3.Connection):
    file: Path
    """The store itself, to be named in errors."""

    def execute(self, *arguments: Any) -> Cursor:
        return self.cursor(Cursor).execute(*arguments)

    def executemany(self, *arguments: Any) -> Cursor:
        return self.cursor(Cursor).executemany(*arguments)


def connect(path: Path | None = None) -> sqlite3.Connection:
    """Open the store, making and migrating it as needed. The connection is for one thread.

    One in a folder that cannot be written is opened to be read.

    Raises:
        StoreError: the folder or the file cannot be written, is no store, or is a newer localrl's.
    """
    path = path or default_path()
    if path.is_file() and not os.access(path.parent, os.W_OK | os.X_OK):
        return _opened(path, f"{path.absolute().as_uri()}?immutable=1", "query_only = ON")
    paths.ensure(path.parent)
    new = not path.exists()
    with sqlite_errors(path):
        uri = paths.private(path).absolute().as_uri()
    try:
        return _opened(
            path, uri, *(["journal_mode = WAL"] if new else [])
        )  # one that is there keeps its mode
    except StoreError as error:
        if not _lacks_shared_memory(error):
            raise
    return _opened(path, uri, "locking_mode = EXCLUSIVE", "journal_mode = DELETE", "locking_mode = NORMAL")


def _opened(path: Path, uri: str, *pragmas: str) -> Connection:
    with sqlite_errors(path):
        connection = sqlite3.connect(uri, timeout=30, isolation_level=None, factory=Connection, uri=True)
        connection.file = path
        try:
            for pragma in (*pragmas, "synchronous = FULL", "foreign_keys = ON"):
                connection.execute(f"PRAGMA {pragma}")
            _migrate(connection, path)
        except BaseException:
            connection.close()
            raise
    return connection


def _lacks_shared_memory(error: StoreError) -> bool:
    """Whether the file system (a network drive, often) cannot map the file that a WAL is shared by."""
    return _name(error.__cause__) in ("SQLITE_IOERR_SHMMAP", "SQLITE_IOERR_SHMOPEN")


def _name(error: BaseException | None) -> str:
    """SQLite's own name of an error."""
    return str(getattr(error, "sqlite_errorname", ""))


def _has_locks(folder: Path) -> bool:
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno not in (errno.ENOLCK, errno.ENOTSUP)
    return True


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All or nothing; on disk when it ends.

    Raises:
        StoreError: it could not be written (a full disk, say); nothing of it was.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


@contextmanager
def sqlite_errors(path: Path) -> Iterator[None]:
    """
    Raises:
        StoreError: in place of any error of SQLite's; names the file and what to do.
    """
    try:
        yield
    except sqlite3.Error as error:
        raise _in_words(error, path) from error


def _in_words(error: sqlite3.Error, path: Path) -> StoreError:
    hint, local = "check the file and its folder", "set LOCALRL_HOME to a folder on a local disk"
    if _name(error) in ("SQLITE_FULL", "SQLITE_IOERR_WRITE", "SQLITE_IOERR_SHMSIZE"):
        hint = "free some space, then resume"
    elif "readonly" in str(error):
        hint = "set LOCALRL_HOME to a folder you can write to"
    elif _name(error) == "SQLITE_BUSY" and not _has_locks(path.parent):
        return StoreError(f"the file system of {path} has no locks, as some network drives", hint=local)
    elif _name(error).startswith("SQLITE_IOERR"):
        what = _name(error).removeprefix("SQLITE_IOERR_").lower()
        return StoreError(f"the disk of {path} fails ({what})", hint=f"check it, or {local}")
    elif "malformed" in str(error) or "not a database" in str(error):
        hint = "move the file away to begin anew; `sqlite3 FILE .recover` may save what is in it"
    return StoreError(f"cannot use the store {path}: {error}", hint=hint)


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > len(MIGRATIONS):
        raise StoreError(f"{path} was written by a newer localrl", hint="upgrade localrl")
    for number in range(version, len(MIGRATIONS)):
        # Another process may migrate at the same moment: look again once the file is ours.
        with transaction(connection):
            if connection.execute("PRAGMA user_version").fetchone()[0] == number:
                for statement in MIGRATIONS[number].split(";\n"):
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {number + 1}")
