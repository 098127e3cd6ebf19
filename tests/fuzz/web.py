"""URLs, documents of nodes, and what visitors of a node's pages send."""

import asyncio

from typing_extensions import override

from actors.pages import JSON, Page, PageServer
from p2pgrid.errors import (
    AddressError,
    IdentityMismatchError,
    RecordError,
    RemoteProtocolError,
    UnavailableError,
)
from p2pgrid.protocol.records import NodeRecord, sign
from p2pgrid.protocol.web import document_of, read_document, web_address
from tests.fuzz.wire import NOW, PEER, SEED


def document(data: bytes) -> None:
    """Any bytes are the document of the node that signed it, or a typed error."""
    try:
        peer_id, body = read_document(data, now=NOW)
    except (RecordError, RemoteProtocolError, IdentityMismatchError):
        return
    assert peer_id == PEER
    assert read_document(document_of(sign(body, signing_key=SEED), PEER), now=NOW)[1] == body


def documents() -> list[bytes]:
    """Seeds: the document of a domain, and of a network without addresses."""
    address = f"/ip4/192.0.2.7/tcp/4001/p2p/{PEER}"
    domain = NodeRecord("domain", "clinic", (address,), seq=7, expires=NOW + 600, datasets=1)
    network = NodeRecord("network", "city", (), seq=0, expires=NOW + 1)
    return [document_of(sign(it, signing_key=SEED), PEER) for it in (domain, network)]


def url(data: bytes) -> None:
    """Any text is a URL that reads the same again, or ``AddressError``."""
    try:
        address = web_address(data.decode(errors="replace"))
    except AddressError:
        return
    assert web_address(str(address)) == address
    assert all(str(place).isascii() for place in address.documents())


def urls() -> list[bytes]:
    """Seeds: with and without port and path."""
    return [b"http://nhs.co.uk/pygrid", b"wss://[::1]:5000/", b"https://a"]


class Visitor(asyncio.Transport):
    """Where an answer goes."""

    def __init__(self) -> None:
        super().__init__()
        self.answer, self.is_closed = b"", False

    @override
    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.answer += data

    @override
    def is_closing(self) -> bool:
        return self.is_closed

    @override
    def close(self) -> None:
        self.is_closed = True


async def _visit(data: bytes) -> bytes:
    async def page() -> Page:
        raise UnavailableError(domain="clinic")

    async def other() -> Page:
        return Page(JSON, b"{}")

    reader, visitor = asyncio.StreamReader(), Visitor()
    reader.feed_data(data)
    reader.feed_eof()
    protocol = asyncio.StreamReaderProtocol(reader)
    writer = asyncio.StreamWriter(visitor, protocol, reader, asyncio.get_running_loop())
    await PageServer({"/a": page, "/b": other})._visit(reader, writer)
    return visitor.answer


def request(data: bytes) -> None:
    """Any bytes get one answer of HTTP, and never more than a page; no bytes get none."""
    answer = asyncio.run(_visit(data))
    if not data:
        assert answer == b""
        return
    assert answer.startswith(b"HTTP/1.1 ")
    assert answer.count(b"HTTP/1.1 ") == 1
    assert answer[9:12] in {b"200", b"400", b"404", b"405", b"503"}


def requests() -> list[bytes]:
    """Seeds: what browsers and web servers ask."""
    return [
        b"GET /b?t=1 HTTP/1.1\r\nHost: a\r\nAccept: */*\r\n\r\n",
        b"GET /a HTTP/1.0\r\n\r\n",
        b"POST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}",
    ]
