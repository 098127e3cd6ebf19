"""What only real Ray clusters show: sockets, and processes that are killed."""

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest

from actors.cluster import load_cluster
from actors.layout import NodeDirectory
from actors.processes import members
from p2pgrid import Client, DomainClient, Node, launch
from p2pgrid.client.launch import OWNER
from p2pgrid.errors import (
    DomainUnreachableError,
    ObjectGoneError,
    PortInUseError,
    UnavailableError,
)
from tests.fabric.conftest import domain_at
from tests.flows.grids import RealDomain, RealGrid

pytestmark = pytest.mark.ray

VALUES = np.arange(15.0).reshape(5, 3)


@pytest.fixture(scope="module")
def bob(clusters: RealGrid) -> RealDomain:
    """A domain with a dataset."""
    domain = clusters.domain()
    domain.owner().publish("values", VALUES, tags=("#values",))
    return domain


@pytest.fixture
def owner(clusters: RealGrid, bob: RealDomain) -> Iterator[DomainClient]:
    """A program of the owner, with an identity of its own on the network."""
    program = Client(clusters.owners.home)
    yield domain_at(program, bob.address).login(OWNER)
    program.close()


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


def test_every_ray_socket_is_on_loopback_and_no_port_is_shared(
    clusters: RealGrid, bob: RealDomain
) -> None:
    domain, network = listening_ports(bob.node), listening_ports(clusters.city)
    assert len(domain) > 5
    for ports in (domain, network):
        assert {ip.removeprefix("::ffff:") for ip in ports.values()} == {"127.0.0.1"}
    assert not domain.keys() & network.keys()


def test_a_killed_gateway_comes_back_as_the_same_peer_with_the_same_data(
    bob: RealDomain, owner: DomainClient
) -> None:
    before = owner.search("#values")[0]
    derived = (before.pointers[0] + 1).block
    address = bob.address
    kill_and_wait(actor_pid(bob.node, "RemoteGateway"))
    bob.start()
    assert (bob.node.peer_id, bob.address) == (owner.peer_id, address)
    assert bob.owner().search("#values")[0].id == before.id
    np.testing.assert_array_equal(before.pointers[0].get(), VALUES)
    with pytest.raises(ObjectGoneError):
        derived.get()


def test_a_killed_store_loses_results_but_no_datasets(bob: RealDomain, owner: DomainClient) -> None:
    pointer = owner.search("#values")[0].pointers[0]
    derived = (pointer + 1).block
    kill_and_wait(actor_pid(bob.node, "RemoteStore"))
    with pytest.raises((ObjectGoneError, UnavailableError)):
        derived.get()
    bob.start()
    owner.publish("after", VALUES)  # waits for the store, as an owner would
    np.testing.assert_array_equal((pointer * 2).get(), VALUES * 2)
    with pytest.raises(ObjectGoneError):
        (derived + 1).get()


def test_an_unreachable_domain_is_told_with_its_name(bob: RealDomain, tmp_path: Path) -> None:
    client = Client(tmp_path)
    nobody = client.domain(bob.peer_id, "nobody", ("/ip4/127.0.0.1/tcp/1",))
    with pytest.raises(DomainUnreachableError, match="nobody"):
        nobody.search("#values")
    client.close()


@pytest.mark.parametrize("which", ["port", "metrics_port"])
def test_a_node_whose_port_is_taken_says_so_and_leaves_nothing(tmp_path: Path, which: str) -> None:
    client = Client(tmp_path)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(PortInUseError, match=str(port)):
            launch("late", client=client, **{which: port})
    assert load_cluster(NodeDirectory(tmp_path / "nodes" / "late").ray) is None
