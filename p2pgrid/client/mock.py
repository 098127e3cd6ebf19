"""Mock data: made of a public schema and a number of rows, and of nothing else.

Whoever makes a mock holds no private value here, so a mock cannot tell one: changing the data
changes no byte of it. The same schema and seed give the same bytes on every machine and with every
version of numpy: they come from SHAKE-256 and sums and products of IEEE 754, not from a generator
that a library may improve. Only how a data frame shows them is pandas'. More rows continue fewer.
Values are uniform in the bounds; they are no model of the data.
"""

import hashlib
import math
from operator import index
from typing import Any, SupportsIndex

import numpy as np
from numpy.typing import NDArray

from p2pgrid.client.frames import shaped
from p2pgrid.protocol.arrays import Array
from p2pgrid.protocol.columns import Column
from p2pgrid.protocol.schemas import TensorSchema

MOCK_SEPARATION = b"p2pgrid/mock/1\0"
MOCK_ROWS = 1000
MOCK_SIZE = 1 << 22
"""Numbers in a mock with more than one row."""

_WORD_BYTES = 8
_FRACTION_BITS = 53


def mock_rows(schema: TensorSchema, rows: int) -> int:
    """How many rows a mock has: as many as the data, which is public, while they are few."""
    return min(rows, MOCK_ROWS, max(1, MOCK_SIZE // schema.row_size))


def mock_tensor(schema: TensorSchema, rows: int, *, seed: SupportsIndex = 0) -> Any:
    """A mock in the form in which a program would hold the values: see ``frames.shaped``.

    Args:
        schema: of the tensor.
        rows: of the data; the mock has as many, while they are few (``mock_rows``).
        seed: any whole number; another one gives other values.
    """
    return shaped(schema, mock_columns(schema, mock_rows(schema, rows), seed=seed))


def mock_columns(schema: TensorSchema, rows: int, *, seed: SupportsIndex = 0) -> dict[str, Array]:
    """A mock of a tensor: an array of shape (rows, ...) per column, of its dtype, in its bounds.

    Args:
        schema: of the tensor.
        rows: at least 0.
        seed: any whole number; another one gives other values.
    """
    stem = MOCK_SEPARATION + f"{schema.id}\0{index(seed)}\0".encode()
    return {column.name: _values(column, rows, stem) for column in schema.columns}


def _values(column: Column, rows: int, stem: bytes) -> Array:
    shape = (rows, *column.shape)
    stream = hashlib.shake_256(stem + column.name.encode())
    words = np.frombuffer(stream.digest(math.prod(shape) * _WORD_BYTES), "<u8").reshape(shape)
    if column.dtype.kind == "f":
        return _floats(words, column)
    return _integers(words, column)


def _integers(words: NDArray[np.uint64], column: Column) -> Array:
    """Modulo 2**64, in which the sum is right also where the bounds are negative or far apart."""
    low, span = int(column.low), int(column.high) - int(column.low) + 1
    offsets = words % np.uint64(span) if span < 1 << 64 else words
    sums = offsets + np.uint64(low % (1 << 64))
    signed = sums.view(np.int64) if column.dtype.kind == "i" else sums
    return signed.astype(column.dtype)


def _floats(words: NDArray[np.uint64], column: Column) -> Array:
    """A convex sum, which no bounds make overflow; rounding may leave them by a unit."""
    part = (words >> np.uint64(64 - _FRACTION_BITS)) * 2.0**-_FRACTION_BITS
    with np.errstate(over="ignore"):  # by a unit, at the end of all floats; clipped below
        between = column.low * (1 - part) + column.high * part
    values: Array = np.clip(between, column.low, column.high).astype(column.dtype)
    return values
