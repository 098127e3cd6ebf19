"""Web servers that answer what a test says, and how tests read the pages of nodes."""

import json
import threading
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

from typing_extensions import override

from p2pgrid.protocol.web import CONNECTED_NODES
from tests.fabric.conftest import FabricNode


class Answer(NamedTuple):
    """What a server answers at a path."""

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = {}


class Site:
    """A server on loopback; ``asked`` are the paths that were asked for."""

    def __init__(self, answer: Callable[[str], Answer]) -> None:
        site = self
        self.asked: list[str] = []

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                site.asked.append(self.path)
                given = answer(self.path)
                self.send_response(given.status)
                for name, value in given.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(given.body)))
                self.end_headers()
                self.wfile.write(given.body)

            @override
            def log_message(self, format: str, *args: object) -> None:
                """Says nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@contextmanager
def site(answer: Callable[[str], Answer]) -> Iterator[Site]:
    """A server while the context is open."""
    made = Site(answer)
    try:
        yield made
    finally:
        made.close()


def read(url: str) -> bytes:
    """What is at a URL."""
    with urllib.request.urlopen(url, timeout=10) as page:  # noqa: S310 our own
        content: bytes = page.read()
    return content


def connected(city: FabricNode) -> Any:
    """What a network says at ``/connected-nodes``."""
    return json.loads(read(city.node.url + CONNECTED_NODES))
