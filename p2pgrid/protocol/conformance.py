"""Whether data are what their schema says, and whether two schemas are one.

Trust: this runs where the data are, before they are published. What it raises about values
(``BoundsError``, ``MissingValuesError``) says how many there are and where the first is, never what
they are; both are for the owner and cross no wire.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from p2pgrid.errors import BoundsError, MissingValuesError, SchemaMismatchError
from p2pgrid.protocol.arrays import Array
from p2pgrid.protocol.columns import Column
from p2pgrid.protocol.schemas import DatasetSchema, TensorSchema
from p2pgrid.protocol.text import cut


def check_layout(arrays: Mapping[str, Array], schema: TensorSchema, *, where: str) -> int:
    """Compares names, dtypes and shapes with the schema; looks at no value.

    Args:
        arrays: by the name of the column, in any order; each of shape (rows, ...).
        schema: what they should be.
        where: whose arrays they are, for the error: ``"test split, tensor 'x'"``.

    Returns:
        The number of rows.

    Raises:
        SchemaMismatchError: names the first column that differs.
    """
    wanted = {column.name for column in schema.columns}
    for name in sorted(wanted.symmetric_difference(arrays)):
        found, expected = (
            ("absent", "it is there") if name in wanted else ("there", "there is none")
        )
        raise _mismatch(where, f"column {name!r}", found, expected)
    rows = len(arrays[schema.columns[0].name])
    for column in schema.columns:
        array = arrays[column.name]
        expected = _described(column.dtype, (rows, *column.shape))
        found = _described(array.dtype, array.shape)
        if found != expected:
            raise _mismatch(where, f"column {column.name!r}", found, expected)
    return rows


def check_bounds(array: Array, column: Column, *, clip: bool = False) -> Array:
    """The array, when all its values lie inside the public bounds of the column.

    Args:
        array: of the column's dtype, shape (rows, ...).
        column: has the bounds, inclusive.
        clip: move values outside to the nearest bound, in a new array, instead of refusing them.

    Returns:
        The same array; a new one where something was clipped.

    Raises:
        MissingValuesError: a value is NaN; clipping does not mend that.
        BoundsError: without ``clip``: values lie outside, infinities too.
    """
    if column.dtype.kind == "f":
        missing = np.isnan(array)
        if missing.any():
            count, first = _tally(missing)
            raise MissingValuesError(column=column.name, count=count, total=array.size, first=first)
    outside = (array < column.low) | (array > column.high)
    if not outside.any():
        return array
    if clip:
        clipped: Array = np.clip(array, array.dtype.type(column.low), array.dtype.type(column.high))
        return clipped
    count, first = _tally(outside)
    raise BoundsError(
        column=column.name, count=count, total=array.size, first=first, bounds=column.bounds
    )


def require_same(expected: DatasetSchema, found: DatasetSchema, *, where: str) -> None:
    """Refuses a schema that is not the expected one.

    Args:
        expected: the schema of all.
        found: the schema of ``where``.
        where: whose it is, for the error.

    Raises:
        SchemaMismatchError: names the first column that differs, and how.
    """
    for tensor in sorted({*expected, *found}):
        if tensor not in set(found):
            raise _mismatch(where, f"tensor {tensor!r}", "absent", "it is there")
        if tensor not in set(expected):
            raise _mismatch(where, f"tensor {tensor!r}", "there", "there is none")
        _require_same_tensor(expected[tensor], found[tensor], where=f"{where}, tensor {tensor!r}")
    if expected.name != found.name:
        raise _mismatch(where, "the schema's name", repr(found.name), repr(expected.name))


def _require_same_tensor(expected: TensorSchema, found: TensorSchema, *, where: str) -> None:
    if len(expected.columns) != len(found.columns):
        names = {column.name for column in expected.columns}
        odd = names.symmetric_difference(column.name for column in found.columns)
        name = min(odd)
        there, wanted = ("absent", "it is there") if name in names else ("there", "there is none")
        raise _mismatch(where, f"column {name!r}", there, wanted)
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


def _tally(marked: NDArray[np.bool_]) -> tuple[int, int]:
    """How many are marked, and the first row that has one."""
    rows = marked.reshape(len(marked), -1).any(axis=1)
    return int(np.count_nonzero(marked)), int(np.argmax(rows))
