"""Whether data are what their schema says, and whether two schemas are one.

Trust: this runs where the data are, before they are published. What it raises about values
(``BoundsError``, ``MissingValuesError``) says how many there are and where the first is, never what
they are; both are for the owner and cross no wire.
"""

from collections.abc import Collection, Mapping

import numpy as np
from numpy.typing import NDArray

from p2pgrid.errors import BoundsError, MissingValuesError, SchemaMismatchError, SourceError
from p2pgrid.protocol.arrays import Array
from p2pgrid.protocol.columns import Column
from p2pgrid.protocol.schemas import DatasetSchema, TensorSchema
from p2pgrid.protocol.text import cut


def check_names(names: Collection[str], schema: TensorSchema, *, where: str) -> None:
    """Compares the names of columns, in any order, with the schema.

    Args:
        names: of the columns that there are.
        schema: what they should be.
        where: whose columns they are, for the error: ``"test split, tensor 'x'"``.

    Raises:
        SchemaMismatchError: names the first column that is not in both.
    """
    require_same_names(names, [column.name for column in schema.columns], "column", where=where)


def require_same_names(
    names: Collection[str], expected: Collection[str], what: str, *, where: str
) -> None:
    """Refuses names that are not the expected ones, in any order.

    Raises:
        SchemaMismatchError: names the first that is not in both.
    """
    odd = sorted(set(expected).symmetric_difference(names))
    if odd and odd[0] in expected:
        raise _mismatch(where, f"{what} {odd[0]!r}", "absent", "it is there")
    if odd:
        raise _mismatch(where, f"{what} {odd[0]!r}", "there", "there is none")


def check_layout(arrays: Mapping[str, Array], schema: TensorSchema, *, where: str) -> int:
    """Compares names, dtypes and shapes with the schema; looks at no value.

    Args:
        arrays: by the name of the column, in any order; each of shape (rows, ...).
        schema: what they should be.
        where: whose arrays they are, for the error.

    Returns:
        The number of rows.

    Raises:
        SchemaMismatchError: names the first column that differs.
    """
    check_names(arrays, schema, where=where)
    rows = len(arrays[schema.columns[0].name])
    for column in schema.columns:
        array = arrays[column.name]
        expected = _described(column.dtype, (rows, *column.shape))
        found = _described(array.dtype, array.shape)
        if found != expected:
            raise _mismatch(where, f"column {column.name!r}", found, expected)
    return rows


def check_bounds(
    values: Array,
    column: Column,
    *,
    clip: bool = False,
    ignored: NDArray[np.bool_] | None = None,
) -> Array:
    """The values as the column stores them, when all are inside its public bounds.

    Args:
        values: numbers or truth values of any dtype, shape (rows, ...); they are compared before
            they are stored, so nothing wraps around. A float column rounds them first.
        column: has the dtype, and the bounds, inclusive.
        clip: move numbers outside to the nearest bound, in a new array, instead of refusing them.
            Codes and truth values are never moved: no other one is near.
        ignored: True where there is no value, of the same shape; zeros are stored there.

    Returns:
        An array of the column's dtype; the same one where nothing was to be done.

    Raises:
        MissingValuesError: a value is NaN; clipping does not mend that.
        SourceError: a fraction, where the column has whole numbers.
        BoundsError: values lie outside, infinities too, and are not to be clipped.
    """
    if column.dtype.kind == "f":
        with np.errstate(over="ignore"):  # what gets infinite is outside
            values = values.astype(column.dtype, copy=False)
    known = np.True_ if ignored is None else ~ignored
    if values.dtype.kind == "f":
        _require_numbers(values, column, known)
    below, above = (values < column.low) & known, (values > column.high) & known
    outside = below | above
    if ignored is None and not outside.any():
        return values.astype(column.dtype, copy=False)
    if outside.any() and not (clip and column.is_number):
        count, first = tally(outside)
        raise BoundsError(
            column=column.name, count=count, total=values.size, first=first, bounds=column.bounds
        )
    stored = np.zeros(values.shape, column.dtype)
    inside = ~outside & known
    stored[inside] = values[inside]
    stored[below], stored[above] = column.low, column.high
    return stored


def _require_numbers(values: Array, column: Column, known: NDArray[np.bool_] | np.bool_) -> None:
    """Refuses NaN, and fractions in a column of whole numbers."""
    missing = np.isnan(values) & known
    if missing.any():
        raise missing_values(missing, column)
    fractions = (values != np.floor(values)) & known
    if column.dtype.kind != "f" and fractions.any():
        count, first = tally(fractions)
        problem = (
            f"{count:,} of {values.size:,} values are no whole numbers, the first in row "
            f"{first:,} (from 0); make the column a float, or round them"
        )
        raise SourceError(source=f"column {column.name!r}", problem=problem)


def missing_values(missing: NDArray[np.bool_], column: Column) -> MissingValuesError:
    """The error for cells without a value."""
    count, first = tally(missing)
    return MissingValuesError(column=column.name, count=count, total=missing.size, first=first)


def require_same(expected: DatasetSchema, found: DatasetSchema, *, where: str) -> None:
    """Refuses a schema that is not the expected one.

    Args:
        expected: the schema of all.
        found: the schema of ``where``.
        where: whose it is, for the error.

    Raises:
        SchemaMismatchError: names the first column that differs, and how.
    """
    require_same_names(set(found), set(expected), "tensor", where=where)
    for name, tensor in expected.tensors:
        _require_same_tensor(tensor, found[name], where=f"{where}, tensor {name!r}")
    if expected.name != found.name:
        raise _mismatch(where, "the schema's name", repr(found.name), repr(expected.name))


def _require_same_tensor(expected: TensorSchema, found: TensorSchema, *, where: str) -> None:
    if len(expected.columns) != len(found.columns):
        check_names([column.name for column in found.columns], expected, where=where)
    for wanted_column, column in zip(expected.columns, found.columns, strict=True):
        for field in Column.__struct_fields__:
            wanted_value, value = getattr(wanted_column, field), getattr(column, field)
            if wanted_value != value:
                what = f"{field} of column {wanted_column.name!r}"
                raise _mismatch(where, what, cut(repr(value)), cut(repr(wanted_value)))
    if expected.name != found.name:
        raise _mismatch(where, "the schema's name", repr(found.name), repr(expected.name))


def _mismatch(where: str, column: str, found: str, expected: str) -> SchemaMismatchError:
    return SchemaMismatchError(where=where, column=column, found=found, expected=expected)


def _described(dtype: np.dtype[np.generic], shape: tuple[int, ...]) -> str:
    return f"{dtype.name} of shape {shape}"


def tally(marked: NDArray[np.bool_]) -> tuple[int, int]:
    """How many cells are marked, and the first row that has one."""
    rows = marked.reshape(len(marked), -1).any(axis=1)
    return int(np.count_nonzero(marked)), int(np.argmax(rows))
