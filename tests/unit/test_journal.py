"""The SQLite file: all of a transaction or nothing of it."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from actors.journal import Journal

SCHEMA = """
CREATE TABLE IF NOT EXISTS parent (id INTEGER PRIMARY KEY);
CREATE TABLE IF NOT EXISTS child (
    id INTEGER REFERENCES parent (id) DEFERRABLE INITIALLY DEFERRED
);
"""


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    opened = Journal(tmp_path / "node.db", SCHEMA)
    yield opened
    opened.close()


def test_a_commit_that_fails_leaves_nothing_and_the_next_transaction_works(
    journal: Journal,
) -> None:
    with pytest.raises(sqlite3.IntegrityError), journal.transaction() as connection:
        connection.execute("INSERT INTO child VALUES (1)")  # checked when it is committed
    assert journal.rows("SELECT * FROM child") == []
    with journal.transaction() as connection:
        connection.execute("INSERT INTO parent VALUES (1)")
    assert journal.rows("SELECT * FROM parent") == [(1,)]


def test_a_transaction_that_sqlite_ended_by_itself_raises_its_own_error(journal: Journal) -> None:
    with (
        pytest.raises(sqlite3.IntegrityError, match="UNIQUE"),
        journal.transaction() as connection,
    ):
        connection.execute("INSERT OR ROLLBACK INTO parent VALUES (1), (1)")
    assert journal.rows("SELECT * FROM parent") == []
