"""Datasets in one SQLite table, searched by LIKE: what a network has that keeps no index."""

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

PAGE = 500

TABLE = """
CREATE TABLE datasets (
    number INTEGER PRIMARY KEY, name TEXT, description TEXT, tags TEXT, everything TEXT,
    tensors INTEGER, schema TEXT, record BLOB
) STRICT
"""

CONDITIONS = {
    "anywhere": ("everything LIKE ?", "% {} %"),
    "description": ("description LIKE ?", "% {} %"),
    "tags": ("tags LIKE ?", "%{}%"),
    "exact_tags": ("tags LIKE ?", "%\n{}\n%"),
    "name": ("name LIKE ?", "%{}%"),
    "exact_name": ("name = ?", "{}"),
}


class Row(NamedTuple):
    """A dataset; its texts are words in lower case with single spaces between them."""

    name: str
    description: str
    tags: Sequence[str]
    tensors: int
    schema: str | None
    record: bytes


class LikeScan:
    """Answers the queries of ``benchmarks.search_corpus`` as a registry does."""

    def __init__(self, path: Path, rows: Iterable[Row]) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA cache_size = -65536")
        self._connection.execute(TABLE)
        self._connection.execute("BEGIN")
        self._connection.executemany(
            "INSERT INTO datasets VALUES (NULL, ?, ?, ?, ?, ?, ?, ?)", map(_values, rows)
        )
        self._connection.execute("COMMIT")

    def search(self, query: Mapping[str, Sequence[str]]) -> tuple[list[bytes], int]:
        """The first records that match, and how many do."""
        asked = [(*CONDITIONS[form], word) for form, words in query.items() for word in words]
        conditions = " AND ".join(condition for condition, _, _ in asked)
        values = [pattern.format(word) for _, pattern, word in asked]
        page = self._connection.execute(
            f"SELECT record FROM datasets WHERE {conditions} LIMIT {PAGE}",  # noqa: S608
            values,
        ).fetchall()
        ((count, _, _),) = self._connection.execute(
            "SELECT count(*), sum(tensors), count(DISTINCT schema) "  # noqa: S608
            f"FROM datasets WHERE {conditions}",
            values,
        )
        return [record for (record,) in page], count

    def close(self) -> None:
        """Closes the file."""
        self._connection.close()


def _values(row: Row) -> tuple[object, ...]:
    description, tags = f" {row.description} ", f"\n{chr(10).join(row.tags)}\n"
    everything = " ".join(f"{row.name} {' '.join(row.tags)}{description}".split("-"))
    return (row.name, description, tags, f" {everything} ", *row[3:])
