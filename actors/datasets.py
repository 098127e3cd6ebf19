"""The datasets of a domain, as the gateway decides about them: which there are, and whose."""

from actors.entries import objects_of
from actors.ports import DatasetEntry
from actors.record_book import RecordBook
from p2pgrid.errors import DuplicateError
from p2pgrid.ids import DatasetId, ObjectId, PeerId
from p2pgrid.policy.access import EVERYBODY, Label, Names
from p2pgrid.protocol.arrays import ArrayHeader, claimed_bytes, dtype_named
from p2pgrid.protocol.operations import ArrayMeta

PRIVATE = frozenset({DatasetId(b"private part")})
"""Where private parts come from: no dataset has this id, so nobody but owners is allowed it."""


class Datasets:
    """What the catalog lists, kept in memory; the state has the copy that survives.

    ``entries`` are the datasets themselves, ``allowed`` the accounts that may take each home,
    ``destinations`` the domains to which each may move, ``labels`` their tensors, ``parts`` what
    only owners may read of them.
    """

    def __init__(self, book: RecordBook) -> None:
        self._book = book
        self.entries: dict[DatasetId, DatasetEntry] = {}
        self.allowed: dict[DatasetId, Names] = {}
        self.destinations: dict[DatasetId, frozenset[PeerId]] = {}
        self.labels: dict[ObjectId, Label] = {}
        self.parts: dict[ObjectId, Label] = {}

    def add(self, entry: DatasetEntry) -> None:
        """Lists a dataset, also in the records that the domain signs."""
        self.entries[entry.dataset_id] = entry
        self.allowed[entry.dataset_id] = entry.allowed if entry.private else EVERYBODY
        self.destinations[entry.dataset_id] = entry.allowed_domains
        for tensor in entry.tensors:
            meta = meta_of(tensor.dtype, tensor.shape)
            self.labels[tensor.object_id] = Label(meta, frozenset({entry.dataset_id}), True)
        for part in entry.parts:
            meta = meta_of(part.dtype, part.shape)
            self.parts[part.object_id] = Label(meta, PRIVATE, True)
        self._book.add(entry)

    def next_version(self, name: str) -> int:
        """The number of the next dataset of this name."""
        return 1 + max((it.version for it in self.entries.values() if it.name == name), default=0)

    def allows(self, name: str) -> bool:
        """Whether an owner has named this account in the permissions of any dataset."""
        return any(name in accounts for accounts in self.allowed.values())

    def require_unused(self, entry: DatasetEntry) -> None:
        """Checks that a dataset can be listed.

        Raises:
            DuplicateError: its id, or that of an array, is taken.
        """
        if entry.dataset_id in self.entries:
            raise DuplicateError(what="dataset id of", name=entry.name)
        ids = objects_of(entry)
        if len(set(ids)) < len(ids) or any(self.has(object_id) for object_id in ids):
            raise DuplicateError(what="array id of", name=entry.name)

    def has(self, object_id: ObjectId) -> bool:
        """Whether a dataset has this array, or private part."""
        return object_id in self.labels or object_id in self.parts


def meta_of(dtype: str, shape: tuple[int, ...]) -> ArrayMeta:
    """What a peer says of an array.

    Raises:
        DtypeError, RemoteProtocolError: there is no such array.
    """
    claimed_bytes(ArrayHeader(dtype, shape, 0))
    return ArrayMeta(shape, dtype_named(dtype))
