"""An HTTP proxy that opens tunnels to some ports only.

python http_proxy.py HOST PORT ALLOWED_PORT

As a program it prints a line once it serves, and ends when its stdin closes.
"""

import sys

import trio


class ProxyServer:
    """Opens tunnels to the allowed ports, for those with the credentials; a handler for trio."""

    def __init__(self, *allowed: int, credentials: bytes = b"") -> None:
        self.allowed = set(allowed)
        self.asked: list[bytes] = []
        self._credentials = credentials

    async def __call__(self, near: trio.SocketStream) -> None:
        async with near:
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                head += await near.receive_some(1)
            self.asked.append(head)
            _, target, _ = head.split(b" ", 2)
            host, _, port = target.decode().rpartition(":")
            if self._credentials not in head:
                await near.send_all(b"HTTP/1.1 407 Who are you\r\nA: b\r\n\r\n")
            elif int(port) not in self.allowed:
                await near.send_all(b"HTTP/1.1 403 Forbidden\r\n\r\n")
            else:
                far = await trio.open_tcp_stream(host, int(port))
                await near.send_all(b"HTTP/1.1 200 OK\r\nVia: here\r\n\r\n")
                await _both_ways(near, far)


async def _both_ways(near: trio.SocketStream, far: trio.SocketStream) -> None:
    async def pass_on(source: trio.SocketStream, sink: trio.SocketStream) -> None:
        try:
            async for piece in source:
                await sink.send_all(piece)
            await sink.send_eof()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            nursery.cancel_scope.cancel()

    async with far, trio.open_nursery() as nursery:
        nursery.start_soon(pass_on, near, far)
        nursery.start_soon(pass_on, far, near)


async def serve(host: str, port: int, allowed: int) -> None:
    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(port, host=host)
        nursery.start_soon(trio.serve_listeners, ProxyServer(allowed), listeners)
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        await trio.lowlevel.wait_readable(sys.stdin.fileno())
        nursery.cancel_scope.cancel()


if __name__ == "__main__":
    trio.run(serve, sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
