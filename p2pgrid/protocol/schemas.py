"""Schemas of tensors and datasets: what is in a column, the same wherever it is published.

Datasets of several places are meant to share a schema, so that one model can be trained on all. A
schema is therefore named by its content: ``schema.id`` is a hash of everything that it says. Two
domains that write down the same schema get the same id without having talked to each other; the
order of tensors does not matter, the order of columns and of labels does (they have numbers).

Descriptions and units are part of the content: a column in pounds is not the column in
kilograms, and only the description says so. Who wants one id shares one file.
"""

import hashlib
import math
from collections.abc import Iterator, Mapping
from typing import NewType, Self, TypeVar

import msgspec
from msgspec import Struct
from msgspec.structs import force_setattr
from typing_extensions import override

from p2pgrid.errors import RemoteProtocolError, SchemaError, TooLargeError
from p2pgrid.protocol.columns import MAX_CELL_SIZE, MAX_NAME, Column, Number
from p2pgrid.protocol.malformed import MALFORMED
from p2pgrid.protocol.text import cut_cells, html_table, one_line, plain_text, text_table

SchemaId = NewType("SchemaId", str)
"""64 hexadecimal digits: SHA-256 of a schema's content."""

SCHEMA_SEPARATION = b"p2pgrid/schema/1\0"
MAX_SCHEMA_BYTES = 64 * 1024
"""Encoded, of a whole dataset: it travels in messages and records."""
MAX_COLUMNS = 1024
MAX_TENSORS = 256
SPLITS = ("train", "dev", "test")
"""The parts of a dataset; all have its schema."""
HEADING = ("column", "type", "bounds", "unit", "description")


class TensorSchema(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A name, and columns in their order; prints as a table.

    Raises:
        SchemaError: no column, too many of them, or two of one name.
    """

    name: str
    columns: tuple[Column, ...]

    def __post_init__(self) -> None:
        """Checks the columns together."""
        name = plain_text("name of a tensor schema", self.name, least=1, most=MAX_NAME)
        force_setattr(self, "name", name)
        force_setattr(self, "columns", tuple(self.columns))
        field = f"columns of schema {name[:40]!r}"
        if not 1 <= len(self.columns) <= MAX_COLUMNS:
            problem = f"has {len(self.columns):,}; 1 to {MAX_COLUMNS:,} are allowed"
            raise SchemaError(field=field, problem=problem)
        if len({column.name for column in self.columns}) < len(self.columns):
            raise SchemaError(field=field, problem="a name comes twice")
        if self.row_size > MAX_CELL_SIZE:
            problem = f"a row has {self.row_size:,} numbers; {MAX_CELL_SIZE:,} are allowed"
            raise SchemaError(field=field, problem=problem)

    @property
    def id(self) -> SchemaId:
        """The hash of its content."""
        return _id_of(self)

    @property
    def row_size(self) -> int:
        """How many numbers a row has, in all columns."""
        return sum(math.prod(column.shape) for column in self.columns)

    @property
    def is_one_array(self) -> bool:
        """Whether one array holds all columns: they have one dtype, and numbers for cells.

        Its shape is (rows, columns); a single column may have cells of any shape.
        """
        first = self.columns[0]
        scalar = len(self.columns) == 1 or not any(column.shape for column in self.columns)
        return scalar and all(column.dtype == first.dtype for column in self.columns)

    @property
    def low(self) -> tuple[Number, ...]:
        """The smallest value of each column, in their order."""
        return tuple(column.low for column in self.columns)

    @property
    def high(self) -> tuple[Number, ...]:
        """The largest value of each column, in their order."""
        return tuple(column.high for column in self.columns)

    @property
    def rows(self) -> tuple[tuple[str, ...], ...]:
        """The schema as the rows of a table, in full."""
        return (HEADING, *map(_row_of, self.columns))

    @override
    def __repr__(self) -> str:
        return f"TensorSchema {self.name!r} ({self.id[:8]})\n{text_table(cut_cells(self.rows))}"

    def _repr_html_(self) -> str:
        return html_table(cut_cells(self.rows))


class DatasetSchema(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A name, and the schema of each tensor by its name; make it with ``DatasetSchema.of``.

    Raises:
        SchemaError: no tensor, too many of them, or two of one name.
    """

    name: str
    tensors: tuple[tuple[str, TensorSchema], ...]
    """Sorted by name."""

    def __post_init__(self) -> None:
        """Brings the tensors into their one order."""
        name = plain_text("name of a dataset schema", self.name, least=1, most=MAX_NAME)
        force_setattr(self, "name", name)
        field = f"tensors of schema {name[:40]!r}"
        if not 1 <= len(self.tensors) <= MAX_TENSORS:
            problem = f"has {len(self.tensors):,}; 1 to {MAX_TENSORS} are allowed"
            raise SchemaError(field=field, problem=problem)
        named = {
            plain_text("name of a tensor", key, least=1, most=MAX_NAME): schema
            for key, schema in self.tensors
        }
        if len(named) < len(self.tensors):
            raise SchemaError(field=field, problem="a name comes twice")
        force_setattr(self, "tensors", tuple(sorted(named.items())))

    @classmethod
    def of(cls, name: str, tensors: Mapping[str, TensorSchema]) -> Self:
        """The schema of a dataset with these tensors, in any order."""
        return cls(name, tuple(tensors.items()))

    @property
    def id(self) -> SchemaId:
        """The hash of its content."""
        return _id_of(self)

    def __getitem__(self, tensor: str) -> TensorSchema:
        for name, schema in self.tensors:
            if name == tensor:
                return schema
        raise KeyError(f"schema {self.name} has no tensor {tensor!r}; it has {', '.join(self)}")

    def __iter__(self) -> Iterator[str]:
        return (name for name, _ in self.tensors)

    def __len__(self) -> int:
        return len(self.tensors)

    @property
    def rows(self) -> tuple[tuple[str, ...], ...]:
        """The schema as the rows of a table, in full: a line per column of each tensor."""
        lines = ((name, *row) for name, schema in self.tensors for row in schema.rows[1:])
        return (("tensor", *HEADING), *lines)

    @override
    def __repr__(self) -> str:
        return f"DatasetSchema {self.name!r} ({self.id[:8]})\n{text_table(cut_cells(self.rows))}"

    def _repr_html_(self) -> str:
        return html_table(cut_cells(self.rows))


Schema = TensorSchema | DatasetSchema
S = TypeVar("S", bound=Schema)

_encoder = msgspec.msgpack.Encoder()
_tensor_schemas = msgspec.msgpack.Decoder(TensorSchema)
_dataset_schemas = msgspec.msgpack.Decoder(DatasetSchema)


def encode_schema(schema: Schema) -> bytes:
    """The schema as MessagePack; equal schemas give equal bytes.

    Raises:
        TooLargeError: more than ``MAX_SCHEMA_BYTES``.
    """
    encoded = _encoder.encode(schema)
    if len(encoded) > MAX_SCHEMA_BYTES:
        raise TooLargeError(what="bytes of a schema", size=len(encoded), limit=MAX_SCHEMA_BYTES)
    return encoded


def decode_tensor_schema(encoded: bytes) -> TensorSchema:
    """Reads what ``encode_schema`` wrote of a tensor's.

    Raises:
        RemoteProtocolError: these are not the bytes of a valid schema.
    """
    return _decode(encoded, _tensor_schemas)


def decode_dataset_schema(encoded: bytes) -> DatasetSchema:
    """Reads what ``encode_schema`` wrote of a dataset's.

    Raises:
        RemoteProtocolError: these are not the bytes of a valid schema.
    """
    return _decode(encoded, _dataset_schemas)


def _decode(encoded: bytes, decoder: "msgspec.msgpack.Decoder[S]") -> S:
    if len(encoded) > MAX_SCHEMA_BYTES:
        raise RemoteProtocolError(f"a schema has {len(encoded):,} bytes")
    try:
        return decoder.decode(encoded)
    except MALFORMED as error:
        raise RemoteProtocolError("a schema cannot be decoded") from error


def _id_of(schema: Schema) -> SchemaId:
    kind = type(schema).__name__.encode() + b"\0"
    return SchemaId(hashlib.sha256(SCHEMA_SEPARATION + kind + encode_schema(schema)).hexdigest())


def _row_of(column: Column) -> tuple[str, ...]:
    bounds = ", ".join(column.categories) if column.categories else column.bounds
    return (column.name, column.kind, bounds, column.unit, one_line(column.description))
