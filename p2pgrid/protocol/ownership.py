"""Which entity each row belongs to.

The entities of a dataset have numbers, 0 to ``entities - 1``; each split maps its rows to them. An
entity may have many rows, in several splits; every entity has at least one, so that the number of
entities tells nothing beyond the data. The keys by which an owner knows them (patient numbers)
stay with the owner: they are given back beside the map and are in nothing that is sent.

Trust: the map is as private as the data. How many rows an entity has, and where, can give it away;
only ``rows`` is public.
"""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from typing_extensions import override

from p2pgrid.errors import SchemaError, SourceError
from p2pgrid.protocol.arrays import Array

MAX_ENTITIES = 2**31 - 1

Key = int | str


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Ownership:
    """The entity of each row of one split; make it with one of the functions below.

    ``owners`` has shape (rows,) and the smallest unsigned dtype that holds the numbers; None when
    each row is an entity of its own: then row ``i`` belongs to entity ``first + i``.
    """

    rows: int
    entities: int
    """Of the whole dataset; some may have no row in this split."""
    owners: Array | None = None
    first: int = 0

    @override
    def __repr__(self) -> str:
        return f"<Ownership of {self.rows} rows>"

    def index(self) -> NDArray[np.int32]:
        """The number of the entity of each row; int32, shape (rows,)."""
        if self.owners is None:
            return np.arange(self.first, self.first + self.rows, dtype=np.int32)
        return self.owners.astype(np.int32)

    def counts(self) -> NDArray[np.int64]:
        """How many rows each entity has in this split; int64, shape (entities,). Private."""
        return np.bincount(self.index(), minlength=self.entities)


class Keyed(NamedTuple):
    """A map made of keys: ``keys[n]`` is how the owner knows entity ``n``. Private."""

    splits: dict[str, Ownership]
    keys: tuple[Key, ...]

    @override
    def __repr__(self) -> str:
        return f"<Keyed {self.splits}>"


def one_entity_per_row(rows: Mapping[str, int]) -> dict[str, Ownership]:
    """Every row is an entity of its own, in all splits.

    Args:
        rows: how many rows each split has.
    """
    _require_few(sum(rows.values()))
    starts = accumulate(rows.values(), initial=0)
    total = sum(rows.values())
    return {
        split: Ownership(rows=count, entities=total, first=first)
        for (split, count), first in zip(rows.items(), starts, strict=False)
    }


def by_key(column: str, keys: Mapping[str, ArrayLike]) -> Keyed:
    """The map from a column that says whose each row is.

    Args:
        column: its name, for errors.
        keys: for each split whole numbers or texts of shape (rows,). Equal keys are one entity,
            in all splits.

    Raises:
        SourceError: a row has no key, or keys are something else, or of two types.
    """
    numbers: dict[Key, int] = {}
    kinds: set[type] = set()
    found = {}
    for split, given in keys.items():
        values = np.asarray(given).tolist()
        _require_keys(column, values)
        kinds.update(map(type, values))
        found[split] = np.array([numbers.setdefault(key, len(numbers)) for key in values], np.int64)
    if len(kinds) > 1:
        raise SourceError(source=f"column {column!r}", problem="holds numbers and texts; use one")
    _require_few(len(numbers))
    return Keyed(
        {split: _mapped(array, len(numbers)) for split, array in found.items()}, tuple(numbers)
    )


def _require_keys(column: str, values: list[Hashable]) -> None:
    missing = [row for row, key in enumerate(values) if key is None or key != key]  # noqa: PLR0124 NaN
    if missing:
        problem = (
            f"{len(missing):,} of {len(values):,} rows belong to nobody, the first is row "
            f"{missing[0]:,} (from 0); give each a key, one of its own where nobody knows whose"
        )
        raise SourceError(source=f"column {column!r}", problem=problem)
    if any(type(key) not in {int, str} for key in values):
        problem = "says whose the rows are, with whole numbers or texts and nothing else"
        raise SourceError(source=f"column {column!r}", problem=problem)


def _mapped(owners: Array, entities: int) -> Ownership:
    compact = owners.astype(np.min_scalar_type(max(entities - 1, 0)))
    compact.flags.writeable = False
    return Ownership(rows=len(compact), entities=entities, owners=compact)


def _require_few(entities: int) -> None:
    if entities > MAX_ENTITIES:
        problem = f"{entities:,} entities; at most {MAX_ENTITIES:,} are allowed"
        raise SchemaError(field="owners", problem=problem)
