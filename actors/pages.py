"""A few pages over HTTP: ``GET`` at fixed paths, one request per connection, all of it bounded.

For what is made anew at each request and is small. A request has ``ASK_S`` seconds to arrive and
its answer to leave, so that slow visitors cannot keep others out; see ADR 0020.
"""

import asyncio
import contextlib
import errno
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import NamedTuple

import h11

from p2pgrid.errors import NetworkError, PortInUseError

log = logging.getLogger(__name__)

ASK_S = 5.0
MAX_HEAD_BYTES = 8192
MAX_VISITORS = 64
JSON = "application/json"


class Page(NamedTuple):
    """What a page holds now."""

    content_type: str
    body: bytes


Pages = Mapping[str, Callable[[], Awaitable[Page]]]
"""By path."""


class PageServer:
    """Answers ``GET`` at the paths of ``pages``, and nothing else."""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages
        self._visitors = 0
        self._server: asyncio.Server | None = None
        self.url = ""
        """Where it listens, without a path; empty before the start."""

    async def start(self, host: str, port: int) -> None:
        """Listens; port 0 takes a free one.

        Raises:
            PortInUseError: another process listens there.
        """
        try:
            self._server = await asyncio.start_server(self._visit, host, port, limit=MAX_HEAD_BYTES)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise PortInUseError(port=port) from error
            raise
        self.url = f"http://{host}:{self._server.sockets[0].getsockname()[1]}"

    async def stop(self) -> None:
        """Stops to listen, if it does."""
        if self._server is not None:
            self._server.close()

    async def _visit(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._visitors += 1
        try:
            if self._visitors <= MAX_VISITORS:
                with contextlib.suppress(TimeoutError, ConnectionError):
                    async with asyncio.timeout(ASK_S):
                        await self._serve(reader, writer)
        finally:
            self._visitors -= 1
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        http = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD_BYTES)
        event = await _first_event(http, reader)
        if isinstance(event, h11.ConnectionClosed):
            return
        status, page = await self._answer(event)
        headers = [
            ("Content-Type", page.content_type),
            ("Content-Length", str(len(page.body))),
            ("Connection", "close"),
        ]
        answer = h11.Response(status_code=status, headers=headers)
        for event in (answer, h11.Data(data=page.body), h11.EndOfMessage()):
            writer.write(http.send(event) or b"")
        await writer.drain()

    async def _answer(self, request: object) -> tuple[int, Page]:
        nothing = Page("text/plain", b"")
        if not isinstance(request, h11.Request):
            return 400, nothing
        make = self._pages.get(request.target.partition(b"?")[0].decode("ascii"))
        if make is None:
            return 404, nothing
        if request.method != b"GET":
            return 405, nothing
        try:
            return 200, await make()
        except NetworkError as error:
            log.warning("no page", extra={"error": type(error).__name__})
            return 503, nothing


async def _first_event(http: h11.Connection, reader: asyncio.StreamReader) -> object:
    """The head of a request, or that the visitor left; None when it is not HTTP, or too large."""
    try:
        while (event := http.next_event()) is h11.NEED_DATA:
            http.receive_data(await reader.read(MAX_HEAD_BYTES))
    except h11.RemoteProtocolError:
        return None
    return event
