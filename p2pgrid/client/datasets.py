"""Datasets as a scientist sees them: public metadata, and a pointer per tensor."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
from typing_extensions import override

from p2pgrid.client.actor_pointer import store_of
from p2pgrid.client.display import Display, Displayed, hashed
from p2pgrid.client.home import Home
from p2pgrid.client.pointer import TensorPointer
from p2pgrid.client.sharing import Grantable, Shareable
from p2pgrid.client.table_pointer import TablePointer
from p2pgrid.errors import SchemaError
from p2pgrid.ids import ObjectId, PeerId, public_key_of, short
from p2pgrid.protocol.arrays import dtype_named
from p2pgrid.protocol.operations import ArrayMeta
from p2pgrid.protocol.records import DatasetRecord, TensorInfo


class DatasetPointer(Displayed, Mapping[str, TensorPointer], Shareable):
    """A dataset of a domain: a mapping from the names of its tensors to pointers."""

    def __init__(self, domain: Home, record: DatasetRecord) -> None:
        self.domain = domain
        self._record = record

    @property
    def id(self) -> str:
        """The dataset's id, 32 hex characters; it stays when the node restarts."""
        return self._record.dataset_id.hex()

    @property
    def actor(self) -> Any:
        """The actor that holds its tensors; see ``TensorPointer.actor``."""
        return store_of(self.domain)

    @property
    def name(self) -> str:
        """The name that the owner gave it."""
        return self._record.name

    @property
    def description(self) -> str:
        """The owner's description, verbatim."""
        return self._record.description

    @property
    def tags(self) -> tuple[str, ...]:
        """Tags, without ``#``, in lower case."""
        return self._record.tags

    @property
    def pointers(self) -> tuple[TensorPointer, ...]:
        """One pointer per tensor, in the owner's order."""
        return tuple(self[name] for name in self)

    def table(self, *columns: str) -> TablePointer:
        """The tensors as columns of a table.

        Args:
            columns: which ones, in this order; default: all.

        Raises:
            KeyError: there is no tensor of such a name; the error lists those that there are.
            SchemaError: they are not of one dimension and of equal length; the error says which.
        """
        return TablePointer({name: self[name] for name in columns or self})

    @override
    def __getitem__(self, name: str) -> TensorPointer:
        for tensor in self._record.tensors:
            if tensor.name == name:
                return self._pointer(tensor)
        raise KeyError(f"{self.name} has no tensor {name!r}; it has {', '.join(self)}")

    @override
    def __iter__(self) -> Iterator[str]:
        return (tensor.name for tensor in self._record.tensors)

    @override
    def __len__(self) -> int:
        return len(self._record.tensors)

    @override
    def _display(self) -> Display:
        facts = (
            ("tensors", ", ".join(self)),
            ("tags", hashed(self.tags)),
            ("description", self.description),
        )
        place = f"{self.name!r} at {self.domain.name}"
        return Display(f"DatasetPointer {short(self._record.dataset_id)} {place}", facts)

    @override
    def _grantable(self) -> Grantable:
        objects = tuple(tensor.object_id for tensor in self._record.tensors)
        form = msgspec.msgpack.encode(self._record)
        return Grantable(self.domain, objects, "dataset", form)

    def _pointer(self, tensor: TensorInfo) -> TensorPointer:
        pointer = pointer_of(self.domain, tensor)
        pointer.dataset = self.name
        pointer.description = self.description
        pointer.tags = self.tags
        return pointer


def pointer_of(domain: Home, tensor: TensorInfo) -> TensorPointer:
    """A pointer to an array of which only the public face is known.

    Raises:
        DtypeError: there is no such dtype.
    """
    meta = ArrayMeta(tensor.shape, dtype_named(tensor.dtype))
    return TensorPointer(domain, ObjectId(tensor.object_id), meta)


class SearchResults(Mapping[str, list[TensorPointer]]):
    """What a search found: a mapping from domain names to pointers.

    ``datasets`` has the same as datasets. ``partial`` is True when a peer that should have
    answered did not, or had more than it gave.
    """

    def __init__(self, datasets: Sequence[DatasetPointer], *, partial: bool) -> None:
        self.datasets = tuple(datasets)
        self.partial = partial
        self._by_domain: dict[str, list[TensorPointer]] = {}
        for dataset in datasets:
            self._by_domain.setdefault(self._key(dataset), []).extend(dataset.pointers)

    @override
    def __getitem__(self, domain: str) -> list[TensorPointer]:
        return self._by_domain[domain]

    @override
    def __iter__(self) -> Iterator[str]:
        return iter(self._by_domain)

    @override
    def __len__(self) -> int:
        return len(self._by_domain)

    @override
    def __repr__(self) -> str:
        note = " (partial)" if self.partial else ""
        return f"{self._by_domain!r}{note}"

    def _key(self, dataset: DatasetPointer) -> str:
        """The domain's name; with its peer id where two domains call themselves the same."""
        same = {d.domain.peer_id for d in self.datasets if d.domain.name == dataset.domain.name}
        peer = dataset.domain.peer_id
        return dataset.domain.name if len(same) == 1 else f"{dataset.domain.name}@{peer[-8:]}"


def require_names(what: str, names: str | Sequence[str]) -> tuple[str, ...]:
    """A tuple of names from one name or several.

    Raises:
        SchemaError: one of them is empty.
    """
    given = (names,) if isinstance(names, str) else tuple(names)
    for name in given:
        if not name:
            raise SchemaError(field=what, problem="expected names, got an empty one")
    return given


def require_peers(what: str, peers: str | Sequence[str]) -> tuple[str, ...]:
    """A tuple of peer ids from one or several.

    Raises:
        SchemaError: one of them is no peer id.
    """
    given = require_names(what, peers)
    for peer in given:
        try:
            public_key_of(PeerId(peer))
        except ValueError as error:
            raise SchemaError(field=what, problem=str(error)) from None
    return given
