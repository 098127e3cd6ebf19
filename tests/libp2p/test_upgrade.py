"""From libp2p to TLS over real sockets, and back whenever the network is hostile."""

import logging
import socket
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from typing import Any

import pytest
import trio

from p2pgrid.net import upgrade
from p2pgrid.net.certificate import Certificate
from p2pgrid.net.streams import Libp2pStream, Libp2pTransport
from p2pgrid.net.tls import TlsStream
from tests.contract.worlds import MIB, TEST_S, Libp2p, Served, served
from tests.libp2p.upgrades import (
    HERE,
    MARK,
    SOON_S,
    TWO,
    Relay,
    at_a_port,
    close,
    echoes,
    linked,
    offer_port,
    run,
    tls_of,
)

pytestmark = [pytest.mark.libp2p, pytest.mark.usefixtures("no_socket_left")]


@contextmanager
def full_backlog() -> Iterator[int]:
    """A port that does not even answer a SYN, as behind a firewall that drops."""
    with socket.socket() as server, ExitStack() as stack:
        server.bind((HERE, 0))
        server.listen(0)
        while True:
            filler = stack.enter_context(socket.socket())
            filler.settimeout(SOON_S)
            try:
                filler.connect(server.getsockname())
            except TimeoutError:
                break
        yield server.getsockname()[1]


@contextmanager
def never_accepts() -> Iterator[int]:
    """A port that takes connections and never says a word."""
    with socket.create_server((HERE, 0)) as server:
        yield server.getsockname()[1]


@contextmanager
def refused() -> Iterator[int]:
    with socket.create_server((HERE, 0)) as server:
        port = server.getsockname()[1]
    yield port


def test_frames_go_over_tls_and_not_over_libp2p() -> None:
    async def work() -> None:
        async with served(Libp2p(), 1, 2) as (one, two):
            place = int(two.transport.addresses[0].split("/")[4])
            beside, inside = Relay(tls_of(two)._port), Relay(place)
            async with at_a_port(beside) as tls_port, at_a_port(inside) as libp2p_port:
                offer_port(two, tls_port)
                near = await one.transport.dial(
                    TWO, [f"/ip4/{HERE}/tcp/{libp2p_port}"], timeout_s=TEST_S
                )
                far = await two.came.receive()
                before = len(inside.passed)
                await echoes(near, far, 5 * MIB)
                assert len(inside.passed) == before
                assert len(beside.passed) > 10 * MIB
                assert MARK not in beside.passed
                await close(near, far)

    run(work)


@pytest.mark.parametrize(
    ("near", "far", "kind"),
    [(0, None, Libp2pStream), (None, 0, TlsStream), (None, None, Libp2pStream)],
)
def test_it_is_the_peer_that_listens_who_decides(
    near: int | None, far: int | None, kind: type
) -> None:
    async def work() -> None:
        async with one_of(1, near) as one, one_of(2, far) as two:
            await close(*await linked(one, two, kind))

    run(work)


@asynccontextmanager
async def one_of(number: int, tls_port: int | None) -> AsyncIterator[Served]:
    world = Libp2p()
    world.tls_port = tls_port
    async with served(world, number) as (one,):
        yield one


BLOCKED: list[Callable[[], Any]] = [refused, never_accepts, full_backlog]


@pytest.mark.parametrize("blocked", BLOCKED, ids=lambda blocked: blocked.__name__)
def test_a_port_that_is_not_reachable_costs_its_time_once(
    blocked: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upgrade, "TRY_S", 2 * SOON_S)
    tries = Counter[str]()

    connect = Libp2pStream.connect

    async def counted(*args: Any) -> socket.socket:
        tries["dial"] += 1
        return await connect(*args)

    monkeypatch.setattr(Libp2pStream, "connect", counted)

    async def work() -> None:
        async with served(Libp2p(), 1, 2) as (one, two):
            with blocked() as port:
                own = offer_port(two, port)
                for _ in range(3):
                    await close(*await linked(one, two, Libp2pStream))
                assert tries["dial"] == 1
                # After a while it is tried again.
                assert isinstance(one.transport, Libp2pTransport)
                one.transport._upgrades._avoid[TWO] = trio.current_time()
                offer_port(two, own)
                await close(*await linked(one, two, TlsStream))

    run(work)


def test_a_swallowed_port_leaves_time_to_go_on_over_libp2p() -> None:
    async def work() -> None:
        async with served(Libp2p(), 1, 2) as (one, two):
            with never_accepts() as port:
                offer_port(two, port)
                near = await one.dial(two, timeout_s=upgrade.TRY_S)
                assert isinstance(near, Libp2pStream)
                await close(near, await two.came.receive())

    run(work)


def test_somebody_in_the_middle_is_not_used_and_is_warned_of(
    caplog: pytest.LogCaptureFixture,
) -> None:
    heard = bytearray()

    async def pretend(near: trio.SocketStream) -> None:
        stream = trio.SSLStream(near, Certificate().context, server_side=True)
        await stream.do_handshake()
        try:
            heard.extend(await stream.receive_some())
        except trio.BrokenResourceError:
            return

    async def work() -> None:
        async with served(Libp2p(), 1, 2) as (one, two), at_a_port(pretend) as port:
            offer_port(two, port)
            await close(*await linked(one, two, Libp2pStream))

    with caplog.at_level(logging.WARNING, logger="p2pgrid"):
        run(work)
    (record,) = [record for record in caplog.records if record.name.startswith("p2pgrid")]
    assert record.levelno == logging.WARNING
    assert "somebody else is at the TLS port" in record.getMessage()
    assert getattr(record, "peer", None) == TWO
    assert not heard  # the proof is shown to none but the peer
