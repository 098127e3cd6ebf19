"""Datasets of several domains that have one schema, taken as one."""

from collections.abc import Callable, Iterable, Sequence
from typing import Generic, Protocol, TypeVar

from typing_extensions import override

from p2pgrid.errors import SchemaError
from p2pgrid.protocol.conformance import require_same
from p2pgrid.protocol.schemas import DatasetSchema, SchemaId


class Member(Protocol):
    """A dataset, or a handle to one in another domain."""

    @property
    def name(self) -> str:
        """What its owner calls it."""

    @property
    def schema(self) -> DatasetSchema | None:
        """What its owner says is in it, if anything."""


M = TypeVar("M", bound=Member)
R = TypeVar("R")


class DistributedDataset(Generic[M]):
    """At least one dataset, and all of them have the same schema; the data stay where they are.

    Trust: that the schemas are equal is certain, they are compared. That the data are what their
    schema says is each owner's word.
    """

    def __init__(self, datasets: Sequence[M]) -> None:
        """Takes datasets of one schema together.

        Raises:
            SchemaError: there is none, or one has no schema.
            SchemaMismatchError: one has another schema than the first; names what differs.
        """
        if not datasets:
            raise SchemaError(field="datasets", problem="expected at least one")
        self.schema = _schema_of(datasets[0])
        for other in datasets[1:]:
            require_same(self.schema, _schema_of(other), where=f"dataset {other.name!r}")
        self.datasets = tuple(datasets)

    def joined_by(self, dataset: M) -> "DistributedDataset[M]":
        """These and one more.

        Raises:
            SchemaMismatchError: it has another schema; names what differs.
        """
        return DistributedDataset((*self.datasets, dataset))

    def map(self, function: Callable[[M], R]) -> tuple[R, ...]:
        """What the function gives for each dataset, in their order.

        Operations on pointers do not wait, so all domains work at the same time when the function
        gives pointers back.
        """
        return tuple(function(dataset) for dataset in self.datasets)

    def __len__(self) -> int:
        return len(self.datasets)

    @override
    def __repr__(self) -> str:
        names = ", ".join(dataset.name for dataset in self.datasets)
        return f"<DistributedDataset of schema {self.schema.name!r}: {names}>"


def group_by_schema(datasets: Iterable[M]) -> tuple[DistributedDataset[M], ...]:
    """Every dataset that has a schema in the group of that; in the order of schemas."""
    groups: dict[SchemaId, list[M]] = {}
    for dataset in datasets:
        if dataset.schema is not None:
            groups.setdefault(dataset.schema.id, []).append(dataset)
    return tuple(map(DistributedDataset, groups.values()))


def _schema_of(dataset: Member) -> DatasetSchema:
    if dataset.schema is None:
        problem = "was published without a schema, so nothing tells what it has in common"
        raise SchemaError(field=f"dataset {dataset.name!r}", problem=problem)
    return dataset.schema
