"""A tensor while its owner prepares it: named columns of values, as its schema says."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, SupportsIndex

from typing_extensions import override

from p2pgrid.client.conversion import convert
from p2pgrid.client.display import Display, Displayed
from p2pgrid.client.frames import frame_of
from p2pgrid.client.mock import mock_tensor
from p2pgrid.client.sources import Source, read_source
from p2pgrid.protocol.arrays import Array
from p2pgrid.protocol.columns import Number
from p2pgrid.protocol.conformance import check_layout, check_names
from p2pgrid.protocol.schemas import TensorSchema


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Tensor(Displayed):
    """A table of one split: an array of shape (rows, ...) per column, in the schema's order."""

    name: str
    schema: TensorSchema
    columns: Mapping[str, Array]
    """The values. Private."""

    @property
    def rows(self) -> int:
        """How many; public."""
        return len(self.columns[self.schema.columns[0].name])

    @property
    def shape(self) -> tuple[int, ...]:
        """Rows and columns; of a single column whose cells have a shape, rows and that. Public."""
        cell = self.schema.columns[0].shape if len(self.columns) == 1 else ()
        return (self.rows, *cell) if cell else (self.rows, len(self.columns))

    def mock(self, *, seed: SupportsIndex = 0) -> Any:
        """A tensor like this, made of the schema and the public number of rows alone.

        Returns:
            An array or a data frame; see ``mock_tensor``.
        """
        return mock_tensor(self.schema, self.rows, seed=seed)

    def to_pandas(self) -> Any:
        """The values as a data frame; categories by their labels, cells with a shape as arrays."""
        return frame_of(self.schema, self.columns)

    @override
    def _display(self) -> Display:
        facts = (("shape", str(self.shape)), ("schema", self.schema.name))
        return Display(f"Tensor {self.name!r}", facts)


def prepare_tensor(
    name: str,
    source: Source,
    schema: TensorSchema,
    *,
    where: str,
    missing: Mapping[str, Number | str],
    clip: bool,
) -> Tensor:
    """A tensor whose values are what the schema says.

    Args:
        name: of the tensor.
        source: see ``read_source``; its columns may come in any order.
        schema: of the tensor.
        where: for errors, such as ``"test split"``.
        missing: public values for cells without one, by column.
        clip: see ``convert``.

    Raises:
        SchemaMismatchError: names the first column that is not the schema's.
        SourceError, MissingValuesError, BoundsError: see ``convert``.
    """
    where = f"{where}, tensor {name!r}"
    cells = read_source(source, [column.name for column in schema.columns])
    check_names(cells, schema, where=where)
    columns = {
        column.name: convert(
            cells[column.name], column, missing=missing.get(column.name), clip=clip
        )
        for column in schema.columns
    }
    check_layout(columns, schema, where=where)
    return Tensor(name, schema, columns)
