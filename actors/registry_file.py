"""The file of a registry: which tables it has, and what becomes of one with others.

It is a cache: domains list themselves again within minutes. So it is not synced at every commit,
and a file of another form is removed rather than converted.
"""

import sqlite3
import zlib
from contextlib import closing
from pathlib import Path
from unicodedata import unidata_version

from actors import search_index
from actors.journal import Journal

# Rows of ``datasets`` are small and begin with what is counted, because a search for a common
# word reads all of them; records are apart.
TABLES = """
CREATE TABLE IF NOT EXISTS nodes (
    node INTEGER PRIMARY KEY, peer TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, name TEXT NOT NULL,
    seq INTEGER NOT NULL, expires INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS datasets (
    number INTEGER PRIMARY KEY, expires INTEGER NOT NULL, tensors INTEGER NOT NULL,
    schema INTEGER, node INTEGER NOT NULL, listing INTEGER NOT NULL, size INTEGER NOT NULL,
    dataset_id BLOB NOT NULL, version INTEGER NOT NULL, content BLOB NOT NULL,
    UNIQUE (node, dataset_id, version)
) STRICT;
CREATE TABLE IF NOT EXISTS records (number INTEGER PRIMARY KEY, record BLOB NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS schemas (schema INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE) STRICT;
CREATE TABLE IF NOT EXISTS tensor_schemas (
    schema INTEGER NOT NULL, id TEXT NOT NULL, PRIMARY KEY (schema, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS nodes_by_expiry ON nodes (expires);
CREATE INDEX IF NOT EXISTS datasets_by_expiry ON datasets (expires);
CREATE INDEX IF NOT EXISTS datasets_by_schema ON datasets (schema);
"""

SCHEMA = TABLES + search_index.TABLES
FORM = zlib.crc32(f"{SCHEMA}{search_index.FORM} Unicode {unidata_version}".encode()) >> 1
"""Another one when other tables are kept, or other texts in them."""

CACHE_KIB = 64 * 1024


def open_registry(path: Path) -> Journal:
    """The file, with all its tables; empty if it was none or one of another form."""
    if path.exists() and _form_of(path) != FORM:
        for name in (path.name, f"{path.name}-wal", f"{path.name}-shm"):
            path.with_name(name).unlink(missing_ok=True)
    settings = f"PRAGMA user_version = {FORM}; PRAGMA cache_size = -{CACHE_KIB};"
    return Journal(path, SCHEMA + settings, is_cache=True)


def used_bytes(connection: sqlite3.Connection) -> int:
    """How many bytes of the file are in use; what was removed is used again before it grows."""
    pages, free, size = (
        connection.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("page_count", "freelist_count", "page_size")
    )
    return int((pages - free) * size)


def _form_of(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        (form,) = connection.execute("PRAGMA user_version").fetchone()
    return int(form)
