"""A node on the web: where its document is, and what that says.

``/.well-known/p2pgrid.json`` is how a person's URL leads to a peer id. Only the signed record in it
is believed; the fields beside that are for people. Over plain HTTP whoever is on the way may put
the document of *another* node in its place, but none that speaks for a key it does not have.
"""

import re
from typing import Annotated, NamedTuple
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta
from typing_extensions import override

from p2pgrid.errors import (
    AddressError,
    ForgedRecordError,
    IdentityMismatchError,
    RemoteProtocolError,
)
from p2pgrid.ids import PeerId, public_key_of
from p2pgrid.protocol.malformed import MALFORMED
from p2pgrid.protocol.records import DHT_RECORD_BYTES, NodeRecord, SignedRecord, verify

WELL_KNOWN = "/.well-known/p2pgrid.json"
CONNECTED_NODES = "/connected-nodes"
DOCUMENT_BYTES = 64 * 1024
BY_PEER_ID = "p2pgrid://"
_SCHEMES = {"http": "http", "https": "https", "ws": "http", "wss": "https"}
"""``ws`` is what PySyft called its nodes; it means the same place."""
_PORTS = {"http": 80, "https": 443}
_HOST = re.compile(r"[A-Za-z0-9._-]{1,253}|[0-9a-fA-F:.]{2,45}")
_PATH = re.compile(r"[!-~]{0,1024}")


class WebAddress(NamedTuple):
    """Where a URL leads; ``path`` has no slash at its end."""

    scheme: str
    host: str
    port: int
    path: str

    @override
    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == _PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{host}{port}{self.path}"

    def documents(self) -> "tuple[WebAddress, ...]":
        """Where the document of a node may be: below the path of its URL, then at the root."""
        paths = dict.fromkeys((self.path + WELL_KNOWN, WELL_KNOWN))
        return tuple(self._replace(path=path) for path in paths)


def is_web(text: str) -> bool:
    """Whether a text is meant as a URL of the web."""
    return text.partition("://")[0].lower() in _SCHEMES and "://" in text


def web_address(text: str) -> WebAddress:
    """Reads an ``http``, ``https``, ``ws`` or ``wss`` URL.

    Raises:
        AddressError: it is none, or has a password, a query or a fragment.
    """
    try:
        url = urlsplit(text)
        port = url.port
    except ValueError as error:
        raise AddressError(address=text) from error
    scheme, host = _SCHEMES.get(url.scheme, ""), url.hostname or ""
    is_plain = not (url.username or url.password or url.query or url.fragment)
    if not (scheme and is_plain and _HOST.fullmatch(host) and _PATH.fullmatch(url.path)):
        raise AddressError(address=text)
    return WebAddress(scheme, host, _PORTS[scheme] if port is None else port, url.path.rstrip("/"))


def peer_id_at(text: str) -> PeerId:
    """The peer id in ``p2pgrid://12D3KooW...``.

    Raises:
        AddressError: there is none.
    """
    peer_id = PeerId(text.removeprefix(BY_PEER_ID).rstrip("/"))
    try:
        public_key_of(peer_id)
    except ValueError as error:
        raise AddressError(address=text) from error
    return peer_id


class NodeDocument(msgspec.Struct, frozen=True):
    """What a node serves; JSON, ``record`` in base64. Readers pass over fields they do not know."""

    kind: Annotated[str, Meta(max_length=32)]
    name: Annotated[str, Meta(max_length=128)]
    peer_id: Annotated[str, Meta(max_length=64)]
    addresses: Annotated[tuple[Annotated[str, Meta(max_length=256)], ...], Meta(max_length=16)]
    record: Annotated[bytes, Meta(max_length=DHT_RECORD_BYTES)]


def document_of(record: SignedRecord, peer_id: PeerId) -> bytes:
    """The document of a node that has signed this record."""
    body = record.body()
    if not isinstance(body, NodeRecord):
        raise TypeError("the document of a node holds the record of a node")
    return msgspec.json.encode(
        NodeDocument(body.kind, body.name, peer_id, body.addresses, record.encode())
    )


def read_document(content: bytes, *, now: float) -> tuple[PeerId, NodeRecord]:
    """Who a document is about, and what that node says of itself; ``now`` in Unix seconds.

    Raises:
        RemoteProtocolError: it is no such document.
        RecordError: its record is forged, expired, oversized, or no node's.
        IdentityMismatchError: the record is signed by another key than that of its peer id.
    """
    try:
        document = msgspec.json.decode(content, type=NodeDocument)
    except MALFORMED as error:
        raise RemoteProtocolError("this is not the document of a p2pgrid node") from error
    body, signer = verify(document.record, now=now, max_bytes=DHT_RECORD_BYTES)
    if not isinstance(body, NodeRecord):
        raise ForgedRecordError("a dataset's record was given for a node's")
    if signer != document.peer_id:
        raise IdentityMismatchError(
            f"the document is about {document.peer_id}, but its record is signed by {signer}"
        )
    return signer, body
