"""How an HTTP proxy is asked for a tunnel (``CONNECT``, RFC 9110, section 9.3.6)."""

import base64
import re
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from typing_extensions import override

from p2pgrid.errors import RemoteProtocolError, SchemaError

MAX_ANSWER_BYTES = 8192
ANSWER_END = b"\r\n\r\n"
_STATUS = re.compile(rb"HTTP/1\.[01] ([0-9]{3})(?: ([^\r\n]{0,80}))?")
_HTTP_PORT = 80


class Proxy(NamedTuple):
    """A proxy; ``credentials`` are what it asks a user for, ``name:password``, or empty."""

    host: str
    port: int
    credentials: str = ""

    @override
    def __repr__(self) -> str:
        return f"<Proxy {self.name}>"

    @property
    def name(self) -> str:
        """For people to read, without the credentials."""
        return f"{self.host}:{self.port}"


def parse_proxy(text: str) -> Proxy:
    """Reads ``http://host:port`` or ``http://user:password@host:port``.

    Raises:
        SchemaError: it is no such URL; the text is not repeated, it may hold a password.
    """
    try:
        url = urlsplit(text)
        port = url.port
    except ValueError:
        url, port = urlsplit(""), None
    if url.scheme != "http" or not url.hostname or url.path not in {"", "/"} or url.query:
        raise SchemaError(field="proxy", problem="expected a URL such as http://proxy.example:3128")
    credentials = ""
    if url.username is not None:
        credentials = f"{unquote(url.username)}:{unquote(url.password or '')}"
    return Proxy(url.hostname, _HTTP_PORT if port is None else port, credentials)


def encode_connect(proxy: Proxy, host: str, port: int) -> bytes:
    """Asks a proxy for a tunnel to a port of a host, by name or by address."""
    target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    lines = [f"CONNECT {target} HTTP/1.1", f"Host: {target}"]
    if proxy.credentials:
        lines.append(f"Proxy-Authorization: Basic {_base64(proxy.credentials)}")
    return "\r\n".join((*lines, "", "")).encode()


def decode_answer(head: bytes) -> str:
    """Why a proxy refused, in its own words; empty when the tunnel is open.

    Raises:
        RemoteProtocolError: what answered is no HTTP proxy.
    """
    status = _STATUS.match(head)
    if status is None:
        raise RemoteProtocolError("what answered at the address of the proxy is no HTTP proxy")
    number, words = status.groups(default=b"")
    if number.startswith(b"2"):
        return ""
    text = words.decode("ascii", errors="replace")
    return f"{number.decode()} {''.join(c if c.isprintable() else '?' for c in text)}".strip()


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
