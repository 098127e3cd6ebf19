"""Who the TLS listener lets in: whoever proves an offer of its own, once, and in time."""

import os
import resource
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from p2pgrid.ids import PeerId
from p2pgrid.net import tls_listener
from p2pgrid.net.certificate import client_context
from p2pgrid.net.tls import TlsConnection, connected
from p2pgrid.net.tls_listener import MAX_STRANGERS, Ticket, TlsListener
from p2pgrid.protocol.upgrade import PROOF_BYTES, Offer, proof_of
from tests.contract.worlds import TEST_S, Libp2p, dial_tls, served
from tests.libp2p.upgrades import (
    HERE,
    MARK,
    ONE,
    SOON_S,
    THREE,
    TWO,
    close,
    echoes,
    ended,
    run,
    tls_of,
)

pytestmark = [pytest.mark.libp2p, pytest.mark.usefixtures("no_socket_left")]


@asynccontextmanager
async def listening() -> AsyncIterator[TlsListener]:
    """The TLS listener of peer 2."""
    listener = TlsListener(TWO, HERE, 0)
    with listener.listening():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(listener.accept_all)
            yield listener
            nursery.cancel_scope.cancel()


def proof_for(ticket: Ticket, dialler: PeerId = ONE, listener: PeerId = TWO) -> bytes:
    return proof_of(ticket.offer.token, dialler=dialler, listener=listener)


async def expect_refused(offer: Offer, proof: bytes) -> None:
    with pytest.raises(OSError, match=r".*") as caught, trio.fail_after(TEST_S / 2):
        await dial_tls(HERE, offer, proof)
    assert not isinstance(caught.value, ssl.SSLCertVerificationError)


def test_a_token_works_once_and_only_for_its_ticket() -> None:
    async def work() -> None:
        async with listening() as listener:
            with listener.offering(ONE) as first, listener.offering(THREE) as second:
                near = [
                    await dial_tls(HERE, second.offer, proof_for(second, THREE)),
                    await dial_tls(HERE, first.offer, proof_for(first)),
                ]
                await expect_refused(first.offer, proof_for(first))
                far = [second.take(), first.take()]
                for one, two in zip(near, far, strict=True):
                    assert two is not None
                    await one.send(MARK)
                    assert await two.receive(100) == MARK
                    one.close()
                    two.close()
                assert first.take() is None

    run(work)


def test_a_proof_that_is_not_exactly_right_is_worth_nothing() -> None:
    async def work() -> None:
        async with listening() as listener:
            with listener.offering(ONE) as ticket:
                for wrong in (
                    ticket.offer.token,
                    bytes(PROOF_BYTES),
                    proof_for(ticket, dialler=THREE),
                    proof_for(ticket, listener=THREE),  # peer 3 passed the offer on as its own
                    proof_for(ticket)[:-1] + bytes([proof_for(ticket)[-1] ^ 1]),
                ):
                    await expect_refused(ticket.offer, wrong)
                    assert ticket.take() is None
                (await dial_tls(HERE, ticket.offer, proof_for(ticket))).close()
            await expect_refused(ticket.offer, proof_for(ticket))

    run(work)


def test_an_offer_ends_with_its_context_and_with_the_next_one_to_the_peer() -> None:
    async def work() -> None:
        async with listening() as listener:
            with listener.offering(ONE) as older:
                came = await dial_tls(HERE, older.offer, proof_for(older))
                with listener.offering(ONE) as newer:
                    assert await ended(came)
                    assert older.take() is None
                    nobody_took = await dial_tls(HERE, newer.offer, proof_for(newer))
                assert await ended(nobody_took)
                came.close()
                nobody_took.close()
            assert (listener._tickets, listener._latest) == ({}, {})

    run(work)


def test_who_is_let_in_after_the_offer_has_ended_is_hung_up_on() -> None:
    async def work() -> None:
        async with listening() as listener:
            with listener.offering(ONE) as ticket, listener.offering(THREE) as other:
                near = await dial_tls(HERE, other.offer, proof_for(other, THREE))
                far = other.take()
                assert far is not None
            ticket.give(far)
            assert ticket.take() is None
            assert await ended(near)
            near.close()

    run(work)


async def tcp_to(listener: TlsListener) -> socket.socket:
    stream = await trio.open_tcp_stream(HERE, listener._port)
    return socket.socket(fileno=stream.socket.detach())


async def tls_to(listener: TlsListener) -> TlsConnection:
    return await connected(await tcp_to(listener), client_context(), server_side=False)


async def hung_up(plain: socket.socket) -> None:
    """Waits until the other end of a TCP connection is closed."""
    plain.setblocking(False)
    while True:
        await trio.lowlevel.wait_readable(plain.fileno())
        try:
            if not plain.recv(1 << 16):
                break
        except ConnectionError:
            break
    plain.close()


@pytest.mark.parametrize("shown", [0, 1, PROOF_BYTES - 1])
def test_who_shows_too_little_is_cut_off_in_time(
    shown: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tls_listener, "TOKEN_S", SOON_S)

    async def work() -> None:
        async with listening() as listener:
            began = trio.current_time()
            silent, stranger = await tcp_to(listener), await tls_to(listener)
            await stranger.send(bytes(shown))
            assert await ended(stranger)
            await hung_up(silent)
            assert SOON_S <= trio.current_time() - began < 10 * SOON_S
            stranger.close()
            await wait_all_tasks_blocked()
            assert not listener._strangers

    run(work)


def old_tls() -> bytes:
    """The first message of a client that speaks no TLS 1.3."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    outgoing = ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), outgoing).do_handshake()
    return outgoing.read()


@pytest.mark.parametrize(
    "greeting", [b"GET / HTTP/1.1\r\n\r\n", b"\x13/multistream/1.0.0\n", bytes(100_000), old_tls()]
)
def test_who_does_not_speak_tls_13_is_cut_off_at_once(greeting: bytes) -> None:
    async def work() -> None:
        async with listening() as listener:
            plain = await tcp_to(listener)
            plain.send(greeting)
            began = trio.current_time()
            await hung_up(plain)
            assert trio.current_time() - began < tls_listener.TOKEN_S / 2

    run(work)


def test_silent_strangers_do_not_keep_an_honest_peer_out() -> None:
    async def work() -> None:
        async with listening() as listener:
            silent = [await tcp_to(listener) for _ in range(3 * MAX_STRANGERS)]
            with listener.offering(ONE) as ticket, trio.fail_after(tls_listener.TOKEN_S):
                (await dial_tls(HERE, ticket.offer, proof_for(ticket))).close()
            assert len(listener._strangers) <= MAX_STRANGERS
            with trio.fail_after(tls_listener.TOKEN_S / 2):  # sooner than for their silence
                for oldest in silent[:MAX_STRANGERS]:
                    await hung_up(oldest)
            for each in silent[MAX_STRANGERS:]:
                each.close()

    run(work)


def test_many_strangers_do_not_stop_a_node_from_linking() -> None:
    async def work() -> None:
        async with served(Libp2p(), 1, 2) as (one, two), trio.open_nursery() as nursery:

            async def flood() -> None:
                while True:
                    (await tcp_to(tls_of(two))).close()

            for _ in range(4):
                nursery.start_soon(flood)
            for _ in range(5):
                near = await one.dial(two, timeout_s=10)
                far = await two.came.receive()
                await echoes(near, far)
                await close(near, far)
            nursery.cancel_scope.cancel()

    run(work)


def test_a_lack_of_descriptors_passes() -> None:
    async def work() -> None:
        async with listening() as listener:
            plain = socket.socket()
            with no_descriptors():
                plain.connect((HERE, listener._port))
                await wait_all_tasks_blocked()  # ``accept`` fails, and nobody runs in circles
            connection = await connected(plain, client_context(), server_side=False)
            with listener.offering(ONE) as ticket:
                await connection.send(proof_for(ticket))
                assert await connection.receive(1)
            connection.close()

    run(work)


@contextmanager
def no_descriptors() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken = [os.dup(0)]
    resource.setrlimit(resource.RLIMIT_NOFILE, (taken[0] + 50, hard))
    try:
        with suppress(OSError):
            while True:
                taken.append(os.dup(0))
        yield
    finally:
        for each in taken:
            os.close(each)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
