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
    name TEXT NOT NULL UNIQUE,
    entry BLOB NOT NULL
) STRICT;
"""


class Catalog:
    """What the domain has published."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def all(self) -> tuple[DatasetEntry, ...]:
        """All datasets, by name.

        Raises:
            NodeError: a row is damaged.
        """
        rows = self._journal.rows("SELECT entry FROM datasets ORDER BY name")
        try:
            return tuple(msgspec.msgpack.decode(entry, type=DatasetEntry) for (entry,) in rows)
        except MALFORMED as error:
            raise NodeError("a dataset in node.db is damaged; put a copy of it back") from error

    def add(self, entry: DatasetEntry) -> None:
        """Lists a dataset; the same again changes nothing.

        Raises:
            DuplicateError: another dataset has this id or this name.
        """
        if entry in self.all():
            return
        try:
            with self._journal.transaction() as connection:
                connection.execute(
                    "INSERT INTO datasets (dataset_id, name, entry) VALUES (?, ?, ?)",
                    (entry.dataset_id, entry.name, msgspec.msgpack.encode(entry)),
                )
        except sqlite3.IntegrityError:
            raise DuplicateError(what="dataset", name=entry.name) from None
