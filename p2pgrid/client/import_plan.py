"""Importing a file: first a plan that shows exactly what will be public, then, perhaps, the deed.

Making a plan sends nothing. It reads and converts all values, so that what it shows can be
published as it stands.
"""

from collections.abc import Mapping
from typing import NamedTuple

from typing_extensions import override

from p2pgrid.client.cells import Cells
from p2pgrid.client.codebook import CodeBook
from p2pgrid.client.dataset_model import Dataset, prepare_dataset
from p2pgrid.client.public_dataset import PublicDataset
from p2pgrid.errors import SourceError
from p2pgrid.protocol.arrays import Array
from p2pgrid.protocol.columns import Number
from p2pgrid.protocol.text import text_table

Table = Mapping[str, Cells]
"""The columns of a file by name; see ``read_file``. Those that are dropped need not be there."""


class ImportPlan(NamedTuple):
    """A dataset that is ready to be published; prints what will be public, and what will not."""

    dataset: Dataset
    public: PublicDataset
    dropped: tuple[str, ...]
    """Columns of the file that are left out."""
    entity: str | None
    """The column that says whose a row is."""
    stand_ins: Mapping[str, str]
    """By column, what is put where a cell has no value."""

    @property
    def described(self) -> dict[str, object]:
        """What it prints, for programs."""
        heading, *rows = self.public.schema.rows
        return {
            "public": dict(self.public.fields[1:]),
            "columns": [dict(zip(heading, row, strict=True)) for row in rows],
            "dropped": self.dropped,
            "entity": self.entity,
            "missing": self.stand_ins,
        }

    @override
    def __repr__(self) -> str:
        owner = f"told by column {self.entity!r}" if self.entity else "every row somebody else's"
        filled = [f"{column}: {value}" for column, value in self.stand_ins.items()]
        return "\n".join(
            [
                "Will be public, for everybody:",
                "",
                "\n\n".join(map(text_table, self.public.tables)),
                "",
                "and which domain has it since when; the next version, if it has one of this name.",
                "",
                "Stays private, in your domain:",
                "",
                f"- all values, and whose they are ({owner})",
                *(["- the file as it is"] * (self.dataset.raw is not None)),
                *([f"- where values were missing; put there: {', '.join(filled)}"] * bool(filled)),
                "",
                f"Is left out, here already: {', '.join(self.dropped) or 'nothing'}",
            ]
        )


def plan_import(
    book: CodeBook,
    tables: Mapping[str, Table],
    *,
    frameworks: tuple[str, ...] = (),
    clip: bool = False,
    raw: bytes | None = None,
) -> ImportPlan:
    """What importing would publish.

    Args:
        book: what the columns mean.
        tables: the file of each split: train, and perhaps dev and test.
        frameworks: that the domain can convert to, where that is known.
        clip: move values outside of the book's bounds to the nearest bound.
        raw: the bytes of the file, if the owner wants to keep them beside the data; private.

    Raises:
        SourceError: the file lacks columns of the book, or has others; the error names them.
        SchemaError: the book makes no schema.
        MissingValuesError, BoundsError: values are not what the book says.
    """
    for split, table in tables.items():
        _require_columns(book, table, split)
    sources = {split: _sources(book, table) for split, table in tables.items()}
    dataset = prepare_dataset(
        name=book.name,
        tensors=sources.get("train"),
        schema=book.dataset_schema(),
        tags=book.tags,
        description=book.description,
        dev=sources.get("dev"),
        test=sources.get("test"),
        owners=_owners(book, tables),
        owner_column=book.entity or "",
        metadata=book.metadata,
        budget=book.budget,
        raw=raw,
        missing=_stand_ins(book),
        clip=clip,
    )
    return ImportPlan(
        dataset=dataset,
        public=dataset.public(frameworks=frameworks),
        dropped=book.dropped,
        entity=book.entity,
        stand_ins={
            name: str(entry.missing)
            for name, entry in book.published.items()
            if entry.missing is not None
        },
    )


def _require_columns(book: CodeBook, table: Table, split: str) -> None:
    unknown = sorted({*table} - {*book.columns, *book.needed})
    absent = sorted({*book.needed} - {*table})
    problems = []
    if unknown:
        problems.append(
            f"has columns that the code book does not know: {', '.join(unknown)}; describe them "
            "there, or say drop = true"
        )
    if absent:
        problems.append(f"lacks columns of the code book: {', '.join(absent)}")
    if problems:
        raise SourceError(source=f"the {split} file", problem="; ".join(problems))


def _sources(book: CodeBook, table: Table) -> dict[str, dict[str, Cells]]:
    """The columns of each tensor by their public names."""
    tensors: dict[str, dict[str, Cells]] = {}
    for name, entry in book.published.items():
        tensors.setdefault(entry.tensor, {})[entry.name or name] = table[name]
    return tensors


def _stand_ins(book: CodeBook) -> dict[str, dict[str, Number | str]]:
    """What to put for missing cells, by tensor and public name."""
    found: dict[str, dict[str, Number | str]] = {}
    for name, entry in book.published.items():
        if entry.missing is not None:
            found.setdefault(entry.tensor, {})[entry.name or name] = entry.missing
    return found


def _owners(book: CodeBook, tables: Mapping[str, Table]) -> dict[str, Array] | None:
    """The keys of each row, None where a cell has none."""
    if book.entity is None:
        return None
    owners = {}
    for split, table in tables.items():
        cells = table[book.entity]
        keys = cells.values.astype(object)
        keys[cells.missing] = None
        owners[split] = keys
    return owners
