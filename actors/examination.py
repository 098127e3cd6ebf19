"""Values that came to a domain, held against the schema that is said of them.

The publisher checked them already, but may be mistaken, or somebody's program. This runs in the
store's process, on files that nothing names yet; what it raises is for the publisher alone.
"""

import math
from collections import Counter
from collections.abc import Callable

import numpy as np

from actors.ports import DatasetEntry, TensorEntry
from p2pgrid.errors import RemoteProtocolError, SchemaError, UnfitValuesError
from p2pgrid.ids import ObjectId
from p2pgrid.protocol.arrays import Array
from p2pgrid.protocol.budgets import UserBudget
from p2pgrid.protocol.columns import Column
from p2pgrid.protocol.entity_table import EntityTable, decode_entities
from p2pgrid.protocol.schemas import DatasetSchema
from p2pgrid.protocol.storage import columns_in

BLOCK = 1 << 20
"""Numbers that are looked at together: so many bytes are needed for what is compared."""

Read = Callable[[ObjectId], Array]


def examine(entry: DatasetEntry, read: Read) -> UserBudget:
    """Checks the values of a dataset, and whose its rows are.

    Args:
        entry: whose arrays have the dtypes and shapes of its schema.
        read: an array by its id.

    Returns:
        The worst of the budgets of those who have a row.

    Raises:
        UnfitValuesError: a value lies outside of its column's bounds, or rows have no entities.
    """
    if entry.schema is None:
        raise RemoteProtocolError("without a schema there is nothing to hold values against")
    for tensor in entry.tensors:
        _require_inside(tensor, read(tensor.object_id), entry.schema)
    entities, used = _entities_of(entry, read), _used(entry, read)
    if not np.array_equal(used, np.arange(len(entities))):
        raise _unfit_entities(f"there are {len(entities):,}, and each has to have a row")
    try:
        return entities.worst_case(np.ones(len(entities), np.bool_))
    except SchemaError:
        raise _unfit_entities("there is none, as no split has a row") from None


def _require_inside(tensor: TensorEntry, array: Array, schema: DatasetSchema) -> None:
    rows = max(1, BLOCK // max(1, array[:1].size))
    outside: Counter[Column] = Counter()
    for start in range(0, len(array), rows):
        block = array[start : start + rows]
        for column, values in columns_in(block, tensor.column, schema[tensor.name]):
            outside[column] += _count_outside(values, column)
    for column, count in outside.items():
        if count:
            total = len(array) * math.prod(column.shape)
            raise UnfitValuesError(
                what=f"{tensor.split} split, tensor {tensor.name!r}, column {column.name!r}",
                problem=(
                    f"{count:,} of {total:,} values lie outside {column.bounds}, or are no numbers"
                ),
            )


def _count_outside(values: Array, column: Column) -> int:
    """How many values the column cannot have, NaN among them."""
    if values.dtype.kind == "b":
        values = values.view(np.uint8)  # what numpy takes for a truth value may be any byte
    return values.size - int(np.count_nonzero((values >= column.low) & (values <= column.high)))


def _entities_of(entry: DatasetEntry, read: Read) -> EntityTable:
    (part,) = (part for part in entry.parts if part.kind == "entities")
    try:
        return decode_entities(read(part.object_id).tobytes())
    except RemoteProtocolError:
        raise _unfit_entities("their table cannot be read") from None


def _used(entry: DatasetEntry, read: Read) -> Array:
    """The numbers of the entities that have a row, in order."""
    owners = [np.unique(read(part.object_id)) for part in entry.parts if part.kind == "owners"]
    if owners:
        return np.unique(np.concatenate(owners))
    rows = {tensor.split: tensor.shape[0] for tensor in entry.tensors}
    return np.arange(sum(rows.values()))


def _unfit_entities(problem: str) -> UnfitValuesError:
    return UnfitValuesError(what="entities", problem=problem)
