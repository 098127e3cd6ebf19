"""Files as the ends of a transfer: preallocated drafts that get their name when they are whole."""

import errno
import fcntl
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from p2pgrid.errors import DiskFullError, DuplicateError, TransferError
from p2pgrid.protocol.bulk import CHUNK_BYTES

DRAFT = ".part"
"""What a file is called besides its name until it is whole."""


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
            self._scratch = memoryview(b"")

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
