"""Questions and answers of Kademlia on one libp2p stream, as many as both ends like.

The standard lets a stream be used again and again. Opening one takes three to five times as much
as a question on one that is open.
"""

import trio
from google.protobuf.message import DecodeError
from libp2p.abc import INetStream
from libp2p.kad_dht.pb.kademlia_pb2 import Message
from libp2p.utils.varint import encode_uvarint

from p2pgrid.errors import RemoteProtocolError

RESET_S = 1.0
_PREFIX_BYTES = 4  # of a length below 256 MiB
_MORE = 0x80  # set in all bytes of a length but the last
_READ_BYTES = 64 * 1024


class KadStream:
    """Messages, each with its length before it. Reads and writes have no deadlines of their own.

    Args:
        stream: An open stream of libp2p.
        limit: Longest message of the peer, in bytes.
    """

    def __init__(self, stream: INetStream, *, limit: int) -> None:
        self._stream, self._limit = stream, limit
        self._ahead = bytearray()

    async def send(self, message: Message) -> None:
        """Writes a message."""
        body = message.SerializeToString()
        await self._stream.write(encode_uvarint(len(body)) + body)

    async def receive(self) -> Message | None:
        """The next message; None at the end of the stream.

        Raises:
            RemoteProtocolError: it is too long, cut off, or no message at all.
        """
        body = await self.receive_bytes()
        message = Message()
        try:
            message.ParseFromString(body or b"")
        except DecodeError as error:
            raise RemoteProtocolError("a message of the DHT cannot be decoded") from error
        return None if body is None else message

    async def receive_bytes(self) -> bytes | None:
        """What the next message consists of; None at the end of the stream.

        Raises:
            RemoteProtocolError: it is too long or cut off.
        """
        while (size := self._length()) is None:
            if not await self._read_on():
                return None
        while len(self._ahead) < size:
            if not await self._read_on():
                raise RemoteProtocolError("a message of the DHT is cut off")
        body = bytes(self._ahead[:size])
        del self._ahead[:size]
        return body

    async def _read_on(self) -> bool:
        piece = await self._stream.read(_READ_BYTES)
        self._ahead += piece
        return bool(piece)

    def _length(self) -> int | None:
        """Takes the length off, once all of it is here."""
        size = 0
        for index, byte in enumerate(self._ahead[:_PREFIX_BYTES]):
            size |= (byte & ~_MORE) << (7 * index)
            if not byte & _MORE:
                if size > self._limit:
                    break
                del self._ahead[: index + 1]
                return size
        else:
            if len(self._ahead) < _PREFIX_BYTES:
                return None
        raise RemoteProtocolError(f"a message of the DHT has more than {self._limit:,} bytes")

    async def reset(self) -> None:
        """Ends the stream at once, also while being cancelled, and never waits for the peer."""
        with trio.move_on_after(RESET_S) as ending:
            ending.shield = True
            await self._stream.reset()
