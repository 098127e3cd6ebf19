"""What a dataset has besides its tensors, for owners: what it was made of, and whose rows are."""

from typing import NoReturn

import numpy as np

from p2pgrid.client.home import Home
from p2pgrid.client.transfers import Wishes
from p2pgrid.errors import (
    AuthenticationError,
    CapabilityError,
    GetNotPermittedError,
    NoKeyError,
    PermissionDeniedError,
)
from p2pgrid.ids import DatasetId, ObjectId, short
from p2pgrid.net.calls import ask
from p2pgrid.protocol.arrays import Array, dtype_named
from p2pgrid.protocol.entity_table import EntityTable, decode_entities
from p2pgrid.protocol.messages import ListParts, Part, PartKind, Parts
from p2pgrid.protocol.operations import ArrayMeta
from p2pgrid.protocol.records import DatasetRecord, Split
from p2pgrid.protocol.schemas import SPLITS

DENIED = (AuthenticationError, CapabilityError, NoKeyError, PermissionDeniedError)
"""Who meets one of these is no owner, or nobody the domain knows."""


class PrivateParts:
    """The private parts of one dataset; each is asked for when it is read."""

    def __init__(self, domain: Home, record: DatasetRecord) -> None:
        self._domain, self._record = domain, record

    def raw(self) -> bytes | None:
        """What the tensors were made of; None if the owner kept it to herself.

        Raises:
            GetNotPermittedError: only owners may have it.
        """
        found = self._read("raw")
        return None if found is None else found.tobytes()

    def entities(self) -> EntityTable:
        """Everybody whom the dataset is about, by number: public id and budget.

        Raises:
            GetNotPermittedError: only owners may have it.
        """
        found = self._read("entities")
        return decode_entities(b"" if found is None else found.tobytes())

    def owners(self, split: Split) -> Array:
        """The number of the entity of each row of a split; shape (rows,).

        Raises:
            GetNotPermittedError: only owners may have it.
        """
        found = self._read("owners", split)
        if found is not None:
            return found
        rows = dict.fromkeys(SPLITS, 0)
        rows |= {tensor.split: tensor.shape[0] for tensor in self._record.tensors}
        first = sum(rows[earlier] for earlier in SPLITS[: SPLITS.index(split)])
        return np.arange(first, first + rows[split])

    def _read(self, kind: PartKind, split: Split = "train") -> Array | None:
        for part in self._list():
            if (part.kind, part.split) == (kind, split):
                return self._values(part)
        return None

    def _list(self) -> tuple[Part, ...]:
        dataset_id = DatasetId(self._record.dataset_id)
        try:
            self._domain.login()
            return ask(self._domain.link(), ListParts(dataset_id), Parts).parts
        except DENIED as error:
            deny(f"what is private of {short(dataset_id)}", self._domain, error)

    def _values(self, part: Part) -> Array:
        meta = ArrayMeta(part.header.shape, dtype_named(part.header.dtype))
        return self._domain.get(
            ObjectId(part.object_id), meta, needed=(), user=None, to=None, wishes=Wishes()
        )


def deny(what: str, domain: Home, cause: Exception) -> NoReturn:
    """Says that values stay where they are.

    Raises:
        GetNotPermittedError: always.
    """
    raise GetNotPermittedError(object_id=what, domain=domain.name) from cause
