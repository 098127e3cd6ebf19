"""A network's index: signed records of other nodes, found by their texts, gone at their expiry.

The registry believes a record only when it is signed by the peer that brought it; it can leave
records out, but it cannot make one up: clients verify every signature themselves.

Rule 1: it finds and counts what ``queries.matches`` matches, and nothing that has expired.
Rule 2: what a domain lists again, signed anew, is not indexed again.
Rule 3: a listing of several pages adds with every page and forgets with the last, so that nothing
is missing meanwhile that was listed before and still is.
"""

import time
from collections.abc import Callable, Sequence
from itertools import chain
from pathlib import Path
from sqlite3 import Connection
from typing import TypeVar

from actors.listing import Listing, remove_expired
from actors.ports import Census
from actors.registry_file import open_registry, used_bytes
from actors.search_index import selections
from p2pgrid.errors import RecordError, RegistryFullError, StaleRecordError
from p2pgrid.ids import PeerId
from p2pgrid.protocol.counts import Counts
from p2pgrid.protocol.messages import MAX_RECORD_BYTES, MAX_RECORDS, Found
from p2pgrid.protocol.paging import first_page
from p2pgrid.protocol.queries import Query
from p2pgrid.protocol.records import DatasetRecord, NodeRecord, verify

Body = TypeVar("Body", NodeRecord, DatasetRecord)

MAX_LISTED = 50_000
"""Datasets of one domain."""
MAX_LISTED_BYTES = 8 << 20
"""Of their records: half of what a client reads of a search, so that none hides all others."""
MAX_FILE_BYTES = 8 << 30
"""Of the file, index and all; an index takes several times the bytes of the records."""
EXPIRED_AT_ONCE = 500
"""Datasets that leave the file with one join; searches pass over the others."""

# CROSS JOIN keeps the order: the texts first, then the rows that they are of.
FOUND = "({first}) AS found CROSS JOIN datasets ON number = found.rowid"
PAGE = """
SELECT number, record FROM {found} JOIN records USING (number)
WHERE {conditions} AND found.rowid > ? ORDER BY found.rowid LIMIT ?
"""
COUNTS = """
WITH total AS MATERIALIZED (
    SELECT count(*) AS datasets, ifnull(sum(tensors), 0) AS tensors,
        '[' || ifnull(group_concat(DISTINCT schema), '') || ']' AS schemas
    FROM {found} WHERE {conditions}
)
SELECT json_array_length(schemas), datasets, tensors, (
    SELECT count(DISTINCT id) FROM tensor_schemas WHERE schema IN (
        SELECT value FROM json_each(schemas)
    )
) FROM total
"""


class Registry:
    """Signed records, found by what they say, in SQLite."""

    def __init__(
        self,
        path: Path,
        *,
        now: Callable[[], float] = time.time,
        most_listed: int = MAX_LISTED,
        most_listed_bytes: int = MAX_LISTED_BYTES,
        most_file_bytes: int = MAX_FILE_BYTES,
    ) -> None:
        self._journal = open_registry(path)
        self._now, self._most_listed = now, most_listed
        self._most_listed_bytes, self._most_file_bytes = most_listed_bytes, most_file_bytes

    def join(
        self, peer: str, node: bytes, datasets: Sequence[bytes], *, more: bool = False
    ) -> None:
        """Lists a peer and its datasets: all of this page of its listing, or nothing.

        Without ``more`` to come, what this listing did not name is forgotten.

        Raises:
            RecordError: a record is forged, expired, older than the known one, or not the peer's.
            RegistryFullError: the domain has more datasets, or longer ones, than fit.
        """
        own = self._verified(node, peer, NodeRecord)
        bodies = [self._verified(record, peer, DatasetRecord) for record in datasets]
        if self._sequence_of(peer) > own.seq:
            raise StaleRecordError(f"a newer record of {peer} is known")
        with self._journal.transaction() as connection:
            remove_expired(connection, int(self._now()), most=EXPIRED_AT_ONCE)
            listing = Listing(connection, peer, own)
            for record, body in zip(datasets, bodies, strict=True):
                listing.put(record, body)
            # Without room for both listings the old one goes at once, not with the last page.
            if not more or self._excess(listing):
                listing.remove_others()
            listing.index()
            self._require_room(connection, listing)

    def lists(self, peer: str) -> bool:
        """Whether a peer has joined, and its record has not expired."""
        known = self._journal.rows("SELECT expires FROM nodes WHERE peer = ?", peer)
        return bool(known) and known[0][0] > self._now()

    def census(self) -> Census:
        """How much is listed and has not expired."""
        now = int(self._now())
        domains = "SELECT peer, name FROM nodes WHERE kind = 'domain' AND expires > ?"
        names = {PeerId(peer): name for peer, name in self._journal.rows(domains, now)}
        ((datasets,),) = self._journal.rows("SELECT count(*) FROM datasets WHERE expires > ?", now)
        return Census(domains=names, datasets=datasets)

    def search(self, query: Query, *, after: int = 0, limit: int = MAX_RECORDS) -> Found:
        """A page of the records that match, in the order in which they were first listed.

        Args:
            query: what to find.
            after: ``next`` of the page before; 0: the first page, which has the counts.
            limit: most records; there may be fewer, because a page has to fit into a message.
        """
        first, *others = selections(query)
        conditions = ["expires > ?", *(f"number IN ({other.sql})" for other in others)]
        parts = {"found": FOUND.format(first=first.sql), "conditions": " AND ".join(conditions)}
        values = (*first.values, int(self._now()), *chain(*(other.values for other in others)))
        numbered = self._journal.each(PAGE.format(**parts), *values, after, limit + 1)
        records, place = first_page(numbered, limit=limit)
        if after:
            return Found(records, next=place)
        (counted,) = self._journal.rows(COUNTS.format(**parts), *values)
        return Found(records, next=place, counts=_counts(*counted))

    def close(self) -> None:
        """Closes the file."""
        self._journal.close()

    def _sequence_of(self, peer: str) -> int:
        known = self._journal.rows("SELECT seq FROM nodes WHERE peer = ?", peer)
        return int(known[0][0]) if known else 0

    def _excess(self, listing: Listing) -> RegistryFullError | None:
        """What a domain has too much of."""
        listed, size = listing.size()
        if listed > self._most_listed:
            what = "datasets of one domain"
            return RegistryFullError(what=what, needed=listed, limit=self._most_listed)
        if size > self._most_listed_bytes:
            what = "bytes of records of one domain"
            return RegistryFullError(what=what, needed=size, limit=self._most_listed_bytes)
        return None

    def _require_room(self, connection: Connection, listing: Listing) -> None:
        used = used_bytes(connection)
        if used > self._most_file_bytes:
            raise RegistryFullError(what="bytes in all", needed=used, limit=self._most_file_bytes)
        if excess := self._excess(listing):
            raise excess

    def _verified(self, record: bytes, peer: str, kind: type[Body]) -> Body:
        body, _ = verify(
            record, now=self._now(), expect_peer=PeerId(peer), max_bytes=MAX_RECORD_BYTES
        )
        if not isinstance(body, kind):
            raise RecordError(f"a record of {peer} is no {kind.__name__}")
        return body


def _counts(schemas: int, datasets: int, tensors: int, tensor_schemas: int) -> Counts:
    return Counts(schemas, datasets, tensors, schemas, tensor_schemas)
