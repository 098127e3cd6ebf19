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
from p2pgrid.protocol.counts import counts_of
from p2pgrid.protocol.messages import MAX_RECORD_BYTES, MAX_RECORDS, Found
from p2pgrid.protocol.paging import fitting
from p2pgrid.protocol.queries import Query, matches
from p2pgrid.protocol.records import DatasetRecord, NodeRecord, SignedRecord, verify

Body = TypeVar("Body", NodeRecord, DatasetRecord)

SCHEMA = """
CREATE TABLE IF NOT EXISTS nodes (
    peer TEXT PRIMARY KEY, seq INTEGER NOT NULL, expires INTEGER NOT NULL, record BLOB NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS datasets (
    number INTEGER PRIMARY KEY, peer TEXT NOT NULL REFERENCES nodes (peer) ON DELETE CASCADE,
    expires INTEGER NOT NULL, record BLOB NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS datasets_by_peer ON datasets (peer);
CREATE INDEX IF NOT EXISTS datasets_by_expiry ON datasets (expires);
"""


class Registry:
    """Signed records, in SQLite."""

    def __init__(self, path: Path, *, now: Callable[[], float] = time.time) -> None:
        self._journal = Journal(path, SCHEMA)
        self._now = now

    def join(
        self, peer: str, node: bytes, datasets: Sequence[bytes], *, more: bool = False
    ) -> None:
        """Replaces what is known of a peer, all or nothing; with ``more`` to come, adds to it.

        Raises:
            RecordError: a record is forged, expired, older than the known one, or not the peer's.
        """
        del more
        own = self._verified(node, peer, NodeRecord)
        bodies = [self._verified(record, peer, DatasetRecord) for record in datasets]
        known = self._journal.rows("SELECT seq FROM nodes WHERE peer = ?", peer)
        if known and known[0][0] > own.seq:
            raise StaleRecordError(f"a newer record of {peer} is known")
        with self._journal.transaction() as connection:
            if not known or known[0][0] < own.seq:
                connection.execute("DELETE FROM nodes WHERE peer = ?", (peer,))
                connection.execute(
                    "INSERT INTO nodes VALUES (?, ?, ?, ?)", (peer, own.seq, own.expires, node)
                )
            for record, body in zip(datasets, bodies, strict=True):
                connection.execute(
                    "INSERT INTO datasets (peer, expires, record) VALUES (?, ?, ?)",
                    (peer, body.expires, record),
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

    def search(self, query: Query, *, after: int = 0, limit: int = MAX_RECORDS) -> Found:
        """A page of the records that match and have not expired, from place ``after`` on."""
        now = int(self._now())
        rows = self._journal.rows(
            "SELECT number, record FROM datasets WHERE expires > ? ORDER BY number", now
        )
        decoded = [(number, record, SignedRecord.decode(record).body()) for number, record in rows]
        found = [
            (number, record, body)
            for number, record, body in decoded
            if isinstance(body, DatasetRecord) and matches(query, body)
        ]
        rest = [(number, record) for number, record, _ in found if number > after]
        fits = min(fitting([record for _, record in rest]), limit)
        return Found(
            tuple(record for _, record in rest[:fits]),
            next=rest[fits - 1][0] if fits < len(rest) else 0,
            counts=None if after else counts_of(body for _, _, body in found),
        )

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
