"""How much a search found, in five numbers."""

from collections.abc import Iterable
from typing import Annotated

import msgspec

from p2pgrid.protocol.records import DatasetRecord

_Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]


class Counts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Numbers of datasets, of what is in them, and of what they have in common.

    ``distributed_datasets`` are groups of at least one dataset with one schema; datasets without
    a schema are in none. Versions of a dataset count as datasets. ``tensors`` are counted by
    their names in each dataset, whatever arrays they are stored as. Schemas count once, by id.
    """

    distributed_datasets: _Count = 0
    datasets: _Count = 0
    tensors: _Count = 0
    dataset_schemas: _Count = 0
    tensor_schemas: _Count = 0


def counts_of(records: Iterable[DatasetRecord]) -> Counts:
    """The counts of these datasets, from what their domains say of them."""
    datasets = list(records)
    schemas = {record.schema.id: record.schema for record in datasets if record.schema is not None}
    of_tensors = {of.id for schema in schemas.values() for _, of in schema.tensors}
    return Counts(
        distributed_datasets=len(schemas),
        datasets=len(datasets),
        tensors=sum(map(tensor_count, datasets)),
        dataset_schemas=len(schemas),
        tensor_schemas=len(of_tensors),
    )


def tensor_count(record: DatasetRecord) -> int:
    """How many tensors a dataset has."""
    return len({tensor.name for tensor in record.tensors})
