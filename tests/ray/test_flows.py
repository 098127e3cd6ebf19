"""The main flows on the real parts: Ray clusters, libp2p over loopback, SQLite on disk."""

import os
import signal
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil
import pytest

from actors.cluster import load_cluster
from actors.layout import NodeDirectory
from actors.processes import members
from p2pgrid import Client, DomainClient, NetworkClient, Node, launch, start, stop
from p2pgrid.client.launch import OWNER
from p2pgrid.errors import (
    DomainUnreachableError,
    GetNotPermittedError,
    ObjectGoneError,
    PeerUnreachableError,
    PortInUseError,
    UnavailableError,
)

pytestmark = pytest.mark.ray

VALUES = np.arange(15.0).reshape(5, 3)


@dataclass
class Real:
    """One network and one domain, each a Ray cluster of its own."""

    client: Client
    network: Node
    bob: Node
    programs: list[Client] = field(default_factory=list)

    def owner(self) -> DomainClient:
        """A program of the owner, with an identity of its own on the network."""
        self.programs.append(Client(self.client.home))
        domain = self.programs[-1].connect(self.bob.address)
        assert isinstance(domain, DomainClient)
        return domain.login(OWNER)


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Real]:
    home = tmp_path_factory.mktemp("grid")
    client = Client(home)
    network = launch("city-health", "network", client=client)
    bob = launch("bob", client=client, networks=[network.address])
    made = Real(client, network, bob)
    made.owner().publish("values", VALUES, tags=("#values",), allowed_users="ana", announce=True)
    yield made
    for program in (client, *made.programs):
        program.close()
    for node in (bob, network):
        stop(node.directory)


def pids_of(node: Node) -> dict[int, str]:
    running = load_cluster(node.directory / "ray")
    return {} if running is None else members(running.session)


def actor_pid(node: Node, name: str) -> int:
    return next(
        pid for pid in pids_of(node) if f"ray::{name}" in " ".join(psutil.Process(pid).cmdline())
    )


def kill_and_wait(pid: int) -> None:
    process = psutil.Process(pid)
    os.kill(pid, signal.SIGKILL)
    psutil.wait_procs([process], timeout=10)


def listening_ports(node: Node) -> dict[int, str]:
    return {
        it.laddr.port: it.laddr.ip
        for pid in pids_of(node)
        for it in psutil.Process(pid).net_connections("tcp")
        if it.status == psutil.CONN_LISTEN
    }


def test_a_scientist_finds_computes_and_takes_home_only_what_is_allowed(
    real: Real, tmp_path: Path
) -> None:
    scientist = Client(tmp_path)
    for user in ("carol", "ana"):
        scientist.wallet.new(real.bob.peer_id, user)
        real.owner().users.add(user, scientist.wallet.public_key(real.bob.peer_id, user))
    network = scientist.connect(real.network.address)
    assert isinstance(network, NetworkClient)
    through_network = network.search("#values")["bob"][0]
    by_dht = scientist.search("#values")["bob"][0]
    for pointer in (through_network, by_dht):
        with pytest.raises(GetNotPermittedError):
            pointer.get()
        np.testing.assert_array_equal(
            (pointer.T @ pointer + 1).get(user="ana"), VALUES.T @ VALUES + 1
        )
    scientist.close()


def test_every_ray_socket_is_on_loopback_and_no_port_is_shared(real: Real) -> None:
    bob, network = listening_ports(real.bob), listening_ports(real.network)
    assert len(bob) > 5
    for ports in (bob, network):
        assert {ip.removeprefix("::ffff:") for ip in ports.values()} == {"127.0.0.1"}
    assert not bob.keys() & network.keys()


def test_a_killed_gateway_comes_back_as_the_same_peer_with_the_same_data(real: Real) -> None:
    owner = real.owner()
    before = owner.datasets[0]
    derived = (before.pointers[0] + 1).block
    kill_and_wait(actor_pid(real.bob, "RemoteGateway"))
    risen = start(real.bob.directory, client=real.client)
    assert (risen.peer_id, risen.addresses) == (real.bob.peer_id, real.bob.addresses)
    after = real.owner().datasets[0]
    assert after.id == before.id
    np.testing.assert_array_equal(before.pointers[0].get(), VALUES)
    with pytest.raises(ObjectGoneError):
        derived.get()


def test_a_killed_store_loses_results_but_no_datasets(real: Real) -> None:
    owner = real.owner()
    pointer = owner.datasets[0].pointers[0]
    derived = (pointer + 1).block
    kill_and_wait(actor_pid(real.bob, "RemoteStore"))
    with pytest.raises((ObjectGoneError, UnavailableError)):
        derived.get()
    start(real.bob.directory, client=real.client)
    owner.publish("after", VALUES)  # waits for the store, as an owner would
    np.testing.assert_array_equal((pointer * 2).get(), VALUES * 2)
    with pytest.raises(ObjectGoneError):
        (derived + 1).get()


def test_large_arrays_go_in_and_come_home_by_the_bulk_port(real: Real, tmp_path: Path) -> None:
    owner = real.owner()
    large = np.random.default_rng(2).normal(size=(2000, 1000))
    pointer = owner.publish("large", large).pointers[0]
    np.testing.assert_array_equal(pointer.get(), large)
    mapped = (pointer.T + 1).get(to=tmp_path / "result.npy")
    np.testing.assert_array_equal(mapped, large.T + 1)
    counters = owner.transfers.counters
    assert counters.sent >= large.nbytes
    assert counters.received >= 2 * large.nbytes
    objects = real.bob.directory / "objects"
    assert not [*objects.glob("*.part"), *(objects / "spool").iterdir()]


def test_an_unreachable_domain_is_told_with_its_name(real: Real, tmp_path: Path) -> None:
    client = Client(tmp_path)
    nobody = client.domain(real.bob.peer_id, "nobody", ("/ip4/127.0.0.1/tcp/1",))
    with pytest.raises(DomainUnreachableError, match="nobody"):
        nobody.search("#values")
    client.close()


def test_a_node_whose_port_is_taken_says_so_and_leaves_nothing(tmp_path: Path) -> None:
    client = Client(tmp_path)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(PortInUseError, match=str(port)):
            launch("late", client=client, port=port)
    assert load_cluster(NodeDirectory(tmp_path / "nodes" / "late").ray) is None


def test_a_stopped_node_leaves_no_process_and_starts_again_from_its_files(real: Real) -> None:
    running = load_cluster(real.network.directory / "ray")
    assert running is not None
    assert members(running.session)
    real.network.stop()
    real.network.stop()
    assert not members(running.session)
    with pytest.raises(PeerUnreachableError):
        real.client.connect(real.network.address)
    risen = start(real.network.directory, client=real.client)
    assert (risen.peer_id, risen.addresses) == (real.network.peer_id, real.network.addresses)
