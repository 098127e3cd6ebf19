"""One SQLite file that keeps what it acknowledged: WAL, synchronous=FULL, one writer.

A cache is synced less often: a power failure takes its last changes back, in their order.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


class Journal:
    """A connection whose transactions are durable when they return."""

    def __init__(self, path: Path, schema: str, *, is_cache: bool = False) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute(f"PRAGMA synchronous={'NORMAL' if is_cache else 'FULL'}")
        self._connection.execute("PRAGMA foreign_keys=ON")
        self._connection.executescript(schema)
        path.chmod(0o600)

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing; the file is synced before this returns."""
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield self._connection
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:  # SQLite ends it by itself on some errors
                self._connection.execute("ROLLBACK")
            raise

    def rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """All rows of a query."""
        return self._connection.execute(query, values).fetchall()

    def each(self, query: str, *values: object) -> Iterator[tuple[Any, ...]]:
        """The rows of a query, one at a time."""
        return self._connection.execute(query, values)

    def close(self) -> None:
        """Closes the file; nothing acknowledged is lost without it."""
        self._connection.close()
