"""A closed network on real sockets: members meet, everybody else is told so at once."""

import logging
import socket
import ssl
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from p2pgrid import Client
from p2pgrid.errors import NetworkKeyError, PeerUnreachableError
from p2pgrid.net import key_file
from p2pgrid.net.certificate import client_context
from p2pgrid.net.host import connect, is_connected
from p2pgrid.net.key_file import make_key, read_key
from p2pgrid.net.pnet import GREETING
from p2pgrid.protocol.secret import Secret
from tests.libp2p.conftest import Clinic
from tests.libp2p.dht_nodes import (
    encoded,
    node,
    peer_of,
    process,
    record_of,
    run,
)

pytestmark = pytest.mark.libp2p

SOON_S = 5.0
"""What a peer of another network may take to say so."""
STRANGERS = 40
OURS, THEIRS = Secret(bytes(32)), Secret(bytes(range(32)))


@pytest.fixture
def key(tmp_path: Path) -> Path:
    make_key(tmp_path / "members.key")
    return tmp_path / "members.key"


@pytest.fixture
def other_key(tmp_path: Path) -> Path:
    make_key(tmp_path / "others.key")
    return tmp_path / "others.key"


async def refused(work: Callable[[], Awaitable[object]]) -> NetworkKeyError:
    """The error of another network, which has to come soon."""
    with trio.fail_after(SOON_S), pytest.raises(NetworkKeyError) as error:
        await work()
    return error.value


def test_members_in_other_processes_find_each_other(key: Path) -> None:
    async def work(join: list[str]) -> None:
        async with node(3, key=read_key(key)) as here:
            assert await here.dht.join(join) == 1
            assert (await here.dht.get(peer_of(2))).seq == 1
            assert [peer for peer, _ in await here.dht.find("far")] == [peer_of(2)]

    with process(1, key=str(key)) as first:
        task = {"join": first.addresses, "records": [encoded(record_of(2))], "tags": ["far"]}
        with process(2, key=str(key), **task):
            run(lambda: work(first.addresses))


@pytest.mark.parametrize("has_key", [True, False])
def test_an_outsider_gets_nothing_from_the_dht(
    key: Path, other_key: Path, *, has_key: bool
) -> None:
    async def work(join: list[str]) -> None:
        mine = read_key(other_key) if has_key else None
        async with node(1, key=read_key(key)) as member, node(4, key=mine) as outsider:
            await member.dht.join(join)
            addresses = [*join, *member.addresses]
            error = await refused(lambda: outsider.dht.join(addresses))
            assert error.has_key is has_key
            with pytest.raises(PeerUnreachableError):
                await outsider.dht.get(peer_of(2))
            assert await outsider.dht.find("far") == ()
            await outsider.dht.put(record_of(4))
            await outsider.dht.announce("mine")
            # The other way round, a member that is sent to an outsider.
            await refused(lambda: connect(member.host, peer_of(4), outsider.addresses))
            assert member.dht.table == (peer_of(2),)
            assert outsider.dht.table == ()
            assert await member.dht.find("mine") == ()
            with pytest.raises(PeerUnreachableError):
                await member.dht.get(peer_of(4))

    with process(2, key=str(key), records=[encoded(record_of(2))], tags=["far"]) as far:
        run(lambda: work(far.addresses))


@pytest.mark.parametrize("listening", [OURS, THEIRS, None], ids=["ours", "theirs", "open"])
@pytest.mark.parametrize("dialling", [OURS, None], ids=["with a key", "without"])
def test_only_the_same_key_connects(dialling: Secret | None, listening: Secret | None) -> None:
    async def work() -> None:
        async with node(1, key=dialling, server=False) as one, node(2, key=listening) as other:
            if dialling == listening:
                await connect(one.host, other.peer, other.addresses, SOON_S)
                return
            error = await refused(lambda: connect(one.host, other.peer, other.addresses))
            assert error.has_key is (dialling is not None)
            assert bytes(range(32)).hex()[:8] not in f"{error!r} {error}"
            assert not is_connected(one.host, other.peer)
            assert not is_connected(other.host, one.peer)

    run(work)


def test_a_port_that_echoes_is_not_a_member() -> None:
    async def echo(stream: trio.SocketStream) -> None:
        with suppress(trio.BrokenResourceError):
            async for data in stream:
                await stream.send_all(data)

    async def work() -> None:
        async with node(1, key=OURS) as here, trio.open_nursery() as nursery:
            serve = partial(trio.serve_tcp, echo, 0, host="127.0.0.1")
            (listener,) = await nursery.start(serve)
            port = listener.socket.getsockname()[1]
            where = [f"/ip4/127.0.0.1/tcp/{port}"]
            await refused(lambda: connect(here.host, peer_of(2), where))
            nursery.cancel_scope.cancel()

    run(work)


def _held() -> tuple[int, int]:
    """Open descriptors and living tasks."""
    tasks = trio.lowlevel.current_statistics().tasks_living
    return len(list(Path("/proc/self/fd").iterdir())), tasks


@pytest.mark.parametrize("said", [GREETING, bytes(44), b"GET / HTTP/1.1\r\n" * 10, b""])
def test_strangers_leave_nothing_behind(
    said: bytes, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    async def work() -> None:
        async with node(1, key=OURS) as here, node(2, key=OURS, server=False) as member:
            ((host, port),) = [
                (str(it.value_for_protocol("ip4")), int(it.value_for_protocol("tcp")))
                for it in here.host.get_addrs()
            ]
            before = _held()
            for _ in range(STRANGERS):
                stream = await trio.open_tcp_stream(host, port)
                await stream.send_all(said)
                if said:
                    # Our nonce and greeting, and then the end: nobody waits for a deadline.
                    with trio.fail_after(SOON_S):
                        assert len(await _until_end(stream)) in {0, 24 + len(GREETING)}
                await stream.aclose()
            with trio.fail_after(SOON_S):
                while any(now > then for now, then in zip(_held(), before, strict=True)):
                    await wait_all_tasks_blocked(0.01)
            assert not here.host.get_network().get_connections()
            assert not caplog.records
            await connect(member.host, here.peer, here.addresses, SOON_S)

    with caplog.at_level(logging.INFO):
        run(work)
    assert "".join(capfd.readouterr()) == ""


async def _until_end(stream: trio.SocketStream) -> bytes:
    try:
        return b"".join([piece async for piece in stream])
    except trio.BrokenResourceError:  # hung up on before all that we said was read
        return b""


@dataclass
class Grid:
    """A closed domain and the programs that try to reach it."""

    clinic: Clinic
    home: Path

    def program(self, name: str, key: Path | None) -> Client:
        """A program of the owner in another network, or in none."""
        home = self.home / name
        client = Client(home, wallet=self.clinic.wallet, network_key=key)
        self.clinic.programs.append(client)
        return client


@pytest.fixture
def grid(clinic: Clinic, tmp_path: Path, key: Path) -> Grid:
    clinic.directory.change({"network_key": str(key)})
    key.rename(clinic.home / key_file.NAME)  # the home of the owner
    return Grid(clinic, tmp_path)


def test_members_compute_and_others_are_told_at_once(grid: Grid, other_key: Path) -> None:
    grid.clinic.start()
    owner = grid.clinic.owner()
    dataset = owner.publish("weights", np.arange(3.0), tags=("#weights",), announce=True)
    assert (dataset.pointers[0] + 1).get().tolist() == [1.0, 2.0, 3.0]
    for name, key in (("open", None), ("other", other_key)):
        outsider = grid.program(name, key)
        begun = time.monotonic()
        with pytest.raises(NetworkKeyError, match="key file") as told:
            outsider.connect(grid.clinic.address)
        assert time.monotonic() - begun < SOON_S
        assert told.value.has_key is (key is not None)
        where = (grid.clinic.address,)
        outsider._known.remember(owner.peer_id, name="c", kind="domain", addresses=where)
        with pytest.raises(NetworkKeyError):
            outsider.search("#weights")
    member = grid.program("", None)  # with the key of the home
    assert [it.name for it in member.search("#weights").datasets()] == ["weights"]


def test_the_ports_beside_it_say_nothing_to_outsiders(grid: Grid) -> None:
    node_here = grid.clinic.start_here()
    domain = grid.clinic.owner()
    domain.publish("large", np.zeros(1 << 20, np.uint8))  # over the bulk port
    assert node_here._bulk is not None
    tls = node_here._peer._transport._upgrades._listener  # type: ignore[attr-defined]
    for port in (node_here._bulk.port, tls._port):
        with (
            socket.create_connection(("127.0.0.1", port), timeout=10) as plain,
            client_context().wrap_socket(plain) as outsider,
        ):
            heard = b""
            with suppress(ssl.SSLError, ConnectionError):  # hung up on while we speak
                outsider.sendall(bytes(64 << 10))  # a token that nobody was given
                heard = outsider.recv(1)
            assert heard == b""


def test_a_publish_into_an_open_network_is_told_in_the_log(
    grid: Grid, caplog: pytest.LogCaptureFixture
) -> None:
    with process(1) as far:
        grid.clinic.directory.join(far.addresses[0])
        grid.clinic.start_here()
        owner = grid.clinic.owner()
        begun = time.monotonic()
        owner.publish("weights", np.arange(3.0), tags=("#weights",), announce=True)
        assert time.monotonic() - begun < 2 * SOON_S
    told = {(it.__dict__["to"], it.__dict__["error"]) for it in caplog.records if "to" in vars(it)}
    assert told == {("network", "NetworkKeyError"), ("DHT", "NetworkKeyError")}
