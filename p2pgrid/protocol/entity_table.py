"""The entities of a published dataset, as a domain keeps them for what limits releases.

Trust: who has which number is private, so the table and the map of rows are for owners only.
"""

from collections.abc import Iterator
from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta, Struct
from numpy.typing import NDArray

from p2pgrid.errors import RemoteProtocolError, SchemaError
from p2pgrid.protocol.budgets import ENTITY_ID_BYTES, Entity, EntityId, UserBudget, worst_case
from p2pgrid.protocol.entity_ids import entity_ids
from p2pgrid.protocol.malformed import MALFORMED
from p2pgrid.protocol.ownership import MAX_ENTITIES

MAX_EXCEPTIONS = 1_000_000
SEED_BYTES = 32

Number = Annotated[int, Meta(ge=0, lt=MAX_ENTITIES)]


class EntityTable(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Every entity by its number: its public id and its budget.

    Ids are given, or follow from a ``seed``: those of rows without owners need no room.

    Raises:
        SchemaError: ids of another length, one that comes twice, or a budget for nobody.
    """

    count: Annotated[int, Meta(ge=0, le=MAX_ENTITIES)]
    budget: UserBudget
    """Of every entity but the exceptions."""
    exceptions: Annotated[
        tuple[tuple[Number, UserBudget], ...], Meta(max_length=MAX_EXCEPTIONS)
    ] = ()
    seed: Annotated[bytes, Meta(max_length=SEED_BYTES)] = b""
    uids: bytes = b""
    """One after the other, 16 bytes each; empty if there is a seed."""

    def __post_init__(self) -> None:
        """Checks that the numbers have one meaning."""
        expected = (SEED_BYTES, 0) if self.seed else (0, self.count * ENTITY_ID_BYTES)
        if (len(self.seed), len(self.uids)) != expected:
            problem = f"have {len(self.uids):,} bytes for {self.count:,}"
            raise SchemaError(field="uids of entities", problem=problem)
        if _has_twice(np.frombuffer(self.uids, "<u8").reshape(-1, ENTITY_ID_BYTES // 8)):
            raise SchemaError(field="uids of entities", problem="one comes twice")
        numbers = [number for number, _ in self.exceptions]
        if len(set(numbers)) < len(numbers) or any(number >= self.count for number in numbers):
            raise SchemaError(field="budgets of entities", problem="one is for nobody, or twice")

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[Entity]:
        others = dict(self.exceptions)
        return (
            Entity(self.uid(number), others.get(number, self.budget)) for number in range(len(self))
        )

    def uid(self, number: int) -> EntityId:
        """The public id of an entity."""
        if self.seed:
            return EntityId(entity_ids([number], self.seed))
        return EntityId(self.uids[number * ENTITY_ID_BYTES : (number + 1) * ENTITY_ID_BYTES])

    def worst_case(self, present: NDArray[np.bool_]) -> UserBudget:
        """The worst of the budgets of those who are ``present``; True or False by number.

        Raises:
            SchemaError: nobody is.
        """
        others = [budget for number, budget in self.exceptions if present[number]]
        usual = int(present.sum()) > len(others)
        return worst_case([*others, *([self.budget] if usual else [])])


def _has_twice(ids: NDArray[np.uint64]) -> bool:
    """Whether two rows of shape (entities, words) are equal."""
    ordered = ids[np.lexsort(ids.T)]
    return bool((ordered[1:] == ordered[:-1]).all(axis=1).any())


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(EntityTable)


def encode_entities(table: EntityTable) -> bytes:
    """The table as MessagePack."""
    return _encoder.encode(table)


def decode_entities(encoded: bytes) -> EntityTable:
    """Reads what ``encode_entities`` wrote.

    Raises:
        RemoteProtocolError: these are not the bytes of a valid table.
    """
    try:
        return _decoder.decode(encoded)
    except MALFORMED as error:
        raise RemoteProtocolError("a table of entities cannot be decoded") from error
