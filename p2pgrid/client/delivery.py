"""Taking the values of an object home: into memory, or into a file.

Small ones come with the answer. Large ones are a transfer: into memory of the final size, or into
a preallocated draft that gets its name once it is whole and synced.
"""

from pathlib import Path

import numpy as np

from p2pgrid.client.login import Logins
from p2pgrid.client.session import Session
from p2pgrid.client.transfers import Transfers, Wishes
from p2pgrid.config import Timing
from p2pgrid.ids import ObjectId, short
from p2pgrid.net.bulk_carrier import patient_s
from p2pgrid.net.bulk_ends import ArraySource, BufferSink, Sink
from p2pgrid.net.bulk_files import FileSink, npy_header
from p2pgrid.net.calls import checked
from p2pgrid.net.link import Link
from p2pgrid.protocol.arrays import Array
from p2pgrid.protocol.bulk import CHUNK_BYTES
from p2pgrid.protocol.messages import OpenDownload, Opened
from p2pgrid.protocol.operations import ArrayMeta


class Delivery:
    """One object on its way home, by the right of one user."""

    def __init__(
        self,
        object_id: ObjectId,
        meta: ArrayMeta,
        *,
        session: Session,
        logins: Logins,
        user: str | None,
        transfers: Transfers | None,
        timing: Timing,
        wishes: Wishes,
    ) -> None:
        """Without ``transfers`` the values come with the answer."""
        self._object_id, self._meta = object_id, meta
        self._session: Session | None = session
        self._logins, self._user = logins, user
        self._transfers, self._timing, self._wishes = transfers, timing, wishes

    def into_memory(self) -> Array:
        """A fresh array, read-only."""
        if self._transfers is None:
            return self._ask()
        sink = BufferSink(self._meta.nbytes)
        self._transfer(self._transfers, sink)
        array: Array = sink.data.view(self._meta.dtype).reshape(self._meta.shape)
        array.flags.writeable = False
        return array

    def into_file(self, path: Path) -> Array:
        """A new ``.npy`` file, durable, and the array mapped from it, read-only.

        Raises:
            DiskFullError: there is no room where ``path`` is.
            DuplicateError: another transfer writes there.
        """
        header = npy_header(self._meta.shape, self._meta.dtype)
        sink = FileSink(path, header=header, size=self._meta.nbytes, spare=0)
        try:
            if self._transfers is None:
                _write(self._ask(), sink)
            else:
                self._transfer(self._transfers, sink)
        except BaseException:
            sink.discard()
            raise
        sink.publish()
        array: Array = np.load(path, mmap_mode="r" if self._meta.nbytes else None)
        array.flags.writeable = False
        return array

    def _ask(self) -> Array:
        session, account = self._granted()
        return session.get(self._object_id, account=account)

    def _transfer(self, transfers: Transfers, sink: Sink) -> None:
        label = short(self._object_id)
        transfers.download(sink, self._meta.nbytes, self._open, label=label, wishes=self._wishes)

    def _open(self, transfer_id: bytes, offset: int) -> tuple[Link, Opened]:
        session, account = self._granted()
        message = OpenDownload(transfer_id, self._object_id, account, offset)
        reply = session.ask(message, timeout_s=patient_s(self._meta.nbytes, self._timing))
        return session.link, checked(reply.message, Opened)

    def _granted(self) -> tuple[Session, str]:
        """The session that has the object; after a break, a new one goes on with the transfer."""
        session, self._session = self._session or self._logins.session(), None
        return session, self._logins.account_of(self._user)


def _write(array: Array, sink: FileSink) -> None:
    source = ArraySource(array)
    for offset in range(0, source.size, CHUNK_BYTES):
        size = min(CHUNK_BYTES, source.size - offset)
        place = sink.place(offset, size)
        place[:] = source.chunk(offset, size)
        sink.keep(offset, place)
    sink.sync()
