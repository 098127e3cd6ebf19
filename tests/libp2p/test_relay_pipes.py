"""A relay over real sockets, with the domain's side in the hands of the tests."""

import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import Future
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import psutil
import pytest
import trio

from p2pgrid.config import DEFAULT_LIMITS, DEFAULT_TIMING, Limits, Timing
from p2pgrid.errors import (
    BusyError,
    ProxyRefusedError,
    RelayRefusedError,
    RemoteProtocolError,
    TransportError,
)
from p2pgrid.ids import PeerId
from p2pgrid.net.addresses import Route
from p2pgrid.net.pipes import Pipes
from p2pgrid.net.relay import MAX_STRANGERS, Relay, RelayPorts
from p2pgrid.net.splice import stream_over
from p2pgrid.protocol.messages import Incoming
from p2pgrid.protocol.proxy import Proxy
from p2pgrid.protocol.relay import REASONS, Dial, Take, Verdict, encode_hello
from tests.contract.worlds import innermost, peer_of
from tests.libp2p.http_proxy import ProxyServer

pytestmark = pytest.mark.libp2p

TEST_S = 20.0
HERE = "127.0.0.1"
RELAY, BOB, EVE = (peer_of(number) for number in (1, 2, 3))
TIMING = replace(DEFAULT_TIMING, hello_s=1.0)
QUICK = replace(DEFAULT_TIMING, hello_s=0.2)
BY = pytest.mark.parametrize("websocket", [False, True], ids=["tcp", "websocket"])


def run(work: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        with trio.fail_after(TEST_S):
            await work()

    try:
        trio.run(bounded)
    except ExceptionGroup as group:
        raise innermost(group) from None


@pytest.fixture(autouse=True)
def no_socket_left() -> Iterator[None]:
    before = set(psutil.Process().net_connections())
    yield
    assert set(psutil.Process().net_connections()) == before


@dataclass
class Bob:
    """A domain with a place; it brings the pipes that it is asked for, to a port that echoes."""

    peer: PeerId = BOB
    is_open: bool = True
    asked: list[Incoming] = field(default_factory=list)
    bring: Callable[[Incoming], Awaitable[None]] | None = None
    nursery: Any = None

    def request(self, message: Incoming, *, timeout_s: float) -> "Future[Any]":
        assert timeout_s > 0
        self.asked.append(message)
        answer: Future[Any] = Future()
        if self.bring is not None:
            self.nursery.start_soon(self._bring, message, answer)
        return answer

    async def _bring(self, message: Incoming, answer: "Future[Any]") -> None:
        assert self.bring is not None
        try:
            await self.bring(message)
        except TransportError as error:
            answer.set_exception(error)


@dataclass
class World:
    """A relay, whom it knows, and how to get there."""

    relay: Relay
    bob: Bob
    pipes: Pipes
    port: int
    websocket: bool
    echo: tuple[str, int]

    def route(self, peer: PeerId = BOB) -> Route:
        return Route(HERE, self.port, peer, self.websocket)

    async def dial(self, peer: PeerId = BOB) -> trio.SocketStream:
        return stream_over(await self.pipes.connect(self.route(peer), "libp2p", port=1))

    async def bring(self, message: Incoming) -> None:
        await self.pipes.bring([self.route()], message.ticket, to=self.echo)


async def echo(stream: trio.SocketStream) -> None:
    async with stream:
        try:
            async for piece in stream:
                await stream.send_all(piece)
        except trio.BrokenResourceError:
            return


@asynccontextmanager
async def at_a_port(
    handler: Callable[[trio.SocketStream], Awaitable[None]],
) -> AsyncIterator[tuple[str, int]]:
    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host=HERE)
        nursery.start_soon(trio.serve_listeners, handler, [listener])
        yield HERE, int(listener.socket.getsockname()[1])
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def world(
    *,
    websocket: bool = False,
    limits: Limits = DEFAULT_LIMITS,
    timing: Timing = TIMING,
    proxy: Proxy | None = None,
) -> AsyncIterator[World]:
    """A relay at which Bob has a place; he brings what he is asked for."""
    ports = RelayPorts(None, 0) if websocket else RelayPorts(0, None)
    relay = Relay(HERE, ports, limits=limits, timing=timing)
    pipes = Pipes(proxy, limits=limits, timing=timing)
    told = [f"/ip4/{HERE}/tcp/1"]
    async with at_a_port(echo) as place, pipes.serving(), trio.open_nursery() as nursery:
        async with relay.serving(RELAY, told, {"libp2p": place}):
            port = int(relay.addresses[0].split("/")[4])
            bob = Bob(nursery=nursery)
            made = World(relay, bob, pipes, port, websocket, place)
            bob.bring = made.bring
            relay.reserve(bob)  # type: ignore[arg-type]
            yield made
        nursery.cancel_scope.cancel()


async def says(stream: trio.SocketStream, text: bytes) -> None:
    await stream.send_all(text)
    heard = bytearray()
    while len(heard) < len(text):
        heard += await stream.receive_some(1 << 16)
    assert heard == text


async def refused(world: World, peer: PeerId = BOB) -> str:
    """Why the relay refuses a pipe."""
    with pytest.raises(RelayRefusedError) as error:
        await world.dial(peer)
    return error.value.reason


@BY
def test_two_connections_are_joined_and_bytes_pass_both_ways(websocket: bool) -> None:
    async def work() -> None:
        async with world(websocket=websocket) as here, await here.dial() as stream:
            await says(stream, b"a word")
            await says(stream, bytes(range(256)) * 1000)
            (asked,) = here.bob.asked
            assert asked.service == "libp2p"
            await stream.send_eof()
            assert await stream.receive_some(1) == b""
        assert here.relay.counters.received == here.relay.counters.sent == 2 * 256_006

    run(work)


@BY
def test_the_relay_itself_is_reached_through_its_port(websocket: bool) -> None:
    async def work() -> None:
        async with world(websocket=websocket) as here:
            async with await here.dial(RELAY) as stream:
                await says(stream, b"a word")
            assert not here.bob.asked
            with pytest.raises(RelayRefusedError, match="no place"):
                await here.pipes.connect(here.route(RELAY), "bulk", port=1)

    run(work)


@BY
def test_the_end_of_one_end_reaches_the_other_behind_all_its_bytes(websocket: bool) -> None:
    late = bytes(300_000)

    async def answers_after_the_end(stream: trio.SocketStream) -> None:
        async with stream:
            size = sum([len(piece) async for piece in stream])
            await stream.send_all(size.to_bytes(4, "big") + late)

    async def work() -> None:
        async with world(websocket=websocket) as here, at_a_port(answers_after_the_end) as port:
            here.echo = port
            async with await here.dial() as stream:
                await stream.send_all(bytes(500_000))
                await stream.send_eof()
                heard = b"".join([piece async for piece in stream])
            assert heard == (500_000).to_bytes(4, "big") + late

    run(work)


@BY
def test_who_does_not_read_is_sent_no_more_and_holds_no_memory(websocket: bool) -> None:
    async def deaf(stream: trio.SocketStream) -> None:
        async with stream:
            await trio.sleep_forever()

    async def work() -> None:
        async with world(websocket=websocket) as here, at_a_port(deaf) as port:
            here.echo = port
            async with await here.dial() as stream:
                sent = 0
                with trio.move_on_after(1.0):
                    while sent < (256 << 20):
                        await stream.send_all(bytes(1 << 16))
                        sent += 1 << 16
                assert sent < (64 << 20)  # what the buffers of the system hold
                assert here.relay.counters.received - here.relay.counters.sent <= 1 << 16
                async with await here.dial(RELAY) as other:
                    await says(other, b"others are served")

    run(work)


@BY
def test_the_end_of_a_peer_ends_its_pipes(websocket: bool) -> None:
    async def work() -> None:
        async with world(websocket=websocket) as here:
            stream = await here.dial()
            await says(stream, b"a word")
        async with stream:
            assert await stream.receive_some(1) == b""

    run(work)


def test_a_peer_without_a_place_or_whose_link_broke_is_refused_at_once() -> None:
    async def work() -> None:
        async with world() as here:
            began = trio.current_time()
            assert await refused(here, EVE) == REASONS[Verdict.NO_PLACE]
            here.bob.is_open = False
            assert await refused(here) == REASONS[Verdict.NO_PLACE]
            assert trio.current_time() - began < 0.5

    run(work)


def test_a_peer_that_does_not_come_is_told_after_a_while_and_one_that_cannot_at_once() -> None:
    async def cannot(_: Incoming) -> None:
        raise TransportError("no")

    async def work() -> None:
        async with world(timing=QUICK) as here:
            here.bob.bring = None
            assert await refused(here) == REASONS[Verdict.NOT_COME]
            with pytest.raises(RelayRefusedError):
                await here.bring(here.bob.asked[0])  # its ticket is not good any more
        async with world(timing=replace(TIMING, hello_s=TEST_S)) as here:
            here.bob.bring = cannot
            assert await refused(here) == REASONS[Verdict.NOT_COME]

    run(work)


def test_a_ticket_that_was_used_or_made_up_brings_nothing() -> None:
    async def work() -> None:
        async with world() as here, await here.dial() as stream:
            await says(stream, b"a word")
            replayed = here.bob.asked[0].ticket
            for ticket in (replayed, bytes(32), replayed[::-1]):
                with pytest.raises(RelayRefusedError, match="ticket"):
                    await here.pipes.bring([here.route()], ticket, to=here.echo)
            await says(stream, b"and another")

    run(work)


def test_nobody_is_let_in_who_says_something_else_first() -> None:
    async def work() -> None:
        async with world() as here:
            for hello in (b"\0", b"\xff" * 256, b"GET / HTTP/1.1\r\n\r\n" + bytes(100)):
                async with await trio.open_tcp_stream(HERE, here.port) as stream:
                    await stream.send_all(hello)
                    try:
                        assert await stream.receive_some(1) == b""
                    except trio.BrokenResourceError:
                        continue
            async with await here.dial() as stream:
                await says(stream, b"others are served")

    run(work)


@BY
def test_silent_strangers_are_cut_off_and_keep_nobody_out(websocket: bool) -> None:
    async def work() -> None:
        async with world(websocket=websocket, timing=replace(TIMING, hello_s=TEST_S)) as here:
            silent = [await trio.open_tcp_stream(HERE, here.port) for _ in range(2 * MAX_STRANGERS)]
            for stream in silent[:MAX_STRANGERS]:
                assert await stream.receive_some(1) == b""
            async with await here.dial() as stream:
                await says(stream, b"a word")
            for stream in silent:
                await stream.aclose()

    run(work)


def test_a_stranger_has_a_second_to_say_what_it_wants() -> None:
    async def work() -> None:
        async with world(timing=QUICK) as here, await trio.open_tcp_stream(HERE, here.port) as it:
            await it.send_all(encode_hello(Dial(BOB, "tls"))[:-1])
            assert await it.receive_some(1) == b""

    run(work)


def test_pipes_over_the_limits_are_refused_and_those_within_go_on() -> None:
    async def work() -> None:
        limits = replace(DEFAULT_LIMITS, peer_pipes=3, places=1)
        async with world(limits=limits) as here:
            streams = [await here.dial() for _ in range(3)]
            assert await refused(here) == REASONS[Verdict.FULL]
            for stream in streams:
                await says(stream, b"a word")
            await streams[0].aclose()
            with trio.move_on_after(5.0):
                while True:
                    try:
                        streams[0] = await here.dial()
                    except RelayRefusedError:
                        await trio.lowlevel.checkpoint()
                    else:
                        break
            await says(streams[0], b"a word")
            for stream in streams:
                await stream.aclose()
            with pytest.raises(BusyError):
                here.relay.reserve(Bob(EVE))  # type: ignore[arg-type]

    run(work)


def test_a_pipe_on_which_nothing_moves_is_closed() -> None:
    async def work() -> None:
        idle = replace(TIMING, pipe_idle_s=0.3)
        async with world(timing=idle) as here, await here.dial() as stream:
            assert await stream.receive_some(1) == b""

    run(work)


def test_a_relay_that_hangs_up_or_speaks_nonsense_is_a_typed_error() -> None:
    async def hangs_up(stream: trio.SocketStream) -> None:
        await stream.aclose()

    async def nonsense(stream: trio.SocketStream) -> None:
        async with stream:
            await stream.receive_some(1)
            await stream.send_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async def work() -> None:
        for handler in (hangs_up, nonsense):
            async with at_a_port(handler) as (_, port):
                for websocket in (False, True):
                    with pytest.raises((RemoteProtocolError, OSError)):
                        await Pipes().connect(
                            Route(HERE, port, BOB, websocket), "libp2p", port=port
                        )

    run(work)


def test_the_second_address_of_a_relay_is_tried_when_the_first_fails() -> None:
    async def work() -> None:
        async with world() as here:
            with socket.create_server((HERE, 0)) as nobody:
                dead = Route(HERE, nobody.getsockname()[1], BOB)

            async def bring(message: Incoming) -> None:
                await here.pipes.bring([dead, here.route()], message.ticket, to=here.echo)

            here.bob.bring = bring
            async with await here.dial() as stream:
                await says(stream, b"a word")

    run(work)


def test_a_domain_brings_only_so_many_pipes() -> None:
    async def work() -> None:
        limits = replace(DEFAULT_LIMITS, pipes=2)
        async with world(limits=limits) as here, await here.dial() as one, await here.dial() as two:
            await says(one, b"a word")
            await says(two, b"a word")
            with pytest.raises(BusyError):
                await here.pipes.bring([here.route()], bytes(32), to=here.echo)

    run(work)


# --- HTTP proxies -----------------------------------------------------------------------------


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


def test_a_take_is_no_dial() -> None:
    """A ticket opens nothing but the pipe that waits for it."""

    async def work() -> None:
        async with world() as here, await trio.open_tcp_stream(HERE, here.port) as stream:
            await stream.send_all(encode_hello(Take(bytes(32))))
            assert await stream.receive_some(1) == bytes([Verdict.BAD_TICKET])
            assert await stream.receive_some(1) == b""

    run(work)
