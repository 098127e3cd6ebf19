"""Peers that do not keep to the agreement, and what is left open after them: nothing."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from p2pgrid.errors import PeerUnreachableError, RemoteProtocolError, TransportError
from p2pgrid.net import upgrade
from p2pgrid.net.host import CONTROL_PROTOCOL, connect, open_stream
from p2pgrid.net.streams import Libp2pStream, Libp2pTransport
from p2pgrid.net.tls import TlsConnection, TlsStream
from p2pgrid.protocol.codec import as_frame
from p2pgrid.protocol.upgrade import (
    MAX_OFFER_BYTES,
    Offer,
    decode_offer,
    encode_choice,
    encode_offer,
    proof_of,
)
from tests.contract.worlds import TEST_S, Libp2p, Served, dial_tls, open_sockets, served
from tests.libp2p.upgrades import (
    HERE,
    ONE,
    SOON_S,
    THREE,
    TWO,
    at_a_port,
    close,
    echoes,
    ended,
    linked,
    offer_port,
    open_streams,
    run,
    until,
)

pytestmark = [pytest.mark.libp2p, pytest.mark.usefixtures("no_socket_left")]


@asynccontextmanager
async def control_to(one: Served, two: Served) -> AsyncIterator[tuple[Libp2pStream, Offer]]:
    """A control stream in the hands of the test, and the offer that came on it."""
    assert isinstance(one.transport, Libp2pTransport)
    host = one.transport.host
    await connect(host, TWO, two.transport.addresses, TEST_S)
    control = Libp2pStream(await open_stream(host, TWO, TEST_S))
    yield control, decode_offer(await control.receive(limit=MAX_OFFER_BYTES))
    await control.aclose()


async def come(offer: Offer) -> TlsConnection:
    return await dial_tls(HERE, offer, proof_of(offer.token, dialler=ONE, listener=TWO))


@pytest.mark.parametrize("comes", [True, False])
@pytest.mark.parametrize("answer", [b"neither", b"upgrade?", bytes(1000), b"upgrade"])
def test_an_answer_that_breaks_the_protocol_ends_both_streams(
    answer: bytes, *, comes: bool
) -> None:
    async def work() -> None:
        async with (
            served(Libp2p(), 1, 2) as (one, two),
            control_to(one, two) as (control, offer),
        ):
            connection = await come(offer) if comes else None
            await control.send(as_frame(answer))
            if connection is not None and answer == b"upgrade":
                far = await two.came.receive()
                assert isinstance(far, TlsStream)
                await far.aclose()
            with pytest.raises(TransportError):
                await control.receive(limit=100)
            if connection is not None:
                assert await ended(connection)
                connection.close()
            assert two.came.statistics().current_buffer_used == 0

    run(work)


def test_who_comes_and_then_stays_is_served_over_libp2p() -> None:
    async def work() -> None:
        async with (
            served(Libp2p(), 1, 2) as (one, two),
            control_to(one, two) as (control, offer),
        ):
            connection = await come(offer)
            await control.send(as_frame(encode_choice(taken=False)))
            far = await two.came.receive()
            assert await ended(connection)
            connection.close()
            await echoes(control, far)
            await far.aclose()

    run(work)


def test_who_never_answers_an_offer_is_hung_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("p2pgrid.net.streams.OFFER_S", SOON_S)

    async def work() -> None:
        async with (
            served(Libp2p(), 1, 2) as (one, two),
            control_to(one, two) as (control, offer),
        ):
            connection = await come(offer)
            assert await ended(connection)
            connection.close()
            with pytest.raises(TransportError):
                await control.receive(limit=100)

    run(work)


SAID: dict[str, tuple[bytes | None, type[Exception]]] = {
    "nothing": (None, PeerUnreachableError),
    "no offer": (b"hello", RemoteProtocolError),
    "too much": (bytes(MAX_OFFER_BYTES + 1), RemoteProtocolError),
}


@pytest.mark.parametrize("said", SAID)
def test_a_listener_that_makes_no_offer_is_an_error_and_nothing_is_left_open(said: str) -> None:
    data, error = SAID[said]

    async def answer(stream: Any) -> None:
        control = Libp2pStream(stream)
        if data is not None:
            await control.send(as_frame(data))
            await trio.sleep_forever()
        await wait_all_tasks_blocked(0.05)  # until the dialler waits for its offer
        await control.aclose()

    async def work() -> None:
        async with served(Libp2p(), 1, 2) as (one, two):
            assert isinstance(two.transport, Libp2pTransport)
            two.transport.host.set_stream_handler(CONTROL_PROTOCOL, answer)
            for _ in range(2):
                with pytest.raises(error):
                    await one.dial(two, timeout_s=10)
            await until(lambda: open_streams(one) == 0)

    run(work)


def test_a_listener_with_enough_tls_streams_goes_on_over_libp2p(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(upgrade, "MAX_UPGRADED", 1)

    async def work() -> None:
        async with served(Libp2p(), 1, 2, 3) as (one, two, three):
            first = await linked(one, two, TlsStream)
            await close(*await linked(three, two, Libp2pStream))
            await close(*first)
            await close(*await linked(three, two, TlsStream))

    run(work)


def test_a_dial_that_is_cancelled_leaves_nothing_open() -> None:
    came = trio.Event()

    async def say_nothing(_: trio.SocketStream) -> None:
        came.set()
        await trio.sleep_forever()

    async def work() -> None:
        async with served(Libp2p(), 1, 2) as (one, two):
            await close(*await linked(one, two, TlsStream))
            before = open_sockets()
            async with at_a_port(say_nothing) as port, trio.open_nursery() as nursery:
                own = offer_port(two, port)
                nursery.start_soon(one.dial, two)
                await came.wait()
                nursery.cancel_scope.cancel()
            offer_port(two, own)
            await until(lambda: open_streams(one, two) == 0)
            assert open_sockets() == before
            await close(*await linked(one, two, TlsStream))

    run(work)


def test_a_listener_that_offers_another_peers_port_is_refused_there() -> None:
    # Peer 2 passes on, as its own, the offer that it got from peer 3.
    async def work() -> None:
        async with served(Libp2p(), 1, 2, 3) as (one, two, three):
            assert isinstance(two.transport, Libp2pTransport)
            host = two.transport.host
            await connect(host, THREE, three.transport.addresses, TEST_S)
            theirs = Libp2pStream(await open_stream(host, THREE, TEST_S))
            offer = decode_offer(await theirs.receive(limit=MAX_OFFER_BYTES))
            choices = []

            async def pass_on(stream: Any) -> None:
                control = Libp2pStream(stream)
                await control.send(as_frame(encode_offer(offer)))
                choices.append(bytes(await control.receive(limit=MAX_OFFER_BYTES)))
                await control.aclose()

            host.set_stream_handler(CONTROL_PROTOCOL, pass_on)
            near = await one.dial(two)
            assert isinstance(near, Libp2pStream)
            await until(lambda: bool(choices))
            assert choices == [encode_choice(taken=False)]
            await close(near, theirs)

    run(work)
