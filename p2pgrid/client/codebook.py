"""Code books: what the columns of a file mean, and what of them may be public.

A code book is a TOML file that an owner writes, and can share with other owners who have data of
the same kind: the part about columns makes the schema, so a shared part makes a shared schema. TOML
because it has comments, types and order, and Python reads it.

Rule 1: nothing is published by accident. Every column of the file is in the book; what is not to
be published says ``drop = true``.
Rule 2: bounds are in the book. They are never looked for in the file.
"""

import math

import msgspec
from msgspec import Struct

from p2pgrid.errors import SchemaError
from p2pgrid.protocol.budgets import UserBudget
from p2pgrid.protocol.columns import Column, Number
from p2pgrid.protocol.metadata import Metadata
from p2pgrid.protocol.schemas import DatasetSchema, TensorSchema

MAX_BOOK = 1 << 18
"""Characters; TOML is read slowly, by Python itself."""
TENSOR = "data"


class Entry(Struct, frozen=True, forbid_unknown_fields=True):
    """One column of the file."""

    drop: bool = False
    """Leave it out."""
    type: str = ""
    low: Number | None = None
    high: Number | None = None
    categories: tuple[str, ...] = ()
    description: str = ""
    unit: str = ""
    name: str = ""
    """What the public calls it; default: as in the file."""
    tensor: str = TENSOR
    """Of which tensor it becomes a column."""
    missing: Number | str | None = None
    """A public value (or label) for cells that hold none."""

    def column(self, name: str) -> Column:
        """The column that the public sees.

        Raises:
            SchemaError: a bound or something else is not there, or not what it should be.
        """
        if not self.type:
            problem = f"column {name!r} needs a type and bounds, or drop = true"
            raise SchemaError(field="code book", problem=problem)
        return Column(
            self.name or name,
            self.type,
            low=math.nan if self.low is None else self.low,
            high=math.nan if self.high is None else self.high,
            categories=self.categories,
            description=self.description,
            unit=self.unit,
        )


class CodeBook(Struct, frozen=True, forbid_unknown_fields=True):
    """A dataset to be, and the columns of its file by their names there."""

    name: str
    schema: str
    """The name of the schema; the same wherever the schema is shared."""
    description: str
    tags: tuple[str, ...]
    columns: dict[str, Entry]
    entity: str | None = None
    """The column that says whose a row is, which is published only if it has an entry; default:
    every row is somebody else's."""
    metadata: Metadata = {}
    budget: UserBudget = UserBudget()
    """Of every entity; the default allows nothing."""

    def __post_init__(self) -> None:
        """Checks what concerns several keys."""
        for name, entry in self.columns.items():
            if entry.drop and entry != Entry(drop=True):
                problem = f"column {name!r} is dropped, so it can have no other key"
                raise SchemaError(field="code book", problem=problem)

    @property
    def published(self) -> dict[str, Entry]:
        """The columns that are not dropped."""
        return {name: entry for name, entry in self.columns.items() if not entry.drop}

    @property
    def dropped(self) -> tuple[str, ...]:
        """The columns that are left out."""
        return tuple(name for name, entry in self.columns.items() if entry.drop)

    @property
    def needed(self) -> tuple[str, ...]:
        """The columns that the file has to have."""
        return tuple(dict.fromkeys([*self.published, *([self.entity] if self.entity else [])]))

    @property
    def unread(self) -> tuple[str, ...]:
        """The columns that the file may have, and of which nothing is read."""
        return tuple(name for name in self.dropped if name != self.entity)

    def dataset_schema(self) -> DatasetSchema:
        """The schema that the published columns make; their order is the book's.

        Raises:
            SchemaError: an entry makes no column, or none is left.
        """
        tensors: dict[str, list[Column]] = {}
        for name, entry in self.published.items():
            tensors.setdefault(entry.tensor, []).append(entry.column(name))
        schemas = {name: TensorSchema(name, tuple(columns)) for name, columns in tensors.items()}
        return DatasetSchema.of(self.schema, schemas)


def read_code_book(text: str | bytes) -> CodeBook:
    """The code book that a TOML text holds; bytes are UTF-8.

    Raises:
        SchemaError: it is no TOML, a key is missing or unknown, or a value is of another type; the
            error says where.
    """
    if len(text) > MAX_BOOK:
        problem = f"has {len(text):,} characters; {MAX_BOOK:,} are allowed"
        raise SchemaError(field="code book", problem=problem)
    try:
        return msgspec.toml.decode(text, type=CodeBook)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise SchemaError(field="code book", problem=str(error)) from error
