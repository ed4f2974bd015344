"""A damaged store is told in words, as no mistake of localrl; an unusual one is used as far as it can be."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from localrl.errors import StoreError
from localrl.store import damage, db
from localrl.store.runs import Store
from tests.commands import localrl

if TYPE_CHECKING:
    from collections.abc import Callable

OLD = Path(__file__).parent / "version_0_1"


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store with runs in it, where localrl finds it."""
    monkeypatch.setenv("LOCALRL_HOME", str(tmp_path / "home"))
    path = db.default_path()
    path.parent.mkdir(parents=True)
    path.write_bytes(next(OLD.rglob("*.db")).read_bytes())
    Store().close()
    return path


def changed(file: Path, *statements: str) -> None:
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


def test_a_sound_store_shows_no_damage(file: Path) -> None:
    assert damage.find() == ""


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE runs SET manifest = '{}'",
        "UPDATE runs SET manifest = '[1'",
        "UPDATE runs SET id = CAST(id AS BLOB)",
        "UPDATE sessions SET counters = '[1'",
        "UPDATE problems SET eval = 9e99",
        "UPDATE problems SET key = -key",
        "UPDATE problems SET prompt = 'text'",
        "UPDATE samples SET eval = 9e99",
        "UPDATE texts SET detail = '[1'",
    ],
)
def test_no_damage_is_called_a_mistake_of_localrls(file: Path, statement: str) -> None:
    changed(file, "PRAGMA foreign_keys = OFF", statement)
    for words in (["ls"], ["show", "last"], ["export", "last", "--format", "jsonl"]):
        said = localrl("runs", *words)
        assert "a mistake in localrl" not in said.stderr, said.stderr
        if said.returncode:
            assert said.returncode in (1, 2)
            assert said.stderr.count("\n") == 1


def test_a_store_in_a_folder_that_cannot_be_written_is_read(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: not mode & os.W_OK)
    with Store() as store:
        run = store.find("last")
        assert store.runs()
        with pytest.raises(StoreError, match="set LOCALRL_HOME to a folder you can write to"):
            store.set_status(run, "partial")


def failing(name: str) -> Callable[..., sqlite3.Connection]:
    """`sqlite3.connect`, but a write-ahead log ends in SQLite's error of this name."""

    class Connection(db.Connection):
        def execute(self, *arguments: object) -> db.Cursor:
            if "journal_mode = WAL" in str(arguments[0]):
                error = sqlite3.OperationalError("disk I/O error")
                error.sqlite_errorname = name
                with db.sqlite_errors(self.file):
                    raise error
            return super().execute(*arguments)

    connect = sqlite3.connect
    return lambda *arguments, **options: connect(*arguments, **{**options, "factory": Connection})


def test_without_shared_memory_a_new_store_works_with_a_rollback_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite3, "connect", failing("SQLITE_IOERR_SHMMAP"))
    for _ in range(2):
        with Store(tmp_path / "new.db") as store:
            assert store.runs() == []
    monkeypatch.undo()
    with closing(sqlite3.connect(tmp_path / "new.db")) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("delete",)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("SQLITE_IOERR_READ", r"fails \(read\); check it, or set LOCALRL_HOME"),
        ("SQLITE_IOERR_WRITE", "free some space"),
        ("SQLITE_FULL", "free some space"),
    ],
)
def test_an_error_of_the_disk_is_not_taken_for_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, words: str
) -> None:
    monkeypatch.setattr(sqlite3, "connect", failing(name))
    with pytest.raises(StoreError, match=words):
        Store(tmp_path / "new.db")
