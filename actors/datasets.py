"""The datasets of a domain, as the gateway decides about them: which there are, and whose."""

from actors.ports import DatasetEntry
from actors.record_book import RecordBook
from p2pgrid.errors import DuplicateError
from p2pgrid.ids import DatasetId, ObjectId, PeerId
from p2pgrid.policy.access import Label
from p2pgrid.protocol.arrays import ArrayHeader, claimed_bytes, dtype_named
from p2pgrid.protocol.operations import ArrayMeta


class Datasets:
    """What the catalog lists, kept in memory; the state has the copy that survives.

    ``entries`` are the datasets themselves, ``allowed`` the accounts that may take each home,
    ``destinations`` the domains to which each may move, ``labels`` their tensors.
    """

    def __init__(self, book: RecordBook) -> None:
        self._book = book
        self.entries: dict[DatasetId, DatasetEntry] = {}
        self.allowed: dict[DatasetId, frozenset[str]] = {}
        self.destinations: dict[DatasetId, frozenset[PeerId]] = {}
        self.labels: dict[ObjectId, Label] = {}

    def add(self, entry: DatasetEntry) -> None:
        """Lists a dataset, also in the records that the domain signs."""
        self.entries[entry.dataset_id] = entry
        self.allowed[entry.dataset_id] = entry.allowed
        self.destinations[entry.dataset_id] = entry.allowed_domains
        for tensor in entry.tensors:
            meta = meta_of(tensor.dtype, tensor.shape)
            self.labels[tensor.object_id] = Label(meta, frozenset({entry.dataset_id}), True)
        self._book.add(entry)

    def allows(self, name: str) -> bool:
        """Whether an owner has named this account in the permissions of any dataset."""
        return any(name in accounts for accounts in self.allowed.values())

    def require_unused(self, entry: DatasetEntry) -> None:
        """Checks that a dataset can be listed.

        Raises:
            DuplicateError: its name, its id or that of a tensor is taken.
        """
        names = {other.name for other in self.entries.values()}
        if entry.name in names or entry.dataset_id in self.entries:
            raise DuplicateError(what="dataset", name=entry.name)
        for tensor in entry.tensors:
            if tensor.object_id in self.labels:
                raise DuplicateError(what="tensor id of", name=tensor.name)


def meta_of(dtype: str, shape: tuple[int, ...]) -> ArrayMeta:
    """What a peer says of an array.

    Raises:
        DtypeError, RemoteProtocolError: there is no such array.
    """
    claimed_bytes(ArrayHeader(dtype, shape, 0))
    return ArrayMeta(shape, dtype_named(dtype))
