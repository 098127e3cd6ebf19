"""The bulk port on loopback: who is let in, what breaks, and what a stranger costs."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import msgspec
import numpy as np
import pytest

from p2pgrid.config import DEFAULT_LIMITS, DEFAULT_TIMING, Limits, Timing
from p2pgrid.errors import (
    IdentityMismatchError,
    NodeError,
    PortInUseError,
    RemoteProtocolError,
    TransportError,
)
from p2pgrid.ids import PeerId
from p2pgrid.net.bulk import Receiver, receive, send
from p2pgrid.net.bulk_ends import ArraySource, BufferSink
from p2pgrid.net.bulk_pipe import Pipe, dial
from p2pgrid.net.bulk_server import BulkServer
from p2pgrid.net.counters import Counters
from p2pgrid.protocol.bulk import CHUNK_BYTES, ChunkHeader, Progress, digest_of
from p2pgrid.protocol.messages import Ticket

pytestmark = pytest.mark.libp2p

ANN, EVE, BOB = PeerId("ann"), PeerId("eve"), PeerId("bob")
ID = b"transfer.transfe"
TIMING = replace(DEFAULT_TIMING, hello_s=0.5, stall_s=0.5, connect_s=5.0)
DATA = np.random.default_rng(1).integers(0, 255, 3 * CHUNK_BYTES + 77, dtype=np.uint8)
WAIT_S = 30.0

MakeServer = Callable[..., BulkServer]


@pytest.fixture
def make_server() -> Iterator[MakeServer]:
    made: list[BulkServer] = []

    def make(*, timing: Timing = TIMING, limits: Limits = DEFAULT_LIMITS) -> BulkServer:
        server = BulkServer(host="127.0.0.1", port=0, peer_id=BOB, limits=limits, timing=timing)
        server.start()
        made.append(server)
        return server

    yield make
    for server in made:
        server.close()
    for thread in threading.enumerate():
        if thread.name.startswith(("p2pgrid-bulk", "p2pgrid-sync")):
            thread.join(WAIT_S)
            assert not thread.is_alive()


@pytest.fixture
def server(make_server: MakeServer) -> BulkServer:
    return make_server()


class Taken:
    """What a server received; ``over`` is set when its work has ended."""

    def __init__(self, size: int = DATA.nbytes) -> None:
        self.receiver = Receiver(BufferSink(size), Progress(size))
        self.over = threading.Event()
        self.error: Exception | None = None

    def work(self, pipe: Pipe) -> None:
        try:
            receive(pipe, self.receiver)
        except (TransportError, RemoteProtocolError) as error:
            self.error = error
        finally:
            self.receiver.settle()
            self.over.set()

    @property
    def data(self) -> bytes:
        sink = self.receiver.sink
        assert isinstance(sink, BufferSink)
        return sink.data[: self.receiver.progress.durable].tobytes()


def giving(over: threading.Event | None = None) -> Callable[[Pipe], None]:
    def work(pipe: Pipe) -> None:
        send(pipe, ArraySource(DATA), Progress(DATA.nbytes))
        if over is not None:
            over.set()

    return work


@contextmanager
def dialled(
    ticket: Ticket,
    *,
    client: PeerId = ANN,
    stop: threading.Event | None = None,
    counters: Counters | None = None,
) -> Iterator[tuple[socket.socket, Pipe]]:
    connection, pipe = dial(
        socket.create_connection(("127.0.0.1", ticket.port)),
        ticket,
        client=client,
        server=BOB,
        transfer_id=ID,
        timing=replace(TIMING, stall_s=WAIT_S),
        stop=stop or threading.Event(),
        counters=counters or Counters(),
    )
    with connection:
        yield connection, pipe


def is_refused(ticket: Ticket, *, client: PeerId = ANN) -> bool:
    """True when the server hangs up instead of working."""
    with dialled(ticket, client=client) as (_, pipe):
        try:
            pipe.read(1)
        except TransportError:
            return True
    return False


def test_an_array_goes_up_and_down_and_every_byte_is_counted(server: BulkServer) -> None:
    taken, counters = Taken(), Counters()
    marks: list[int] = []
    with dialled(server.issue(ANN, ID, taken.work), counters=counters) as (_, pipe):
        send(pipe, ArraySource(DATA), Progress(DATA.nbytes), on_durable=marks.append)
    assert taken.over.wait(WAIT_S)
    assert taken.data == DATA.tobytes()
    assert marks == sorted(marks)
    assert marks[-1] == DATA.nbytes
    back, over = Receiver(BufferSink(DATA.nbytes), Progress(DATA.nbytes)), threading.Event()
    with dialled(server.issue(ANN, ID, giving(over)), counters=counters) as (_, pipe):
        receive(pipe, back)
        assert over.wait(WAIT_S)
    assert isinstance(back.sink, BufferSink)
    assert back.sink.data.tobytes() == DATA.tobytes()
    assert counters.sent >= DATA.nbytes <= counters.received
    assert (server.counters.received, server.counters.sent) == (counters.sent, counters.received)


def test_a_wrong_token_is_refused_and_spends_nothing(server: BulkServer) -> None:
    taken = Taken()
    ticket = server.issue(ANN, ID, taken.work)
    assert is_refused(msgspec.structs.replace(ticket, token=bytes(32)))
    with dialled(ticket) as (_, pipe):
        send(pipe, ArraySource(DATA), Progress(DATA.nbytes))
    assert taken.over.wait(WAIT_S)


def test_a_token_is_good_once(server: BulkServer) -> None:
    ticket = server.issue(ANN, ID, giving())
    with dialled(ticket):
        assert is_refused(ticket)
    assert is_refused(ticket)


def test_a_token_is_good_for_the_peer_that_it_was_given_to(server: BulkServer) -> None:
    ticket = server.issue(ANN, ID, giving())
    assert is_refused(ticket, client=EVE)
    assert not is_refused(ticket)


def test_a_token_ends(make_server: MakeServer) -> None:
    assert is_refused(make_server(timing=replace(TIMING, ticket_s=0.0)).issue(ANN, ID, giving()))


def test_a_newer_ticket_voids_the_older_and_ends_its_connection(server: BulkServer) -> None:
    old = server.issue(ANN, ID, giving())
    with dialled(old) as (_, pipe):
        pipe.read(1)
        newer = server.issue(ANN, ID, giving())
        assert not server.is_at_work(ID)
        newest = server.issue(ANN, ID, giving())
    assert is_refused(newer)
    assert not is_refused(newest)


def test_a_man_in_the_middle_is_found_out_and_learns_nothing(
    server: BulkServer, make_server: MakeServer
) -> None:
    middle, seen = make_server(), Taken()
    ticket = server.issue(ANN, ID, giving())
    middle.issue(ANN, ID, seen.work)
    with (
        pytest.raises(IdentityMismatchError),
        dialled(msgspec.structs.replace(ticket, port=middle.port)),
    ):
        pass
    assert middle.counters.received == 0
    assert not is_refused(ticket)


def test_a_port_without_tls_is_a_broken_connection(server: BulkServer) -> None:
    ticket = server.issue(ANN, ID, giving())
    with socket.create_server(("127.0.0.1", 0)) as plain:
        port = plain.getsockname()[1]

        def hang_up() -> None:
            plain.accept()[0].close()

        talker = threading.Thread(target=hang_up)
        talker.start()
        with pytest.raises(TransportError), dialled(msgspec.structs.replace(ticket, port=port)):
            pass
        talker.join(WAIT_S)


def test_only_tls_1_3_is_spoken(server: BulkServer) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with (
        socket.create_connection(("127.0.0.1", server.port)) as plain,
        pytest.raises(ssl.SSLError),
    ):
        context.wrap_socket(plain)
    with dialled(server.issue(ANN, ID, giving())) as (connection, _):
        assert isinstance(connection, ssl.SSLSocket)
        assert connection.version() == "TLSv1.3"


def first_chunk(*, digest: bytes = b"") -> tuple[bytes, bytes]:
    chunk = DATA[:CHUNK_BYTES].tobytes()
    return ChunkHeader(0, CHUNK_BYTES, digest or digest_of(chunk)).encode(), chunk


def test_a_damaged_chunk_is_refused_and_nothing_of_it_is_kept(server: BulkServer) -> None:
    taken = Taken()
    with dialled(server.issue(ANN, ID, taken.work)) as (_, pipe):
        header, chunk = first_chunk(digest=bytes(8))
        pipe.write(header)
        pipe.write(chunk)
        assert taken.over.wait(WAIT_S)
    assert isinstance(taken.error, RemoteProtocolError)
    assert taken.data == b""


@pytest.mark.parametrize(
    ("offset", "size"),
    [(0, CHUNK_BYTES + 1), (0, 1), (1, CHUNK_BYTES), (0, 0), (0, 2**32 - 1), (2**63, CHUNK_BYTES)],
)
def test_a_chunk_that_claims_what_is_not_due_is_refused_before_it_is_read(
    server: BulkServer, offset: int, size: int
) -> None:
    taken = Taken()
    with dialled(server.issue(ANN, ID, taken.work)) as (_, pipe):
        pipe.write(ChunkHeader(offset, size, bytes(8)).encode())
        assert taken.over.wait(WAIT_S)
    assert isinstance(taken.error, RemoteProtocolError)


def test_a_receiver_that_claims_what_was_not_sent_is_refused(server: BulkServer) -> None:
    failed: list[Exception] = []

    def work(pipe: Pipe) -> None:
        try:
            giving()(pipe)
        except RemoteProtocolError as error:
            failed.append(error)

    with dialled(server.issue(ANN, ID, work)) as (_, pipe):
        pipe.write(b"\xff" * 8)
        with pytest.raises(TransportError):
            pipe.read(2 * DATA.nbytes)
    assert "called safe" in str(failed[0])


def test_a_connection_cut_off_in_a_chunk_goes_on_behind_the_last_whole_one(
    server: BulkServer,
) -> None:
    taken = Taken()
    with dialled(server.issue(ANN, ID, taken.work)) as (_, pipe):
        header, chunk = first_chunk()
        pipe.write(header + chunk)
        pipe.write(ChunkHeader(CHUNK_BYTES, CHUNK_BYTES, bytes(8)).encode() + chunk[:1000])
    assert taken.over.wait(WAIT_S)
    assert isinstance(taken.error, TransportError)
    assert taken.receiver.progress.resume() == CHUNK_BYTES
    taken.over.clear()
    counters = Counters()
    with dialled(server.issue(ANN, ID, taken.work), counters=counters) as (_, pipe):
        send(pipe, ArraySource(DATA), Progress(DATA.nbytes, durable=CHUNK_BYTES))
    assert taken.data == DATA.tobytes()
    assert counters.sent < DATA.nbytes - CHUNK_BYTES + 1000


def test_a_peer_that_trickles_is_hung_up_on(server: BulkServer) -> None:
    taken = Taken()
    with dialled(server.issue(ANN, ID, taken.work)) as (_, pipe):
        pipe.write(first_chunk()[0])
        while not taken.over.wait(0.1):
            pipe.write(b"x")
    assert "moved nothing" in str(taken.error)


def test_a_reader_that_stops_is_hung_up_on(server: BulkServer) -> None:
    failed: list[Exception] = []
    over = threading.Event()
    endless = np.broadcast_to(np.zeros(1, np.uint8), (1 << 30,))

    def work(pipe: Pipe) -> None:
        try:
            send(pipe, ArraySource(endless), Progress(endless.nbytes))
        except TransportError as error:
            failed.append(error)
        finally:
            over.set()

    with dialled(server.issue(ANN, ID, work)):
        assert over.wait(WAIT_S)
    assert "moved nothing" in str(failed[0])


def test_of_many_strangers_that_say_nothing_the_oldest_go(make_server: MakeServer) -> None:
    server = make_server(
        timing=replace(TIMING, hello_s=2 * WAIT_S), limits=replace(DEFAULT_LIMITS, strangers=4)
    )
    before = threading.active_count()
    silent = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(30)]
    assert not is_refused(server.issue(ANN, ID, giving()))
    for stranger in silent[:26]:
        stranger.settimeout(WAIT_S)
        assert ends(stranger)
    assert len(server._strangers) <= 4
    assert threading.active_count() <= before + 6
    for stranger in silent:
        stranger.close()


def test_a_stranger_that_says_nothing_is_brief(server: BulkServer) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=WAIT_S) as stranger:
        assert ends(stranger)


def ends(stranger: socket.socket) -> bool:
    try:
        return stranger.recv(1) == b""
    except ConnectionResetError:
        return True


def test_a_stranger_that_shakes_hands_and_stops_is_cut_off(server: BulkServer) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with (
        socket.create_connection(("127.0.0.1", server.port), timeout=WAIT_S) as plain,
        context.wrap_socket(plain) as stranger,
    ):
        stranger.send(ID)
        assert stranger.recv(1) == b""


@pytest.mark.parametrize("direction", ["up", "down"])
def test_who_stops_is_back_soon_and_the_other_side_notices(
    make_server: MakeServer, direction: str
) -> None:
    server = make_server(timing=replace(TIMING, stall_s=WAIT_S))
    taken, stop = Taken(), threading.Event()
    work = taken.work if direction == "up" else giving()
    with dialled(server.issue(ANN, ID, work), stop=stop) as (_, pipe):
        timer = threading.Timer(0.1, stop.set)
        timer.start()
        with pytest.raises(TransportError, match="stopped"):
            pipe.read(2 * DATA.nbytes)
    server.revoke(ID)
    assert not server.is_at_work(ID)
    timer.join()


def test_a_server_that_closes_ends_its_connections(make_server: MakeServer) -> None:
    server = make_server(timing=replace(TIMING, stall_s=WAIT_S))
    with dialled(server.issue(ANN, ID, Taken().work)) as (_, pipe):
        pipe.write(first_chunk()[0])
        closing = threading.Thread(target=server.close)
        closing.start()
        with pytest.raises(TransportError):
            pipe.read(1)
        closing.join(WAIT_S)
        assert not closing.is_alive()


def test_a_port_in_use_is_told(server: BulkServer) -> None:
    def at(host: str) -> BulkServer:
        return BulkServer(
            host=host, port=server.port, peer_id=BOB, limits=DEFAULT_LIMITS, timing=TIMING
        )

    with pytest.raises(PortInUseError):
        at("127.0.0.1").start()
    with pytest.raises(NodeError):
        at("192.0.2.1").start()
