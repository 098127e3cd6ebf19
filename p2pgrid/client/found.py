"""What a search found, as lists: datasets, their tensors, their schemas."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from typing_extensions import override

from p2pgrid.client.datasets import DatasetPointer, rows_of
from p2pgrid.client.listing import Listing
from p2pgrid.ids import DatasetId, PeerId
from p2pgrid.protocol.records import TensorInfo
from p2pgrid.protocol.schemas import DatasetSchema, SchemaId, TensorSchema

if TYPE_CHECKING:
    from p2pgrid.client.tables import Table

ROWS = ("train_rows", "dev_rows", "test_rows")
DATASET_COLUMNS = (
    *("name", "domain", "id", "upload-date", "version", "frameworks", *ROWS, "schema"),
    *("tags", "description", "private", "metadata"),
)
TENSOR_COLUMNS = ("name", "domain", "dataset", "version", "id", *ROWS, "schema")
SCHEMA_COLUMNS = ("name", "kind", "id", "columns", "datasets")


class DatasetList(Listing[DatasetPointer]):
    """Datasets, those of several domains together; prints as a table of their public metadata.

    By a name it gives the latest version, when one domain has datasets of this name.
    """

    what = "dataset"

    @property
    @override
    def table(self) -> "Table":
        names = labels(self)
        return _table([_dataset_row(d, names[d.domain.peer_id]) for d in self], DATASET_COLUMNS)

    @override
    def _places(self, name: str) -> list[int]:
        places = super()._places(name)
        latest = set(map(identity, latest_versions(self[place] for place in places)))
        return [place for place in places if identity(self[place]) in latest]


class FoundTensor(NamedTuple):
    """A tensor of a dataset: all its splits and columns."""

    dataset: DatasetPointer
    name: str
    arrays: tuple[TensorInfo, ...]
    """As which it is stored, at least one."""

    @property
    def id(self) -> str:
        """Of the first of its arrays, 32 hex characters."""
        return self.arrays[0].object_id.hex()

    @property
    def rows(self) -> dict[str, int]:
        """Of each split."""
        return rows_of(self.arrays)

    @property
    def schema(self) -> TensorSchema | None:
        """What its owner says is in it, if anything."""
        schema = self.dataset.schema
        return schema[self.name] if schema is not None and self.name in schema else None

    @property
    def pointer(self) -> Any:
        """A handle to its values in the train split; see ``DatasetPointer``."""
        return self.dataset[self.name]


class TensorList(Listing[FoundTensor]):
    """Tensors, with the datasets that they belong to."""

    what = "tensor"

    @property
    @override
    def table(self) -> "Table":
        names = labels(tensor.dataset for tensor in self)
        rows = [_tensor_row(t, names[t.dataset.domain.peer_id]) for t in self]
        return _table(rows, TENSOR_COLUMNS)


class FoundSchema(NamedTuple):
    """A schema, and the datasets that use it."""

    schema: DatasetSchema | TensorSchema
    datasets: tuple[DatasetPointer, ...]

    @property
    def name(self) -> str:
        """What its author called it; its id says whether two are the same."""
        return self.schema.name


class SchemaList(Listing[FoundSchema]):
    """Schemas of datasets, then of tensors, each once; the most used come first."""

    what = "schema"

    @property
    @override
    def table(self) -> "Table":
        return _table(list(map(_schema_row, self)), SCHEMA_COLUMNS)


def identity(dataset: DatasetPointer) -> tuple[PeerId, DatasetId]:
    """What tells datasets apart: names do not, and ids are the choice of their domains."""
    return dataset.domain.peer_id, dataset.record.dataset_id


def labels(datasets: Iterable[DatasetPointer]) -> dict[PeerId, str]:
    """A name for every domain: its own; where that is not clear, with the end of its peer id."""
    names = {dataset.domain.peer_id: dataset.domain.name for dataset in datasets}
    times = Counter(names.values())
    return {
        peer: name if times[name] == 1 and "@" not in name else f"{name}@{peer[-8:]}"
        for peer, name in names.items()
    }


def latest_versions(datasets: Iterable[DatasetPointer]) -> list[DatasetPointer]:
    """Of every name in every domain the dataset of the highest version, in the order given."""
    given = list(datasets)
    latest: dict[tuple[PeerId, str], DatasetPointer] = {}
    for dataset in given:
        known = latest.setdefault((dataset.domain.peer_id, dataset.name), dataset)
        if dataset.version > known.version:
            latest[dataset.domain.peer_id, dataset.name] = dataset
    kept = set(map(identity, latest.values()))
    return [dataset for dataset in given if identity(dataset) in kept]


def tensors_of(datasets: Iterable[DatasetPointer]) -> TensorList:
    """The tensors of all datasets; splits and columns of a tensor are one."""
    return TensorList(
        [
            FoundTensor(dataset, name, tuple(arrays))
            for dataset in datasets
            for name, arrays in _by_name(dataset.record.tensors).items()
        ]
    )


def _by_name(arrays: Iterable[TensorInfo]) -> dict[str, list[TensorInfo]]:
    named: dict[str, list[TensorInfo]] = {}
    for array in arrays:
        named.setdefault(array.name, []).append(array)
    return named


def schemas_of(datasets: Sequence[DatasetPointer]) -> SchemaList:
    """The schemas of datasets, and of their tensors."""
    described = [(dataset, dataset.schema) for dataset in datasets if dataset.schema is not None]
    whole = _users((schema, dataset) for dataset, schema in described)
    parts = _users((part, dataset) for dataset, schema in described for _, part in schema.tensors)
    return SchemaList((*whole, *parts))


S = TypeVar("S", DatasetSchema, TensorSchema)


def _users(uses: Iterable[tuple[S, DatasetPointer]]) -> list[FoundSchema]:
    """Each schema once, with each dataset that uses it once."""
    schemas: dict[SchemaId, S] = {}
    users: dict[SchemaId, dict[tuple[PeerId, DatasetId], DatasetPointer]] = {}
    for schema, dataset in uses:
        schemas.setdefault(schema.id, schema)
        users.setdefault(schema.id, {})[identity(dataset)] = dataset
    found = [FoundSchema(schemas[key], tuple(by.values())) for key, by in users.items()]
    return sorted(found, key=lambda each: -len(each.datasets))


def _dataset_row(dataset: DatasetPointer, domain: str) -> dict[str, object]:
    uploaded = dataset.uploaded
    return {
        "name": dataset.name,
        "domain": domain,
        "id": dataset.id,
        "upload-date": "" if uploaded is None else uploaded.date().isoformat(),
        "version": dataset.version,
        "frameworks": "/".join(dataset.frameworks),
        **_rows_by_column(dataset.rows),
        "schema": "" if dataset.schema is None else dataset.schema.name,
        "tags": " ".join(f"#{tag}" for tag in dataset.tags),
        "description": dataset.description,
        "private": dataset.private,
        "metadata": str(dataset.metadata),
    }


def _tensor_row(tensor: FoundTensor, domain: str) -> dict[str, object]:
    return {
        "name": tensor.name,
        "domain": domain,
        "dataset": tensor.dataset.name,
        "version": tensor.dataset.version,
        "id": tensor.id,
        **_rows_by_column(tensor.rows),
        "schema": "" if tensor.schema is None else tensor.schema.name,
    }


def _schema_row(found: FoundSchema) -> dict[str, object]:
    schema = found.schema
    is_whole = isinstance(schema, DatasetSchema)
    return {
        "name": schema.name,
        "kind": "dataset" if is_whole else "tensor",
        "id": schema.id,
        "columns": len(schema.rows) - 1,
        "datasets": len(found.datasets),
    }


def _rows_by_column(rows: dict[str, int]) -> dict[str, int]:
    return {f"{split}_rows": count for split, count in rows.items()}


def _table(rows: list[dict[str, object]], columns: Sequence[str]) -> "Table":
    from p2pgrid.client.tables import table  # noqa: PLC0415 pandas, which most programs spare

    return table(rows, columns, index="name")
