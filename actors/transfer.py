"""One large array on its way: an upload into a draft, or a download from a file.

Both block; they are worked on in the threads of the bulk port, or in those that the gateway lends
to chunks of the control stream, one at a time.
"""

import time
from pathlib import Path
from typing import NamedTuple

from actors.ports import Exported
from p2pgrid.errors import RemoteProtocolError
from p2pgrid.ids import PeerId
from p2pgrid.net.bulk import Receiver, receive, send
from p2pgrid.net.bulk_files import FileSink, FileSource, npy_header
from p2pgrid.net.bulk_pipe import Pipe
from p2pgrid.policy.access import Label
from p2pgrid.protocol.bulk import LINK_CHUNK_BYTES, Progress
from p2pgrid.protocol.codec import Buffer
from p2pgrid.protocol.operations import ArrayMeta


class Holder(NamedTuple):
    """For whom a transfer is: an account that logged in at a peer."""

    account: str
    peer: PeerId


class Upload:
    """An array that comes in, as a draft of a ``.npy`` file, preallocated."""

    def __init__(self, path: Path, meta: ArrayMeta, holder: Holder, *, spare: int) -> None:
        """Makes the draft.

        Raises:
            DiskFullError: the disk has no room for it and ``spare`` bytes more.
        """
        self.holder = holder
        self.meta = meta
        self.size = meta.nbytes
        self.touched_at = time.monotonic()
        header = npy_header(meta.shape, meta.dtype)
        self._start = len(header)
        self._sink = FileSink(path, header=header, size=self.size, spare=spare)
        self._receiver = Receiver(self._sink, Progress(self.size))

    @property
    def is_finished(self) -> bool:
        """True when all of it is durable."""
        return self._receiver.progress.is_whole

    @property
    def rested_s(self) -> float:
        """For how long nothing has happened."""
        return time.monotonic() - self.touched_at

    def rewind(self, offset: int) -> int:
        """Makes durable what came: where to go on, whatever the client asks for."""
        del offset
        self._receiver.settle()
        return self._receiver.progress.resume()

    def work(self, pipe: Pipe) -> None:
        """Receives the rest; ``rewind`` makes durable what came before a break."""
        try:
            receive(pipe, self._receiver)
        finally:
            self._rest()

    def take(self, offset: int, digest: bytes, chunk: Buffer) -> int:
        """Takes the next chunk of the control stream; how many bytes are durable.

        Raises:
            RemoteProtocolError: it is not the next one, or damaged.
        """
        place = self._receiver.place(offset, len(chunk), LINK_CHUNK_BYTES)
        place[:] = chunk
        self._receiver.keep(offset, place, digest)
        self._rest()
        return self._receiver.progress.durable

    def take_out(self, path: Path) -> Exported:
        """Gives the whole draft another name; where its bytes are then."""
        self.leave()
        path.parent.mkdir(mode=0o700, exist_ok=True)
        self._sink.draft.rename(path)
        return Exported(path, self._start, is_temporary=True)

    def leave(self) -> None:
        """Lets go of the draft, which stays."""
        self._receiver.close()
        self._sink.close()

    def _rest(self) -> None:
        self.touched_at = time.monotonic()
        if self.is_finished:
            self.leave()

    def close(self) -> None:
        """Removes the draft."""
        self._receiver.close()
        self._sink.discard()


class Download:
    """An object that goes out, from a file: of a dataset, or from the spool.

    The label is that of the object when it was opened: it decides again at every resumption.
    """

    def __init__(self, exported: Exported, label: Label, holder: Holder) -> None:
        self.holder = holder
        self.label = label
        self.size = label.meta.nbytes
        self.touched_at = time.monotonic()
        self.is_finished = False
        self._offset = 0
        self._source = source_of(exported, self.size)

    @property
    def rested_s(self) -> float:
        """For how long nothing has happened."""
        return time.monotonic() - self.touched_at

    def rewind(self, offset: int) -> int:
        """Goes on where the client asks.

        Raises:
            RemoteProtocolError: behind the end.
        """
        if offset > self.size:
            raise RemoteProtocolError(f"{offset:,} is behind the end of {self.size:,} bytes")
        self._offset = offset
        return offset

    def work(self, pipe: Pipe) -> None:
        """Sends the rest, until the client said that it has all."""
        try:
            send(pipe, self._source, Progress(self.size, durable=self._offset))
            self.is_finished = True
        finally:
            self.touched_at = time.monotonic()

    def give(self, offset: int) -> bytes:
        """A chunk for the control stream.

        Raises:
            RemoteProtocolError: there is none at this offset.
        """
        self.touched_at = time.monotonic()
        if offset >= self.size:
            raise RemoteProtocolError(f"{offset:,} is behind the end of {self.size:,} bytes")
        return bytes(self._source.chunk(offset, min(LINK_CHUNK_BYTES, self.size - offset)))

    def close(self) -> None:
        """Closes the file."""
        self._source.close()


def source_of(exported: Exported, size: int) -> FileSource:
    """The bytes of an exported object; they are gone when the source is closed, if temporary."""
    source = FileSource(exported.path, start=exported.start, size=size)
    if exported.is_temporary:
        exported.path.unlink()  # what is open stays readable, and nothing is left behind
    return source
