"""A relay over real sockets, with the domain's side in the hands of the tests."""

import socket
from dataclasses import replace

import pytest
import trio

from p2pgrid.config import DEFAULT_LIMITS
from p2pgrid.errors import (
    BusyError,
    RelayRefusedError,
    RemoteProtocolError,
    TransportError,
)
from p2pgrid.net.addresses import Route
from p2pgrid.net.pipes import Pipes
from p2pgrid.net.relay import MAX_STRANGERS
from p2pgrid.protocol.messages import Incoming
from p2pgrid.protocol.relay import REASONS, Dial, Take, Verdict, encode_hello
from tests.libp2p.relaying import (
    BOB,
    BY,
    EVE,
    HERE,
    QUICK,
    RELAY,
    TEST_S,
    TIMING,
    Bob,
    at_a_port,
    refused,
    run,
    says,
    world,
)

pytestmark = [pytest.mark.libp2p, pytest.mark.usefixtures("no_socket_left")]


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


def test_a_take_is_no_dial() -> None:
    """A ticket opens nothing but the pipe that waits for it."""

    async def work() -> None:
        async with world() as here, await trio.open_tcp_stream(HERE, here.port) as stream:
            await stream.send_all(encode_hello(Take(bytes(32))))
            assert await stream.receive_some(1) == bytes([Verdict.BAD_TICKET])
            assert await stream.receive_some(1) == b""

    run(work)
