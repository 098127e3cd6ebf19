"""Datasets as a scientist sees them: public metadata, and a pointer per tensor."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
from typing_extensions import override

from p2pgrid.client.actor_pointer import store_of
from p2pgrid.client.display import Display, Displayed, hashed
from p2pgrid.client.home import Home
from p2pgrid.client.private_parts import PrivateParts
from p2pgrid.client.sharing import Grantable, Shareable
from p2pgrid.client.splits import names_in, pointer_in, splits_of
from p2pgrid.client.table_pointer import TablePointer
from p2pgrid.errors import SchemaError
from p2pgrid.ids import PeerId, public_key_of, short
from p2pgrid.protocol.budgets import UserBudget
from p2pgrid.protocol.metadata import Metadata
from p2pgrid.protocol.records import DatasetRecord, TensorInfo
from p2pgrid.protocol.schemas import SPLITS, DatasetSchema

END_OF_TIME_S = datetime(9999, 1, 1, tzinfo=UTC).timestamp()
"""Later times, which only a broken clock gives, are no dates."""


class DatasetPointer(Displayed, Mapping[str, Any], Shareable):
    """A version of a dataset of a domain: a mapping from the names of its tensors to pointers.

    A tensor is a ``TensorPointer``, or a ``TablePointer`` where its columns have different dtypes;
    those of other splits than train are in ``split``.
    """

    def __init__(self, domain: Home, record: DatasetRecord) -> None:
        self.domain = domain
        self._record = record

    @property
    def record(self) -> DatasetRecord:
        """All that its domain says of it in public, as it was signed."""
        return self._record

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
    def version(self) -> int:
        """Of the versions of one name in its domain, from 1; the highest is the latest."""
        return self._record.version

    @property
    def uploaded(self) -> datetime | None:
        """When it was published, in UTC, by the domain's clock; None if the domain does not say."""
        at_s = self._record.uploaded
        return datetime.fromtimestamp(at_s, UTC) if 0 < at_s < END_OF_TIME_S else None

    @property
    def schema(self) -> DatasetSchema | None:
        """What its owner says is in it; None for one that was published without."""
        return self._record.schema

    @property
    def metadata(self) -> Metadata:
        """What else its owner says of it."""
        return dict(self._record.metadata)

    @property
    def frameworks(self) -> tuple[str, ...]:
        """The libraries that its domain can convert it to, such as ``("NP", "PD")``."""
        return self._record.frameworks

    @property
    def rows(self) -> dict[str, int]:
        """For each of ``SPLITS`` the rows of its longest tensor; 0 where there is none."""
        return rows_of(self._record.tensors)

    @property
    def worst_case_user_budget(self) -> UserBudget | None:
        """The privacy budget of the entity that has the least; None where nobody set any."""
        return self._record.worst_case_user_budget

    @property
    def private(self) -> bool:
        """Whether its values are private, as its owner says."""
        return self._record.private

    @property
    def splits(self) -> tuple[str, ...]:
        """Which splits there are: train, and perhaps dev and test."""
        return splits_of(self._record)

    @property
    def tensors(self) -> dict[str, Any]:
        """Pointers to the tensors of the train split by name."""
        return self.split("train")

    def split(self, name: str) -> dict[str, Any]:
        """Pointers to the tensors of a split by name.

        Raises:
            KeyError: there is no such split; the error lists those that there are.
            SchemaMismatchError: the domain's record contradicts itself.
        """
        for split in (tensor.split for tensor in self._record.tensors):
            if split == name:
                names = names_in(self._record, split)
                return {it: pointer_in(self.domain, self._record, split, it) for it in names}
        raise KeyError(f"{self.name} has no split {name!r}; it has {', '.join(self.splits)}")

    @property
    def raw(self) -> bytes | None:
        """What the owner made the tensors of, such as the bytes of a file; None: not kept.

        Raises:
            GetNotPermittedError: only owners may have it.
        """
        return PrivateParts(self.domain, self._record).raw()

    @property
    def pointers(self) -> tuple[Any, ...]:
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
    def __getitem__(self, name: str) -> Any:
        return pointer_in(self.domain, self._record, "train", name)

    @override
    def __iter__(self) -> Iterator[str]:
        return iter(names_in(self._record, "train"))

    @override
    def __len__(self) -> int:
        return len(names_in(self._record, "train"))

    @override
    def _display(self) -> Display:
        rows = ", ".join(f"{split} {count:,}" for split, count in self.rows.items() if count)
        facts = (
            ("version", str(self.version)),
            ("tensors", ", ".join(self)),
            ("rows", rows),
            ("schema", "" if self.schema is None else self.schema.name),
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


def rows_of(tensors: Iterable[TensorInfo]) -> dict[str, int]:
    """For each of ``SPLITS`` the rows of the longest array; 0 where there is none."""
    rows = dict.fromkeys(SPLITS, 0)
    for tensor in tensors:
        length = tensor.shape[0] if tensor.shape else 1
        rows[tensor.split] = max(rows[tensor.split], length)
    return rows


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
