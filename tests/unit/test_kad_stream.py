"""Messages of the DHT come out of a stream as they went in, in whatever pieces."""

import pytest
import trio
from hypothesis import given, strategies as st
from libp2p.kad_dht.pb.kademlia_pb2 import Message
from libp2p.utils.varint import encode_uvarint

from p2pgrid.errors import RemoteProtocolError
from p2pgrid.net.kad_stream import KadStream

LIMIT = 4096


class Pipe:
    """A stream of libp2p that gives what was written, in pieces, and then ends."""

    def __init__(self, data: bytes = b"", *, piece: int = 1 << 20) -> None:
        self._data, self._piece = bytearray(data), piece

    async def write(self, data: bytes) -> None:
        self._data += data

    async def read(self, size: int) -> bytes:
        taken = bytes(self._data[: min(size, self._piece)])
        del self._data[: len(taken)]
        return taken


async def received(pipe: Pipe) -> list[bytes]:
    stream = KadStream(pipe, limit=LIMIT)
    found = []
    while (message := await stream.receive()) is not None:
        found.append(message.key)
    return found


@given(keys=st.lists(st.binary(max_size=300), max_size=5), piece=st.integers(1, 700))
def test_messages_come_out_as_they_went_in(keys: list[bytes], piece: int) -> None:
    async def work() -> None:
        pipe = Pipe(piece=piece)
        stream = KadStream(pipe, limit=LIMIT)
        for key in keys:
            await stream.send(Message(type=Message.FIND_NODE, key=key))
        assert await received(pipe) == keys

    trio.run(work)


@pytest.mark.parametrize(
    "data",
    [
        encode_uvarint(LIMIT + 1) + bytes(LIMIT + 1),
        b"\xff\xff\xff\xff\xff\xff\x01",
        b"\x05half",
        b"\x02\xff\xff",
    ],
)
def test_what_is_too_long_cut_off_or_no_message_is_refused(data: bytes) -> None:
    for piece in (1, 1 << 20):
        with pytest.raises(RemoteProtocolError):
            trio.run(received, Pipe(data, piece=piece))


def test_the_largest_message_is_read() -> None:
    message = Message(key=bytes(LIMIT))
    message.key = bytes(2 * LIMIT - message.ByteSize())
    assert message.ByteSize() == LIMIT
    pipe = Pipe(encode_uvarint(LIMIT) + message.SerializeToString())
    assert trio.run(received, pipe) == [message.key]
