"""Which arrays a dataset with a schema is stored as: decided by the schema alone.

Rule 1: a tensor whose columns all have one dtype is one array of shape (rows, columns); that of a
single column whose cells have a shape is (rows, *cell). Rule 2: any other tensor is an array of
shape (rows,) per column. Rule 3: every split has the same arrays, and one number of rows.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from p2pgrid.errors import SchemaError, SchemaMismatchError
from p2pgrid.protocol.arrays import Array
from p2pgrid.protocol.columns import Column
from p2pgrid.protocol.conformance import require_same_names
from p2pgrid.protocol.schemas import DatasetSchema, TensorSchema


class StoredAs(NamedTuple):
    """One array of a tensor, of any number of rows; ``column`` is empty if it has all columns."""

    column: str
    dtype: str
    cell: tuple[int, ...]
    """The shape without the rows."""


class StoredArray(NamedTuple):
    """One array of a dataset."""

    split: str
    tensor: str
    column: str
    dtype: str
    shape: tuple[int, ...]


def arrays_of(schema: TensorSchema) -> tuple[StoredAs, ...]:
    """How a tensor is stored.

    Raises:
        SchemaError: a column of several has cells with a shape.
    """
    first = schema.columns[0]
    if schema.is_one_array:
        return (StoredAs("", first.dtype.name, first.shape or (len(schema.columns),)),)
    for column in schema.columns:
        if column.shape:
            problem = (
                f"cells of shape {column.shape} have no place beside other columns; "
                "make the column a tensor of its own: the rows of all tensors correspond"
            )
            raise SchemaError(field=f"column {column.name[:40]!r}", problem=problem)
    return tuple(StoredAs(column.name, column.dtype.name, ()) for column in schema.columns)


def columns_in(array: Array, column: str, schema: TensorSchema) -> Iterator[tuple[Column, Array]]:
    """The columns that a stored array has, each with its values; nothing is copied.

    Args:
        array: of a tensor with this schema.
        column: see ``StoredAs``.
        schema: of the tensor.
    """
    if column:
        yield next(it for it in schema.columns if it.name == column), array
    elif schema.columns[0].shape:
        yield schema.columns[0], array
    else:
        for number, each in enumerate(schema.columns):
            yield each, array[:, number]


def require_layout(schema: DatasetSchema, arrays: Sequence[StoredArray]) -> dict[str, int]:
    """Compares what arrays there are with the schema; looks at no value.

    Returns:
        The number of rows of each split.

    Raises:
        SchemaMismatchError: names the first that is not the schema's.
        SchemaError: see ``arrays_of``.
    """
    splits = dict.fromkeys(("train", *(array.split for array in arrays)))
    return {
        split: _require_split(schema, [array for array in arrays if array.split == split], split)
        for split in splits
    }


def _require_split(schema: DatasetSchema, arrays: Sequence[StoredArray], split: str) -> int:
    where = f"{split} split"
    require_same_names([array.tensor for array in arrays], list(schema), "tensor", where=where)
    rows = arrays[0].shape[:1]
    by_tensor: dict[str, dict[str, StoredArray]] = {}
    for array in arrays:
        by_tensor.setdefault(array.tensor, {})[array.column] = array
    for name, tensor in schema.tensors:
        found = by_tensor[name]
        expected = {stored.column: stored for stored in arrays_of(tensor)}
        require_same_names(found, expected, "column", where=f"{where}, tensor {name!r}")
        for column, stored in expected.items():
            shape = (*rows, *stored.cell)
            if (found[column].dtype, found[column].shape) != (stored.dtype, shape):
                raise SchemaMismatchError(
                    where=f"{where}, tensor {name!r}",
                    column=f"column {column!r}" if column else "its array",
                    found=f"{found[column].dtype} of shape {found[column].shape}",
                    expected=f"{stored.dtype} of shape {shape}",
                )
    if len(arrays) > len({(array.tensor, array.column) for array in arrays}):
        raise SchemaError(field=where, problem="an array comes twice")
    return sum(rows)
