"""A network's index: signed records of other nodes, found by tag, gone at their expiry.

The registry believes a record only when it is signed by the peer that brought it; it can leave
records out, but it cannot make one up: clients verify every signature themselves.
"""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from actors.journal import Journal
from actors.ports import Census
from p2pgrid.errors import RecordError, StaleRecordError
from p2pgrid.ids import PeerId
from p2pgrid.protocol.messages import MAX_RECORD_BYTES
from p2pgrid.protocol.records import (
    DatasetRecord,
    NodeRecord,
    SignedRecord,
    normalise_tag,
    verify,
)

Body = TypeVar("Body", NodeRecord, DatasetRecord)

SCHEMA = """
CREATE TABLE IF NOT EXISTS nodes (
    peer TEXT PRIMARY KEY, seq INTEGER NOT NULL, expires INTEGER NOT NULL, record BLOB NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS datasets (
    number INTEGER PRIMARY KEY, peer TEXT NOT NULL REFERENCES nodes (peer) ON DELETE CASCADE,
    expires INTEGER NOT NULL, record BLOB NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS tags (
    tag TEXT NOT NULL, number INTEGER NOT NULL REFERENCES datasets (number) ON DELETE CASCADE,
    PRIMARY KEY (tag, number)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS datasets_by_peer ON datasets (peer);
CREATE INDEX IF NOT EXISTS datasets_by_expiry ON datasets (expires);
"""

SEARCH = """
SELECT record FROM datasets JOIN tags USING (number) WHERE tag IN ({marks}) AND expires > ?
GROUP BY number HAVING count(*) = ? ORDER BY number
"""


class Registry:
    """Records by tag, in SQLite."""

    def __init__(self, path: Path, *, now: Callable[[], float] = time.time) -> None:
        self._journal = Journal(path, SCHEMA)
        self._now = now

    def join(self, peer: str, node: bytes, datasets: Sequence[bytes]) -> None:
        """Replaces what is known of a peer, all or nothing.

        Raises:
            RecordError: a record is forged, expired, older than the known one, or not the peer's.
        """
        own = self._verified(node, peer, NodeRecord)
        bodies = [self._verified(record, peer, DatasetRecord) for record in datasets]
        known = self._journal.rows("SELECT seq FROM nodes WHERE peer = ?", peer)
        if known and known[0][0] > own.seq:
            raise StaleRecordError(f"a newer record of {peer} is known")
        with self._journal.transaction() as connection:
            connection.execute("DELETE FROM nodes WHERE peer = ?", (peer,))
            connection.execute(
                "INSERT INTO nodes VALUES (?, ?, ?, ?)", (peer, own.seq, own.expires, node)
            )
            for record, body in zip(datasets, bodies, strict=True):
                row = connection.execute(
                    "INSERT INTO datasets (peer, expires, record) VALUES (?, ?, ?)",
                    (peer, body.expires, record),
                )
                connection.executemany(
                    "INSERT OR IGNORE INTO tags VALUES (?, ?)",
                    [(normalise_tag(tag), row.lastrowid) for tag in body.tags],
                )

    def lists(self, peer: str) -> bool:
        """Whether a peer has joined, and its record has not expired."""
        known = self._journal.rows("SELECT expires FROM nodes WHERE peer = ?", peer)
        return bool(known) and known[0][0] > self._now()

    def census(self) -> Census:
        """How much is listed and has not expired."""
        now = int(self._now())
        nodes = self._journal.rows("SELECT peer, record FROM nodes WHERE expires > ?", now)
        bodies = [(PeerId(peer), SignedRecord.decode(record).body()) for peer, record in nodes]
        ((datasets,),) = self._journal.rows("SELECT count(*) FROM datasets WHERE expires > ?", now)
        domains = {peer: body.name for peer, body in bodies if _is_domain(body)}
        return Census(domains=domains, datasets=datasets)

    def search(self, tags: Sequence[str]) -> tuple[bytes, ...]:
        """Records of datasets that have all these tags and have not expired."""
        wanted = sorted({normalise_tag(tag) for tag in tags})
        marks = ", ".join("?" * len(wanted))
        query = SEARCH.format(marks=marks)
        rows = self._journal.rows(query, *wanted, int(self._now()), len(wanted))
        return tuple(record for (record,) in rows)

    def close(self) -> None:
        """Closes the file."""
        self._journal.close()

    def _verified(self, record: bytes, peer: str, kind: type[Body]) -> Body:
        body, _ = verify(
            record, now=self._now(), expect_peer=PeerId(peer), max_bytes=MAX_RECORD_BYTES
        )
        if not isinstance(body, kind):
            raise RecordError(f"a record of {peer} is no {kind.__name__}")
        return body


def _is_domain(body: NodeRecord | DatasetRecord) -> bool:
    return isinstance(body, NodeRecord) and body.kind == "domain"
