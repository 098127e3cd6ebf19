"""Bytes over WebSocket, against a client that keeps to the RFC and against one that does not."""

from collections.abc import Awaitable, Callable

import pytest
import trio
import trio.testing
from hypothesis import given, settings, strategies as st
from wsproto import ConnectionType, WSConnection
from wsproto.events import BytesMessage, CloseConnection, Ping, Pong, Request, TextMessage

from p2pgrid.net.websocket import WebSocketStream
from tests.contract.worlds import innermost

TEST_S = 20.0
Stream = trio.abc.HalfCloseableStream


def run(work: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        with trio.fail_after(TEST_S):
            await work()

    try:
        trio.run(bounded)
    except ExceptionGroup as group:
        raise innermost(group) from None


async def opened() -> tuple[WebSocketStream, WebSocketStream]:
    """Both ends of a WebSocket in memory."""
    near, far = trio.testing.memory_stream_pair()
    client = WebSocketStream(near, ConnectionType.CLIENT)
    server = WebSocketStream(far, ConnectionType.SERVER)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(client.shake_hands, "relay.example")
        nursery.start_soon(server.accept)
    return client, server


class Raw:
    """A client in the hands of a test."""

    def __init__(self) -> None:
        self.wire, far = trio.testing.memory_stream_pair()
        self.protocol = WSConnection(ConnectionType.CLIENT)
        self.server = WebSocketStream(far, ConnectionType.SERVER)

    async def open(self) -> None:
        opening = self.protocol.send(Request(host="relay.example", target="/"))
        await self.wire.send_all(opening)
        await self.server.accept()
        self.protocol.receive_data(bytes(await self.wire.receive_some(4096)))
        assert list(self.protocol.events())

    async def send(
        self, *events: BytesMessage | Ping | Pong | CloseConnection | TextMessage
    ) -> None:
        for event in events:
            await self.wire.send_all(self.protocol.send(event))


@settings(max_examples=20)
@given(pieces=st.lists(st.binary(min_size=1, max_size=300_000), max_size=5))
def test_bytes_come_out_as_they_went_in_and_then_the_end(pieces: list[bytes]) -> None:
    async def work() -> None:
        client, server = await opened()

        async def send(stream: Stream) -> None:
            for piece in pieces:
                await stream.send_all(piece)
            await stream.send_eof()

        heard = bytearray()

        async def receive() -> None:
            while piece := await server.receive_some(10_000):
                heard.extend(piece)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(send, client)
            nursery.start_soon(receive)
        assert heard == b"".join(pieces)
        await server.send_all(b"the other way is open")
        assert await client.receive_some(100) == b"the other way is open"
        await server.aclose()
        assert await client.receive_some(100) == b""
        await client.aclose()

    run(work)


def test_frames_of_one_message_and_pings_between_are_bytes_and_an_answer() -> None:
    async def work() -> None:
        raw = Raw()
        await raw.open()
        await raw.send(
            BytesMessage(data=b"ab", message_finished=False),
            Ping(payload=b"p"),
            BytesMessage(data=b"c", message_finished=False),
            BytesMessage(data=b"", message_finished=True),
            Pong(payload=b"q"),
        )
        heard = b""
        while len(heard) < 3:
            heard += await raw.server.receive_some()
        await raw.send(BytesMessage(data=b"d"))
        assert (heard, await raw.server.receive_some()) == (b"abc", b"d")
        raw.protocol.receive_data(bytes(await raw.wire.receive_some(4096)))
        (pong,) = raw.protocol.events()
        assert isinstance(pong, Pong)
        assert bytes(pong.payload) == b"p"
        await raw.server.aclose()

    run(work)


@pytest.mark.parametrize(
    "event", [CloseConnection(code=1000), TextMessage(data="text"), BytesMessage(data=b"")]
)
def test_what_is_no_bytes_is_the_end(
    event: CloseConnection | TextMessage | BytesMessage,
) -> None:
    async def work() -> None:
        raw = Raw()
        await raw.open()
        await raw.send(event)
        assert await raw.server.receive_some() == b""
        await raw.server.aclose()

    run(work)


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\nHost: r\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: \xff\r\nUpgrade: websocket\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01" * 100,
        b"GET / HTTP/1.1\r\nA: " + bytes(100_000),
        b"",
    ],
)
def test_what_is_no_websocket_is_a_broken_stream(data: bytes) -> None:
    async def work() -> None:
        raw = Raw()
        await raw.wire.send_all(data)
        await raw.wire.send_eof()
        with pytest.raises(trio.BrokenResourceError):
            await raw.server.accept()
        await raw.server.aclose()

    run(work)


def test_a_closing_does_not_wait_for_who_does_not_read() -> None:
    async def work() -> None:
        client, _ = await opened()
        with trio.fail_after(5):
            await client.aclose()
            with pytest.raises(trio.BrokenResourceError):
                await client.send_all(b"late")

    run(work)
