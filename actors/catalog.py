"""Catalog of a domain: its datasets and their tensors; public metadata only."""

import sqlite3

import msgspec

from actors.journal import Journal
from actors.ports import DatasetEntry
from p2pgrid.errors import DuplicateError, NodeError
from p2pgrid.protocol.malformed import MALFORMED

SCHEMA = """
CREATE TABLE IF NOT EXISTS datasets (
    dataset_id BLOB PRIMARY KEY CHECK (length(dataset_id) = 16),
    name TEXT NOT NULL,
    version INTEGER NOT NULL DEFAULT 1,
    entry BLOB NOT NULL,
    UNIQUE (name, version)
) STRICT;
"""

_FROM_OLD = (
    "ALTER TABLE datasets RENAME TO unversioned",
    SCHEMA,
    "INSERT INTO datasets (dataset_id, name, entry) "
    "SELECT dataset_id, name, entry FROM unversioned",
    "DROP TABLE unversioned",
)
"""Files that were written when a name had one dataset."""


def convert(journal: Journal) -> None:
    """Gives the table versions, if it was made when there were none."""
    columns = {name for _, name, *_ in journal.rows("PRAGMA table_info(datasets)")}
    if "version" not in columns:
        with journal.transaction() as connection:
            for statement in _FROM_OLD:
                connection.execute(statement)


class Catalog:
    """What the domain has published."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def all(self) -> tuple[DatasetEntry, ...]:
        """All versions of all datasets, by name, oldest first.

        Raises:
            NodeError: a row is damaged.
        """
        rows = self._journal.rows("SELECT entry FROM datasets ORDER BY name, version")
        try:
            return tuple(msgspec.msgpack.decode(entry, type=DatasetEntry) for (entry,) in rows)
        except MALFORMED as error:
            raise NodeError("a dataset in node.db is damaged; put a copy of it back") from error

    def add(self, entry: DatasetEntry) -> None:
        """Lists a dataset; the same again changes nothing.

        Raises:
            DuplicateError: another dataset has this id, or this name and version.
        """
        if entry in self.all():
            return
        try:
            with self._journal.transaction() as connection:
                connection.execute(
                    "INSERT INTO datasets (dataset_id, name, version, entry) VALUES (?, ?, ?, ?)",
                    (entry.dataset_id, entry.name, entry.version, msgspec.msgpack.encode(entry)),
                )
        except sqlite3.IntegrityError:
            raise DuplicateError(what="dataset", name=entry.name) from None
