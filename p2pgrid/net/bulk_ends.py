"""Where the bytes of a transfer come from and where they go: arrays and memory.

No end holds more than ``CHUNK_BYTES`` beside the array itself; ``bulk_files`` has those on disk.
"""

from typing import Protocol

import numpy as np

from p2pgrid.protocol.arrays import Array, dtype_named


class Source(Protocol):
    """Gives any chunk of the bytes, as often as asked."""

    size: int

    def chunk(self, offset: int, size: int) -> memoryview:
        """The bytes from ``offset`` on; good until the next call."""

    def close(self) -> None:
        """Gives up what it holds."""


class Sink(Protocol):
    """Takes the bytes in order."""

    is_durable: bool
    """True when bytes are safe as soon as they are kept, so that ``sync`` need not be called."""

    def place(self, offset: int, size: int) -> memoryview:
        """Memory into which the next chunk is to be written; good until ``keep``."""

    def keep(self, offset: int, chunk: memoryview) -> None:
        """Keeps what was written into ``place``."""

    def sync(self) -> None:
        """Makes everything that was kept durable; may run beside ``keep``."""


class ArraySource:
    """The bytes of an array, little-endian, in C order; only a chunk is ever copied."""

    def __init__(self, array: Array) -> None:
        self.size = array.nbytes
        self._array = array
        self._dtype = dtype_named(array.dtype.name)
        self._flat: memoryview | None = None
        if array.flags.c_contiguous and array.dtype == self._dtype:
            self._flat = array.reshape(-1).view(np.uint8).data

    def chunk(self, offset: int, size: int) -> memoryview:
        """See ``Source``; offset and size are multiples of the size of an element."""
        if self._flat is not None:
            return self._flat[offset : offset + size]
        width = self._dtype.itemsize
        part = _elements(self._array, offset // width, (offset + size) // width)
        return np.ascontiguousarray(part, dtype=self._dtype).view(np.uint8).data

    def close(self) -> None:
        """The array is the caller's."""


def _elements(array: Array, start: int, stop: int) -> Array:
    """Elements in C order, as one row; copies little more than them, however they lie."""
    if array.ndim < 2:  # noqa: PLR2004 a row, or a number
        return array.reshape(-1)[start:stop]
    row = array[0].size
    first, last = start // row, (stop - 1) // row
    if first == last:
        return _elements(array[first], start - first * row, stop - first * row)
    head = _elements(array[first], start - first * row, row)
    middle = np.ascontiguousarray(array[first + 1 : last]).reshape(-1)
    tail = _elements(array[last], 0, stop - last * row)
    return np.concatenate([head, middle, tail])


class BufferSink:
    """Fresh memory of the size of the array; nothing is copied on the way."""

    is_durable = True

    def __init__(self, size: int) -> None:
        self.data = np.empty(size, np.uint8)

    def place(self, offset: int, size: int) -> memoryview:
        """See ``Sink``: the place in the array itself."""
        return self.data[offset : offset + size].data

    def keep(self, offset: int, chunk: memoryview) -> None:
        """The chunk is where it belongs."""

    def sync(self) -> None:
        """Memory is as durable as its process."""
