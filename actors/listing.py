"""What a registry writes when a domain lists itself: verified records, and their index."""

from hashlib import blake2b
from sqlite3 import Connection

import msgspec

from actors import search_index
from p2pgrid.protocol.counts import tensor_count
from p2pgrid.protocol.records import DatasetRecord, NodeRecord
from p2pgrid.protocol.schemas import DatasetSchema

CONTENT_BYTES = 16


class Listing:
    """A page of what a node lists, inside a transaction; all pages have the node's record.

    Texts are indexed at the end, in ``index``: SQLite lets FTS5 write all that is new before every
    statement with a savepoint, and after a page that is ten times cheaper than after a dataset.
    """

    def __init__(self, connection: Connection, peer: str, record: NodeRecord) -> None:
        self._connection, self._seq = connection, record.seq
        (self._node,) = connection.execute(
            "INSERT INTO nodes (peer, kind, name, seq, expires) VALUES (?, ?, ?, ?, ?) "
            "ON CONFLICT (peer) DO UPDATE SET kind = excluded.kind, name = excluded.name, "
            "seq = excluded.seq, expires = excluded.expires RETURNING node",
            (peer, record.kind, record.name, record.seq, record.expires),
        ).fetchone()
        self._unindexed: dict[int, DatasetRecord] = {}

    def put(self, signed: bytes, body: DatasetRecord) -> None:
        """Lists a dataset, or lists it again; only what was not known has to be indexed."""
        content = _content_of(body)
        known = self._connection.execute(
            "SELECT number, content FROM datasets "
            "WHERE node = ? AND dataset_id = ? AND version = ?",
            (self._node, body.dataset_id, body.version),
        ).fetchone()
        if known is not None and known[1] == content:
            self._renew(known[0], signed, body)
            return
        if known is not None:
            self._unindexed.pop(known[0], None)
            _remove(self._connection, known[0])
        self._insert(signed, body, content)

    def remove_others(self) -> None:
        """Forgets what the node has listed before and does not list any more."""
        _remove_all(
            self._connection,
            "SELECT number FROM datasets WHERE node = ? AND listing <> ?",
            (self._node, self._seq),
        )

    def index(self) -> None:
        """Makes what is new findable by its texts."""
        for number, body in self._unindexed.items():
            search_index.add(self._connection, number, body)

    def size(self) -> tuple[int, int]:
        """How many datasets of the node are known, and how many bytes their records have."""
        listed, size = self._connection.execute(
            "SELECT count(*), ifnull(sum(size), 0) FROM datasets WHERE node = ?", (self._node,)
        ).fetchone()
        return int(listed), int(size)

    def _renew(self, number: int, signed: bytes, body: DatasetRecord) -> None:
        self._connection.execute(
            "UPDATE datasets SET expires = ?, listing = ?, size = ? WHERE number = ?",
            (body.expires, self._seq, len(signed), number),
        )
        self._connection.execute("UPDATE records SET record = ? WHERE number = ?", (signed, number))

    def _insert(self, signed: bytes, body: DatasetRecord, content: bytes) -> None:
        schema = None if body.schema is None else _put_schema(self._connection, body.schema)
        listed = (body.expires, tensor_count(body), schema, self._node, self._seq, len(signed))
        (number,) = self._connection.execute(
            "INSERT INTO datasets (expires, tensors, schema, node, listing, size, dataset_id, "
            "version, content) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING number",
            (*listed, body.dataset_id, body.version, content),
        ).fetchone()
        self._connection.execute(
            "INSERT INTO records (number, record) VALUES (?, ?)", (number, signed)
        )
        self._unindexed[number] = body


def remove_expired(connection: Connection, now: int, *, most: int) -> None:
    """Forgets what has expired, ``most`` datasets of it."""
    _remove_all(connection, "SELECT number FROM datasets WHERE expires <= ? LIMIT ?", (now, most))
    connection.execute(
        "DELETE FROM nodes WHERE expires <= ? AND node NOT IN (SELECT node FROM datasets)", (now,)
    )


def _remove_all(connection: Connection, numbers: str, values: tuple[int, int]) -> None:
    for (number,) in connection.execute(numbers, values).fetchall():
        _remove(connection, number)


def _remove(connection: Connection, number: int) -> None:
    """Forgets a dataset, and its schema if it was the last to have it."""
    (schema,) = connection.execute(
        "DELETE FROM datasets WHERE number = ? RETURNING schema", (number,)
    ).fetchone()
    connection.execute("DELETE FROM records WHERE number = ?", (number,))
    search_index.remove(connection, number)
    unused = "schema = ? AND NOT EXISTS (SELECT 1 FROM datasets WHERE datasets.schema = ?)"
    for table in ("schemas", "tensor_schemas"):
        connection.execute(f"DELETE FROM {table} WHERE {unused}", (schema, schema))  # noqa: S608


def _put_schema(connection: Connection, schema: DatasetSchema) -> int:
    known = connection.execute("SELECT schema FROM schemas WHERE id = ?", (schema.id,)).fetchone()
    if known is not None:
        return int(known[0])
    (number,) = connection.execute(
        "INSERT INTO schemas (id) VALUES (?) RETURNING schema", (schema.id,)
    ).fetchone()
    connection.executemany(
        "INSERT OR IGNORE INTO tensor_schemas (schema, id) VALUES (?, ?)",
        [(number, of.id) for _, of in schema.tensors],
    )
    return int(number)


def _content_of(body: DatasetRecord) -> bytes:
    """A hash of all that a search depends on; signing a record anew does not change it."""
    lasting = msgspec.structs.replace(body, seq=0, expires=0, addresses=())
    return blake2b(msgspec.msgpack.encode(lasting), digest_size=CONTENT_BYTES).digest()
