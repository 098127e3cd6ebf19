"""Fetches a node's document from the web: little of it, soon or not at all, from whom was asked.

No proxy but the client's own, no cookies, no passwords. A redirect is followed to the same host
only, and never from HTTPS to HTTP: to go elsewhere is the person's choice.
"""

import base64
import socket
import time
from collections.abc import Callable, Iterable
from contextlib import closing, suppress
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from urllib.parse import urljoin

from p2pgrid.client.in_thread import in_thread
from p2pgrid.errors import (
    AddressError,
    NotAGridNetworkError,
    PeerUnreachableError,
    RemoteProtocolError,
)
from p2pgrid.ids import PeerId
from p2pgrid.protocol.proxy import Proxy
from p2pgrid.protocol.records import NodeRecord
from p2pgrid.protocol.text import cut
from p2pgrid.protocol.web import DOCUMENT_BYTES, WebAddress, read_document, web_address

MAX_REDIRECTS = 3
_OK, _REDIRECTS, _NOT_FOUND = 200, {301, 302, 303, 307, 308}, {404, 410}
Connect = Callable[[WebAddress], HTTPConnection]
_CONNECTIONS: dict[str, type[HTTPConnection]] = {"http": HTTPConnection, "https": HTTPSConnection}


def fetch_document(
    address: WebAddress, *, timeout_s: float, proxy: Proxy | None = None
) -> tuple[PeerId, NodeRecord]:
    """Who is at a URL, and what that node says of itself; see ``protocol.web.read_document``.

    Raises:
        PeerUnreachableError: nobody answered in time.
        NotAGridNetworkError: what answered has no document of a node.
        RecordError, IdentityMismatchError: the document is not to be believed.
    """
    sockets: list[socket.socket] = []

    def connect(place: WebAddress) -> HTTPConnection:
        connection = _connection(place, timeout_s=timeout_s, proxy=proxy)
        connection.connect()
        sockets.append(connection.sock)
        return connection

    work = in_thread(lambda: _first_of(address, connect), name="fetch")
    try:
        content = work.result(timeout_s)
    except TimeoutError:
        _hang_up(sockets)  # or the thread would read as long as a server drips
        raise _unreachable(address, f"no answer within {timeout_s:g} s") from None
    except (OSError, HTTPException) as error:
        raise _unreachable(address, f"{type(error).__name__}: {error}") from error
    try:
        return read_document(content, now=time.time())
    except RemoteProtocolError as error:
        raise NotAGridNetworkError(address=str(address), problem=str(error)) from error


def _first_of(address: WebAddress, connect: Connect) -> bytes:
    for place in address.documents():
        content = _fetch(place, connect)
        if content is not None:
            return content
    raise NotAGridNetworkError(
        address=str(address), problem=f"neither of {_listed(address)} is there"
    )


def _fetch(place: WebAddress, connect: Connect) -> bytes | None:
    """What is at a place; None when nothing is."""
    for _ in range(1 + MAX_REDIRECTS):
        with closing(connect(place)) as connection:
            connection.request("GET", place.path, headers={"Accept": "application/json"})
            with connection.getresponse() as answer:
                if answer.status not in _REDIRECTS:
                    return _body(place, answer)
                place = _redirected(place, answer)
    raise NotAGridNetworkError(address=str(place), problem="it redirects again and again")


def _hang_up(sockets: Iterable[socket.socket]) -> None:
    for each in tuple(sockets):
        with suppress(OSError):  # it has ended by itself
            each.shutdown(socket.SHUT_RDWR)


def _connection(place: WebAddress, *, timeout_s: float, proxy: Proxy | None) -> HTTPConnection:
    make = _CONNECTIONS[place.scheme]
    if proxy is None:
        return make(place.host, place.port, timeout=timeout_s)
    connection = make(proxy.host, proxy.port, timeout=timeout_s)
    headers = {}
    if proxy.credentials:
        secret = base64.b64encode(proxy.credentials.encode()).decode()
        headers["Proxy-Authorization"] = f"Basic {secret}"
    connection.set_tunnel(place.host, place.port, headers)
    return connection


def _redirected(place: WebAddress, answer: HTTPResponse) -> WebAddress:
    target = urljoin(str(place), answer.headers.get("Location", ""))
    try:
        new = web_address(target)
    except AddressError as error:
        raise NotAGridNetworkError(
            address=str(place), problem="it redirects to what is no URL"
        ) from error
    if new.host != place.host or (place.scheme, new.scheme) == ("https", "http"):
        raise NotAGridNetworkError(
            address=str(place),
            problem=f"it redirects to {new.scheme}://{new.host}; give that URL, if you trust it",
        )
    return new


def _body(place: WebAddress, answer: HTTPResponse) -> bytes | None:
    if answer.status in _NOT_FOUND:
        return None
    if answer.status != _OK:
        raise NotAGridNetworkError(address=str(place), problem=f"it answers {answer.status}")
    content = answer.read(DOCUMENT_BYTES + 1)
    if len(content) > DOCUMENT_BYTES:
        raise NotAGridNetworkError(
            address=str(place), problem=f"the document has more than {DOCUMENT_BYTES:,} bytes"
        )
    return content


def _listed(address: WebAddress) -> str:
    return ", ".join(str(place) for place in address.documents())


def _unreachable(address: WebAddress, reason: str) -> PeerUnreachableError:
    """The reason may repeat what a server has sent."""
    return PeerUnreachableError(peer=str(address), addresses=1, reason=cut(reason))
