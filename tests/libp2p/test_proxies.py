"""HTTP proxies on the way: what they ask for and answer, and what they do not learn."""

import pytest
import trio

from p2pgrid.errors import (
    ProxyRefusedError,
    RemoteProtocolError,
)
from p2pgrid.net.addresses import Route
from p2pgrid.net.pipes import Pipes
from p2pgrid.net.splice import stream_over
from p2pgrid.protocol.proxy import Proxy
from tests.libp2p.http_proxy import ProxyServer
from tests.libp2p.relaying import (
    BOB,
    BY,
    HERE,
    at_a_port,
    run,
    says,
    world,
)

pytestmark = [pytest.mark.libp2p, pytest.mark.usefixtures("no_socket_left")]


@BY
def test_pipes_go_through_an_http_proxy_at_both_ends(websocket: bool) -> None:
    async def work() -> None:
        server = ProxyServer(credentials=b"Basic YW5uOmdlaGVpbQ==")
        async with at_a_port(server) as (host, port):
            proxy = Proxy(host, port, "ann:geheim")
            async with world(websocket=websocket, proxy=proxy) as here:
                server.allowed = {here.port}
                async with await here.dial() as stream:
                    await says(stream, bytes(100_000))
                assert len(server.asked) == 2  # who dials, and who brings

    run(work)


def test_what_a_proxy_answers_is_in_the_error_and_the_password_is_not() -> None:
    async def work() -> None:
        server = ProxyServer(credentials=b"somebody else")
        async with at_a_port(server) as (host, port):
            pipes = Pipes(Proxy(host, port, "ann:geheim"))
            with pytest.raises(ProxyRefusedError, match="407 Who are you") as refused:
                await pipes.connect(Route(HERE, 443, BOB), "libp2p", port=443)
            assert "geheim" not in str(refused.value)
            assert (refused.value.proxy, refused.value.target) == (f"{host}:{port}", f"{HERE}:443")

    run(work)


def test_what_comes_right_behind_the_answer_of_a_proxy_is_for_whoever_connects() -> None:
    async def eager(stream: trio.SocketStream) -> None:
        async with stream:
            await stream.receive_some(4096)
            await stream.send_all(b"HTTP/1.1 200 OK\r\n\r\nfirst words")
            assert await stream.receive_some(1) == b""

    async def work() -> None:
        async with at_a_port(eager) as place:
            plain = await Pipes(Proxy(*place)).connect(Route(HERE, 443), "libp2p", port=443)
            async with stream_over(plain) as stream:
                assert await stream.receive_some(100) == b"first words"

    run(work)


@pytest.mark.parametrize("answer", [b"SSH-2.0-OpenSSH\r\n\r\n", b"x" * 10_000, b""])
def test_what_is_no_proxy_is_a_typed_error(answer: bytes) -> None:
    async def pretends(stream: trio.SocketStream) -> None:
        async with stream:
            await stream.receive_some(1)
            await stream.send_all(answer)

    async def work() -> None:
        async with at_a_port(pretends) as place:
            with pytest.raises((RemoteProtocolError, OSError)):
                await Pipes(Proxy(*place)).connect(Route(HERE, 443), "libp2p", port=443)

    run(work)


def test_a_name_that_no_host_has_is_an_error_of_the_system() -> None:
    async def work() -> None:
        for name in ("a\0b", "x" * 300, ".x"):
            for websocket in (False, True):
                with pytest.raises(OSError, match=r".*"):
                    await Pipes().connect(Route(name, 443, BOB, websocket), "tls", port=443)

    run(work)
