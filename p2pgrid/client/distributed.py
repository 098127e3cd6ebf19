"""Datasets of several domains that have one schema, taken as one."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, Protocol, TypeVar

from typing_extensions import override

from p2pgrid.client.display import Display, Displayed
from p2pgrid.client.home import Home
from p2pgrid.errors import SchemaError, SchemaMismatchError
from p2pgrid.protocol.conformance import require_same
from p2pgrid.protocol.schemas import DatasetSchema, SchemaId

MAX_THREADS = 32
"""Domains that one ``map`` asks at the same time."""


class Member(Protocol):
    """A handle to a dataset; ``DatasetPointer`` is one."""

    @property
    def domain(self) -> Home:
        """Where it is."""

    @property
    def name(self) -> str:
        """What its owner calls it."""

    @property
    def schema(self) -> DatasetSchema | None:
        """What its owner says is in it; None: nothing."""


M = TypeVar("M", bound=Member)
R = TypeVar("R")


class DomainResults(Displayed, Mapping[str, R]):
    """What a function gave for each member, by the name of its domain, in the members' order.

    A domain where it failed hides no other: ``errors`` has its error, ``succeeded`` what the others
    gave, and only asking for the result of that domain raises.
    """

    def __init__(self, futures: Mapping[str, "Future[R]"]) -> None:
        """Takes what has ended; an error learns the name of its domain."""
        self._futures = dict(futures)
        for domain, error in self.errors.items():
            error.add_note(f"(at the domain {domain})")

    @property
    def errors(self) -> dict[str, BaseException]:
        """Why it failed, by domain; empty when it did nowhere."""
        ended = {domain: future.exception() for domain, future in self._futures.items()}
        return {domain: error for domain, error in ended.items() if error is not None}

    @property
    def succeeded(self) -> dict[str, R]:
        """The results of the domains where it did not fail."""
        failed = self.errors
        return {domain: self[domain] for domain in self if domain not in failed}

    @override
    def __getitem__(self, domain: str) -> R:
        return self._futures[domain].result()

    @override
    def __iter__(self) -> Iterator[str]:
        return iter(self._futures)

    @override
    def __len__(self) -> int:
        return len(self._futures)

    @override
    def _display(self) -> Display:
        failed = "".join(f"; {name} failed: {error!r}" for name, error in self.errors.items())
        return Display(f"DomainResults of {', '.join(self)}{failed}")


class DistributedDataset(Displayed, Generic[M]):
    """At least one dataset, and all of them have the same schema; the data stay where they are.

    Trust: that the schemas are equal is certain, they are compared. That the data are what their
    schema says is each owner's word.
    """

    def __init__(self, datasets: Sequence[M]) -> None:
        """Takes datasets of one schema together.

        Raises:
            SchemaError: there is none, or the first has no schema.
            SchemaMismatchError: one has another schema than the first; names what differs first.
        """
        if not datasets:
            raise SchemaError(field="datasets", problem="expected at least one")
        schema = datasets[0].schema
        if schema is None:
            problem = "was published without one; only datasets of one schema go together"
            raise SchemaError(field=f"schema of dataset {datasets[0].name!r}", problem=problem)
        for other in datasets[1:]:
            _require_same_schema(schema, other)
        self.schema = schema
        self.datasets = tuple(datasets)
        """A handle per dataset."""

    def map(self, function: Callable[[M], R]) -> DomainResults[R]:
        """Calls a function with each dataset, all at the same time, each in a thread of its own.

        Args:
            function: gets the handle; what it gives may be anything, such as a pointer or a value
                that it took home.

        Returns:
            By domain what it gave or raised; waits for all. Where several have one name, all
            names begin with the number of the dataset: ``"0 ucsf"``, ``"1 ucsf"``.
        """
        with ThreadPoolExecutor(min(len(self), MAX_THREADS)) as threads:
            futures = [threads.submit(function, dataset) for dataset in self.datasets]
        return DomainResults(dict(zip(_names(self.datasets), futures, strict=True)))

    def __len__(self) -> int:
        return len(self.datasets)

    @override
    def _display(self) -> Display:
        names = ", ".join(_names(self.datasets))
        return Display(f"DistributedDataset of schema {self.schema.name!r} at {names}")


def group_by_schema(datasets: Iterable[M]) -> tuple[DistributedDataset[M], ...]:
    """Every dataset that has a schema, in the group of it; in the order in which these come first.

    Groups are equal exactly where schemas' ids are, whatever domains call their datasets.
    """
    groups: dict[SchemaId, list[M]] = {}
    for dataset in datasets:
        if dataset.schema is not None:
            groups.setdefault(dataset.schema.id, []).append(dataset)
    return tuple(map(DistributedDataset, groups.values()))


def _require_same_schema(expected: DatasetSchema, member: Member) -> None:
    where = f"dataset {member.name!r} at {member.domain.name}"
    if member.schema is None:
        raise SchemaMismatchError(
            where=where, column="the schema", found="not given", expected=repr(expected.name)
        )
    require_same(expected, member.schema, where=where)


def _names(datasets: Sequence[Member]) -> list[str]:
    """A name for each dataset, no two the same: that of its domain, all numbered if need be.

    Domains choose their names, so one that takes another's must not take its place.
    """
    names = [dataset.domain.name for dataset in datasets]
    if len(set(names)) == len(names):
        return names
    return [f"{number} {name}" for number, name in enumerate(names)]
