"""The records that a node signs about itself, kept fresh for whoever asks."""

import time
from collections.abc import Callable

from nacl.signing import SigningKey

from actors.ports import DatasetEntry
from p2pgrid.errors import LocalProtocolError
from p2pgrid.ids import DatasetId, peer_id_of
from p2pgrid.protocol.counts import counts_of
from p2pgrid.protocol.messages import Found
from p2pgrid.protocol.paging import first_page
from p2pgrid.protocol.queries import Query, matches
from p2pgrid.protocol.record_room import require_room
from p2pgrid.protocol.records import (
    DatasetRecord,
    NodeRecord,
    SignedRecord,
    TensorInfo,
    sign,
)

VALID_S = 1800
"""How long a record is believed; it is signed anew long before."""


class RecordBook:
    """Signs what the node says about itself; ``renew`` gives all of it a later expiry."""

    def __init__(
        self,
        *,
        seed: bytes,
        name: str,
        kind: str,
        addresses: Callable[[], tuple[str, ...]],
        frameworks: tuple[str, ...] = (),
    ) -> None:
        """``frameworks`` are those to which the node can convert; see ``DatasetRecord``."""
        self.name = name
        self.peer_id = peer_id_of(bytes(SigningKey(seed).verify_key))
        self._seed, self._kind, self._addresses = seed, kind, addresses
        self._frameworks = frameworks
        self._entries: dict[DatasetId, DatasetEntry] = {}
        self._bodies: dict[DatasetId, DatasetRecord] = {}
        self._signed: dict[DatasetId, bytes] = {}
        self._node: SignedRecord | None = None
        self._sequence = 0

    def add(self, entry: DatasetEntry) -> None:
        """Takes a dataset into the book."""
        self._entries[entry.dataset_id] = entry
        if self._node is not None:
            self._sign_dataset(entry)

    def require_room(self, entry: DatasetEntry) -> None:
        """Checks that the record of a dataset can be signed and sent.

        Raises:
            TooLargeError: there is too much of it; see ``record_room``.
        """
        require_room(self._dataset_body(entry))

    def renew(self, *, sequence: int) -> None:
        """Signs everything anew, under a later sequence number."""
        self._sequence = sequence
        for entry in tuple(self._entries.values()):  # others come meanwhile
            self._sign_dataset(entry)
        self._node = sign(self._node_body(), signing_key=self._seed)

    def signed_node_record(self) -> SignedRecord:
        """The node's signed record."""
        if self._node is None:
            raise LocalProtocolError("records are signed when the node starts")
        return self._node

    def node_record(self) -> bytes:
        """The bytes of the node's signed record."""
        return self.signed_node_record().encode()

    def dataset_record(self, dataset_id: DatasetId) -> bytes:
        """The signed record of one dataset."""
        return self._signed[dataset_id]

    def dataset_records(self) -> tuple[bytes, ...]:
        """The signed records of all datasets, in the order in which they came."""
        return tuple(self._signed.values())

    def find(self, query: Query, *, after: int) -> Found:
        """A page of what matches; datasets are numbered as they came, from 1.

        Args:
            query: what to find.
            after: ``next`` of the page before; 0: the first page, which has the counts.
        """
        found = (
            (number, self._signed[key])
            for number, (key, body) in enumerate(self._bodies.items(), 1)
            if number > after and matches(query, body)
        )
        records, place = first_page(found)
        if after:
            return Found(records, next=place)
        all_of_them = (body for body in self._bodies.values() if matches(query, body))
        return Found(records, next=place, counts=counts_of(all_of_them))

    def announced_tags(self) -> tuple[str, ...]:
        """Tags that the owner chose to make findable by anyone."""
        entries = self._entries.values()
        return tuple(sorted({tag for entry in entries if entry.announce for tag in entry.tags}))

    def _node_body(self) -> NodeRecord:
        return NodeRecord(
            kind="domain" if self._kind == "domain" else "network",
            name=self.name,
            addresses=self._addresses(),
            seq=self._sequence,
            expires=int(time.time()) + VALID_S,
            datasets=len(self._entries),
        )

    def _sign_dataset(self, entry: DatasetEntry) -> None:
        body = self._dataset_body(entry)
        self._bodies[entry.dataset_id] = body
        self._signed[entry.dataset_id] = sign(body, signing_key=self._seed).encode()

    def _dataset_body(self, entry: DatasetEntry) -> DatasetRecord:
        return DatasetRecord(
            domain=self.name,
            dataset_id=entry.dataset_id,
            name=entry.name,
            description=entry.description,
            tags=entry.tags,
            tensors=tuple(
                TensorInfo(
                    name=t.name,
                    object_id=t.object_id,
                    shape=t.shape,
                    dtype=t.dtype,
                    split=t.split,
                    column=t.column,
                )
                for t in entry.tensors
            ),
            version=entry.version,
            seq=self._sequence,
            expires=int(time.time()) + VALID_S,
            addresses=self._addresses(),
            schema=entry.schema,
            metadata=entry.metadata or {},
            frameworks=self._frameworks,
            worst_case_user_budget=entry.budget,
            private=entry.private,
            uploaded=entry.uploaded,
        )
