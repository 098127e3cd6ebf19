"""A stream of bytes over WebSocket (RFC 6455) over TLS: what passes where only HTTPS does.

The protocol is wsproto's, which does no I/O: so there is no task that reads ahead, and who does
not read is not sent more. WebSocket has no half-close: an empty message says that this direction
has ended. TLS hides from the network who is dialled; who is there, the ends prove inside.
"""

import contextlib
import ssl
from collections.abc import Awaitable, Callable

import trio
from typing_extensions import override
from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Event,
    Ping,
    Pong,
    Request,
)
from wsproto.utilities import ProtocolError

from p2pgrid.net.certificate import client_context

PATH = "/p2pgrid"
READ_BYTES = 1 << 16
CLOSE_S = 1.0
# A Host that is no ASCII ends in a UnicodeError, which is a ValueError.
_NONSENSE = (ProtocolError, ValueError)


class WebSocketStream(trio.abc.HalfCloseableStream):
    """Bytes over the messages of one WebSocket; one task may read and one may write."""

    def __init__(self, carrier: trio.abc.Stream, kind: ConnectionType) -> None:
        self._carrier, self._protocol = carrier, WSConnection(kind)
        self._sending = trio.Lock()
        self._unread = bytearray()
        self._message_bytes = 0
        self._has_ended = self._has_said_end = False

    @override
    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        view = memoryview(data)
        for start in range(0, len(view), READ_BYTES):
            await self._send(BytesMessage(data=bytes(view[start : start + READ_BYTES])))

    @override
    async def wait_send_all_might_not_block(self) -> None:
        await self._carrier.wait_send_all_might_not_block()

    @override
    async def send_eof(self) -> None:
        if not self._has_said_end:
            self._has_said_end = True
            await self._send(BytesMessage(data=b""))

    @override
    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        while not self._unread and not self._has_ended:
            await self._read()
        size = len(self._unread) if max_bytes is None else max_bytes
        piece = bytes(self._unread[:size])
        del self._unread[:size]
        return piece

    @override
    async def aclose(self) -> None:
        with trio.move_on_after(CLOSE_S) as closing:
            closing.shield = True
            with contextlib.suppress(trio.BrokenResourceError):
                await self._send(CloseConnection(code=1000))
        await trio.aclose_forcefully(self._carrier)

    async def shake_hands(self, host: str) -> None:
        """Opens the WebSocket as a client.

        Raises:
            trio.BrokenResourceError: the other end hung up, or speaks no WebSocket.
        """
        await self._send(Request(host=host, target=PATH))
        await self._until(AcceptConnection)

    async def accept(self) -> None:
        """Opens the WebSocket as a server; raises as ``shake_hands`` does."""
        await self._until(Request)
        await self._send(AcceptConnection())

    async def _until(self, kind: type[Event]) -> None:
        """Reads until an event of the handshake; bytes may come right behind it."""
        self._awaited: type[Event] | None = kind
        while self._awaited is not None:
            await self._read()
            if self._has_ended:
                raise trio.BrokenResourceError("the other end speaks no WebSocket")

    async def _read(self) -> None:
        """Takes what came next off the wire."""
        piece = await self._carrier.receive_some(READ_BYTES)
        if not piece:
            self._has_ended = True
            return
        try:
            self._protocol.receive_data(piece)
            for event in self._protocol.events():
                await self._on(event)
        except _NONSENSE as error:
            raise trio.BrokenResourceError("the other end speaks no WebSocket") from error

    async def _on(self, event: Event) -> None:
        match event:
            case BytesMessage():
                self._unread += event.data
                self._message_bytes += len(event.data)
                if event.message_finished:  # somebody on the way may cut messages into frames
                    self._has_ended = self._message_bytes == 0
                    self._message_bytes = 0
            case Ping():
                await self._send(event.response())
            case Pong():
                pass
            case _ if self._awaited is not None and isinstance(event, self._awaited):
                self._awaited = None
            case _:  # a closing, a text, a refusal
                self._has_ended = True

    async def _send(self, event: Event) -> None:
        async with self._sending:
            try:
                await self._carrier.send_all(self._protocol.send(event))
            except (ProtocolError, trio.ClosedResourceError) as error:
                raise trio.BrokenResourceError("the WebSocket was closed") from error


async def open_websocket(plain: trio.abc.Stream, host: str) -> WebSocketStream:
    """A WebSocket over a connection to an HTTPS port, to whoever is there.

    Raises:
        trio.BrokenResourceError: the port speaks no TLS 1.3, or no WebSocket.
    """
    try:
        carrier = trio.SSLStream(
            plain, client_context(), server_hostname=host, https_compatible=True
        )
    except ValueError as error:
        raise trio.BrokenResourceError(f"{host!r} is no name of a host") from error
    stream = WebSocketStream(carrier, ConnectionType.CLIENT)
    await _or_close(carrier, lambda: stream.shake_hands(host))
    return stream


async def accept_websocket(plain: trio.abc.Stream, context: ssl.SSLContext) -> WebSocketStream:
    """The other end of ``open_websocket``; raises the same."""
    carrier = trio.SSLStream(plain, context, server_side=True, https_compatible=True)
    stream = WebSocketStream(carrier, ConnectionType.SERVER)
    await _or_close(carrier, stream.accept)
    return stream


async def _or_close(carrier: trio.abc.Stream, work: Callable[[], Awaitable[None]]) -> None:
    try:
        await work()
    except BaseException:
        await trio.aclose_forcefully(carrier)
        raise
