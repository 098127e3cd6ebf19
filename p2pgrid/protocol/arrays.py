"""Arrays on the wire: a header of dtype and shape, and raw bytes beside it.

The dtype is looked up in a list of allowed names; a text from a peer never reaches ``np.dtype``.
"""

import math
from typing import Annotated, Any

import numpy as np
from msgspec import Meta, Struct
from numpy.typing import NDArray

from p2pgrid.errors import DtypeError, RemoteProtocolError, TooLargeError

MAX_DIMS = 32
MAX_ELEMENTS = 1 << 40

Array = NDArray[Any]

DTYPES: dict[str, np.dtype[np.generic]] = {
    name: np.dtype(name).newbyteorder("<")
    for name in (
        "bool",
        "int8",
        "int16",
        "int32",
        "int64",
        "uint8",
        "uint16",
        "uint32",
        "uint64",
        "float16",
        "float32",
        "float64",
    )
}
"""Every dtype that may cross a border, little-endian; to allow one more, add its name."""

Dimension = Annotated[int, Meta(ge=0, le=MAX_ELEMENTS)]
Shape = Annotated[tuple[Dimension, ...], Meta(max_length=MAX_DIMS)]
DtypeName = Annotated[str, Meta(max_length=8)]


class ArrayHeader(Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """Describes one array whose bytes travel as buffer number ``buffer`` of the same frame."""

    dtype: DtypeName
    shape: Shape
    buffer: Annotated[int, Meta(ge=0, lt=4096)]


def dtype_named(name: str) -> np.dtype[np.generic]:
    """The allowed dtype of this name.

    Raises:
        DtypeError: the name is not in ``DTYPES``.
    """
    try:
        return DTYPES[name]
    except KeyError:
        raise DtypeError(operation="transfer", dtypes=name[:40]) from None


def size_bytes(shape: tuple[int, ...], dtype: np.dtype[np.generic]) -> int:
    """Bytes of an array; exact, whatever the sizes."""
    return math.prod(shape) * dtype.itemsize


def extent(shape: tuple[int, ...]) -> int:
    """The product of the dimensions that are not 0: what numpy can address, even when empty."""
    return math.prod(size or 1 for size in shape)


def claimed_bytes(header: ArrayHeader) -> int:
    """Bytes that a header claims.

    Raises:
        DtypeError: the dtype is not allowed.
        RemoteProtocolError: no array has this shape.
    """
    if extent(header.shape) > MAX_ELEMENTS:
        raise RemoteProtocolError(f"an array header claims the shape {header.shape}")
    return size_bytes(header.shape, dtype_named(header.dtype))


def header_of(array: Array, *, buffer: int) -> ArrayHeader:
    """The header of an array of an allowed dtype."""
    return ArrayHeader(dtype_named(array.dtype.name).name, array.shape, buffer)


def raw_bytes(array: Array) -> memoryview:
    """The array's bytes, little-endian and C-contiguous; a copy only where they are not."""
    plain = np.ascontiguousarray(array, dtype=dtype_named(array.dtype.name))
    return plain.reshape(-1).view(np.uint8).data


def read_array(header: ArrayHeader, buffer: memoryview) -> Array:
    """A read-only array over the buffer; nothing is copied.

    Raises:
        DtypeError: the dtype is not allowed.
        RemoteProtocolError: header and buffer disagree about the size, or no array has it.
    """
    claimed = claimed_bytes(header)
    if claimed != len(buffer):
        raise RemoteProtocolError(
            f"an array header claims {claimed:,} bytes, but {len(buffer):,} came with it"
        )
    array = np.frombuffer(buffer, dtype=DTYPES[header.dtype]).reshape(header.shape)
    array.flags.writeable = False
    return array


def as_array(value: object, *, limit: int) -> Array:
    """A numpy array of an allowed dtype from what a caller gave.

    Raises:
        DtypeError: it is no array of numbers or truth values.
        TooLargeError: it has more than ``limit`` bytes, or too many dimensions.
    """
    array: Array = np.asarray(value)
    dtype_named(array.dtype.name)
    if array.nbytes > limit:
        raise TooLargeError(what="bytes of an array", size=array.nbytes, limit=limit)
    if array.ndim > MAX_DIMS:
        raise TooLargeError(what="dimensions of an array", size=array.ndim, limit=MAX_DIMS)
    if extent(array.shape) > MAX_ELEMENTS:
        size = extent(array.shape)
        raise TooLargeError(what="extent of an array", size=size, limit=MAX_ELEMENTS)
    return array
