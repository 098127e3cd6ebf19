"""Where the bytes of a transfer come from and where they go: arrays, buffers, files.

No end holds more than ``CHUNK_BYTES`` beside the array or the file itself.
"""

import errno
import fcntl
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import numpy as np

from p2pgrid.errors import DiskFullError, DuplicateError, TransferError
from p2pgrid.protocol.arrays import Array, dtype_named
from p2pgrid.protocol.bulk import CHUNK_BYTES

DRAFT = ".part"
"""What a file is called besides its name until it is whole."""


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


class FileSource:
    """``size`` bytes of a file, from ``start`` on; the file may have no name any more."""

    def __init__(self, path: Path, *, start: int, size: int) -> None:
        self.size = size
        self._start = start
        self._scratch = memoryview(bytearray(min(size, CHUNK_BYTES)))
        self._file = os.open(path, os.O_RDONLY)

    def chunk(self, offset: int, size: int) -> memoryview:
        """See ``Source``.

        Raises:
            TransferError: the file is shorter than it was.
        """
        place = self._scratch[:size]
        if os.preadv(self._file, [place], self._start + offset) != size:
            raise TransferError("a file became shorter while it was sent")
        return place

    def close(self) -> None:
        """Closes the file."""
        os.close(self._file)


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


class FileSink:
    """A preallocated ``.npy`` file that bears its name only once it is whole and synced."""

    is_durable = False

    def __init__(self, path: Path, *, header: bytes, size: int, spare: int) -> None:
        """Reserves the space: whatever comes later, the disk is not full.

        Args:
            path: what the file will be called.
            header: what stands before the bytes of the array.
            size: bytes of the array.
            spare: bytes of the disk that are left free.

        Raises:
            DiskFullError: there is no room.
            DuplicateError: another transfer writes there.
        """
        self.draft = path.with_name(path.name + DRAFT)
        self._path = path
        self._start = len(header)
        self._scratch = memoryview(bytearray(min(size, CHUNK_BYTES)))
        self._file = _open_alone(self.draft)
        try:
            os.ftruncate(self._file, 0)
            reserve(self._file, len(header) + size, spare=spare)
            os.pwrite(self._file, header, 0)
        except BaseException:
            self.discard()
            raise

    def place(self, offset: int, size: int) -> memoryview:
        """See ``Sink``: memory of our own."""
        del offset
        return self._scratch[:size]

    def keep(self, offset: int, chunk: memoryview) -> None:
        """Writes the chunk to its place in the file.

        Raises:
            TransferError: the disk failed.
        """
        with _disk_errors():
            os.pwrite(self._file, chunk, self._start + offset)

    def sync(self) -> None:
        """See ``Sink``.

        Raises:
            TransferError: the disk failed.
        """
        with _disk_errors():
            os.fsync(self._file)

    def close(self) -> None:
        """Closes the draft and leaves it to whoever gives it its name."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def publish(self) -> None:
        """Closes the synced draft and gives it its name, durably."""
        self.close()
        publish_draft(self._path)

    def discard(self) -> None:
        """Removes the draft."""
        self.close()
        self.draft.unlink(missing_ok=True)


def _open_alone(draft: Path) -> int:
    """Opens a draft, perhaps one that a process left behind as it died."""
    descriptor = os.open(draft, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise DuplicateError(what="transfer to", name=str(draft)) from None
    return descriptor


@contextmanager
def _disk_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise TransferError(f"the disk took no more of an array: {error.strerror}") from error


def npy_header(shape: tuple[int, ...], dtype: np.dtype[np.generic]) -> bytes:
    """What stands before the bytes of an array in a ``.npy`` file, version 1.0."""
    text = io.BytesIO()
    fields = {
        "descr": np.lib.format.dtype_to_descr(dtype),
        "fortran_order": False,
        "shape": shape,
    }
    np.lib.format.write_array_header_1_0(text, fields)
    return text.getvalue()


def publish_draft(path: Path) -> None:
    """Gives a whole, synced draft its name; twice is as once."""
    draft = path.with_name(path.name + DRAFT)
    if draft.exists() or not path.exists():
        draft.replace(path)
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Makes renames in a directory durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def reserve(descriptor: int, size: int, *, spare: int) -> None:
    """Takes ``size`` bytes of the disk for an open file, or nothing.

    Raises:
        DiskFullError: less than ``size`` and ``spare`` bytes are free.
    """
    state = os.fstatvfs(descriptor)
    free = state.f_bavail * state.f_frsize
    if free < size + spare:
        raise DiskFullError(needed=size + spare, free=free)
    try:
        os.posix_fallocate(descriptor, 0, size)
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
            raise DiskFullError(needed=size + spare, free=free) from error
        raise
