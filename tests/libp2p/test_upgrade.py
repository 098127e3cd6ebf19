"""From libp2p to TLS over real sockets, and back whenever the network or a peer is hostile."""

import logging
import os
import resource
import socket
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from functools import partial
from typing import Any

import psutil
import pytest
import trio
from trio.testing import wait_all_tasks_blocked
from typing_extensions import override

from p2pgrid.errors import (
    PeerUnreachableError,
    PortInUseError,
    RemoteProtocolError,
    TransportError,
)
from p2pgrid.ids import PeerId
from p2pgrid.net import tls_listener, upgrade
from p2pgrid.net.certificate import Certificate, client_context
from p2pgrid.net.framing import FRAMES_PER_TURN
from p2pgrid.net.host import CONTROL_PROTOCOL, connect, open_stream
from p2pgrid.net.streams import Libp2pStream, Libp2pTransport
from p2pgrid.net.tls import TlsConnection, TlsStream, connected
from p2pgrid.net.tls_listener import MAX_STRANGERS, Ticket, TlsListener
from p2pgrid.net.transport import FrameStream
from p2pgrid.protocol.codec import as_frame
from p2pgrid.protocol.upgrade import (
    MAX_OFFER_BYTES,
    PROOF_BYTES,
    Offer,
    decode_offer,
    encode_choice,
    encode_offer,
    proof_of,
)
from tests.contract.worlds import (
    LISTEN,
    MIB,
    TEST_S,
    Libp2p,
    Libp2pOnly,
    Served,
    dial_tls,
    innermost,
    peer_of,
    raw,
    seed_of,
    served,
    streams,
)

pytestmark = pytest.mark.libp2p

HERE = "127.0.0.1"
ONE, TWO, THREE = (peer_of(number) for number in (1, 2, 3))
SOON_S = 0.3
"""Instead of the seconds of the defaults."""
MARK = b"a word that nobody on the way may read"

Handler = Callable[[trio.SocketStream], Awaitable[None]]


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
    before = open_sockets()
    yield
    assert open_sockets() == before


def open_sockets() -> set[Any]:
    return set(psutil.Process().net_connections())


# --- what stands in the way ------------------------------------------------------------------


class Relay:
    """A TCP port that passes everything on to another one, and remembers it."""

    def __init__(self, to: int) -> None:
        self.to = to
        self.passed = bytearray()
        self.came = 0
        self.cut = trio.Event()

    async def __call__(self, near: trio.SocketStream) -> None:
        self.came += 1
        far = await trio.open_tcp_stream(HERE, self.to)
        async with near, far, trio.open_nursery() as nursery:
            nursery.start_soon(self._pass_on, near, far)
            nursery.start_soon(self._pass_on, far, near)
            await self.cut.wait()
            nursery.cancel_scope.cancel()

    async def _pass_on(self, source: trio.SocketStream, sink: trio.SocketStream) -> None:
        try:
            async for piece in source:
                self.passed += piece
                await sink.send_all(piece)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        self.cut.set()


@asynccontextmanager
async def at_a_port(handler: Handler) -> AsyncIterator[int]:
    """A TCP server of the test, and its port."""
    async with trio.open_nursery() as nursery:
        (listener,) = await nursery.start(partial(trio.serve_tcp, handler, 0, host=HERE))
        yield listener.socket.getsockname()[1]
        nursery.cancel_scope.cancel()


def tls_of(one: Served) -> TlsListener:
    assert isinstance(one.transport, Libp2pTransport)
    listener = one.transport._upgrades._listener
    assert listener is not None
    return listener


def offer_port(one: Served, port: int) -> int:
    """From now on this peer's offers name another port; its own one."""
    own, tls_of(one)._port = tls_of(one)._port, port
    return own


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


async def echoes(near: FrameStream, far: FrameStream, size: int = 1000) -> None:
    body = MARK + bytes(size)
    for source, sink in ((near, far), (far, near)):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(source.send, raw(body))
            assert await sink.receive(limit=64 * MIB) == body


async def linked(one: Served, two: Served, kind: type) -> tuple[FrameStream, FrameStream]:
    """Both ends of a new stream, which works and is of this kind."""
    near = await one.dial(two)
    far = await two.came.receive()
    assert (type(near), type(far)) == (kind, kind)
    await echoes(near, far)
    return near, far


async def close(*ends: FrameStream) -> None:
    for end in ends:
        await end.aclose()


# --- which way frames go ----------------------------------------------------------------------


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


# --- tokens -----------------------------------------------------------------------------------


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


async def ended(connection: TlsConnection) -> bool:
    """Whether the other end hangs up; waits for it."""
    try:
        return await connection.receive(1) == b""
    except OSError:
        return True


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


# --- peers that do not keep to the agreement --------------------------------------------------


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


# --- links over TLS ---------------------------------------------------------------------------


def test_a_connection_that_breaks_ends_the_link_and_the_next_one_works() -> None:
    async def work() -> None:
        async with served(Libp2p(), 1, 2) as (one, two):
            relay = Relay(tls_of(two)._port)
            async with at_a_port(relay) as port:
                offer_port(two, port)
                near, far = await linked(one, two, TlsStream)
                relay.cut.set()
                for end in (near, far):
                    with pytest.raises(TransportError):
                        await end.receive(limit=100)
                    with pytest.raises(TransportError):
                        await end.send(raw(b"hello"))
                relay.cut = trio.Event()
                await close(near, far, *await linked(one, two, TlsStream))
                assert relay.came == 2

    run(work)


def test_the_largest_frames_pass_each_other() -> None:
    async def work() -> None:
        async with streams(Libp2p()) as ends, trio.open_nursery() as nursery:
            body = bytes(64 * MIB)
            for end in ends:
                nursery.start_soon(end.send, raw(body))
            for end in ends:
                nursery.start_soon(expect, end, body)

    run(work)


async def expect(end: FrameStream, body: bytes) -> None:
    assert await end.receive(limit=64 * MIB) == body


class Flood(socket.socket):
    """A connection on which more waits than is ever read; it counts the pieces that were."""

    left, pieces = b"", 0

    @override
    def recv(self, size: int, flags: int = 0, /) -> bytes:
        if not self.left:
            return super().recv(size, flags)
        self.pieces += 1
        piece, self.left = self.left[:size], self.left[size:]
        return piece


def ticketed(connection: TlsConnection) -> bytes:
    """Shakes hands, and returns what a listener sends then: a thousand session tickets."""
    context = Certificate().context
    context.num_tickets = 1000
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    listener = context.wrap_bio(incoming, outgoing, server_side=True)
    with pytest.raises(ssl.SSLWantReadError):
        connection._tls.do_handshake()
    incoming.write(connection._to_send.read())
    with pytest.raises(ssl.SSLWantReadError):
        listener.do_handshake()
    connection._came.write(outgoing.read())
    connection._tls.do_handshake()
    incoming.write(connection._to_send.read())
    listener.do_handshake()
    return outgoing.read()


def test_bytes_without_data_leave_others_their_turn() -> None:
    # OpenSSL itself reads on until data comes.
    async def work() -> None:
        plain, other = socket.socketpair()
        flood = Flood(socket.AF_UNIX, fileno=plain.detach())
        connection = TlsConnection(flood, client_context(), server_side=False)
        flood.left = ticketed(connection)
        turns = 0

        async def count() -> None:
            nonlocal turns
            while flood.left:
                turns += 1
                await trio.lowlevel.checkpoint()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(count)
            nursery.start_soon(connection.receive, 1)
            await until(lambda: not flood.left)
            assert flood.pieces > 10
            assert turns >= flood.pieces - 1
            nursery.cancel_scope.cancel()
        connection.close()
        other.close()

    run(work)


@pytest.mark.parametrize("world", [Libp2p, Libp2pOnly])
def test_frames_that_came_in_one_piece_leave_others_their_turn(world: type[Libp2p]) -> None:
    async def work() -> None:
        async with streams(world()) as (near, far), trio.open_nursery() as nursery:
            await near.send([b"".join(raw(b"ping")) * 1000])
            turns = 0

            async def count() -> None:
                nonlocal turns
                while True:
                    turns += 1
                    await trio.lowlevel.checkpoint()

            await far.receive(limit=100)
            nursery.start_soon(count)
            before = turns
            for _ in range(999):
                await far.receive(limit=100)
            assert turns - before >= 999 // FRAMES_PER_TURN - 1
            nursery.cancel_scope.cancel()

    run(work)


def test_hundreds_of_links_leave_no_stream_task_or_socket() -> None:
    async def work() -> None:
        async with served(Libp2p(), 1, 2) as (one, two):
            await close(*await linked(one, two, TlsStream))
            before = open_sockets(), tasks()
            for number in range(300):
                near, far = await one.dial(two), await two.came.receive()
                assert type(near) is TlsStream
                await close(*((near, far) if number % 2 else (far, near)))
            await until(lambda: open_streams(one, two) == 0)
            await until(lambda: open_sockets() == before[0])
            # ``served`` keeps the task of every stream that came.
            assert tasks() - before[1] <= 300
            assert tls_of(two)._tickets == {}

    run(work)


def open_streams(*peers: Served) -> int:
    """How many streams libp2p holds open at these peers, in its own books and in yamux."""
    count = 0
    for peer in peers:
        assert isinstance(peer.transport, Libp2pTransport)
        for connection in peer.transport.host.get_network().get_connections():
            count += len(connection.muxed_conn.streams) + len(connection.get_streams())
    return count


def tasks() -> int:
    root = trio.lowlevel.current_root_task()
    assert root is not None
    found, left = 0, [root]
    while left:
        task = left.pop()
        found += 1
        left.extend(child for nursery in task.child_nurseries for child in nursery.child_tasks)
    return found


async def until(is_so: Callable[[], bool]) -> None:
    while not is_so():
        await trio.lowlevel.checkpoint()


def test_a_tls_port_in_use_is_named_and_nothing_is_left_running() -> None:
    async def work() -> None:
        with socket.create_server((HERE, 0)) as used:
            port = used.getsockname()[1]
            transport = Libp2pTransport(seed_of(1), LISTEN, tls_port=port)
            with pytest.raises(PortInUseError, match=str(port)):
                async with transport.serve(close):
                    pass

    run(work)


def test_a_transport_that_is_never_served_takes_no_port() -> None:
    before = open_sockets()
    Libp2pTransport(seed_of(1), LISTEN, tls_port=0)
    assert open_sockets() == before


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
