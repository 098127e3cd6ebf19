"""Nodes that share an embedded cluster: as many as a laptop bears, and what ends when."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import psutil
import pytest

from actors.cluster import RunningCluster, load_cluster
from actors.layout import NodeDirectory
from actors.processes import members, stop_members
from p2pgrid import Client, DomainClient, Node, launch, start, stop
from p2pgrid.client.launch import OWNER
from p2pgrid.client.node_commands import on_nodes
from p2pgrid.client.ports import free_ports
from p2pgrid.errors import NodeError, PortInUseError, SchemaError
from tests.fabric.conftest import domain_at, network_at
from tests.flows.grids import RealGrid

pytestmark = pytest.mark.ray

VALUES = np.arange(3.0)


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    """A program with a home of its own, in which no node runs at the end."""
    made = Client(tmp_path)
    yield made
    made.close()
    if (tmp_path / "nodes").exists():
        stop(tuple((tmp_path / "nodes").iterdir()))
    assert load_cluster(tmp_path / "embedded") is None


def embedded(client: Client) -> RunningCluster:
    running = load_cluster(client.home / "embedded")
    assert running is not None
    return running


def kill(pid: int) -> None:
    process = psutil.Process(pid)
    os.kill(pid, signal.SIGKILL)
    psutil.wait_procs([process], timeout=10)


def owner_of(client: Client, node: Node) -> DomainClient:
    return domain_at(client, node.address).login(OWNER)


def answers(client: Client, node: Node, number: int) -> bool:
    """Whether a node computes on the data that ``fill`` gave it."""
    dataset = owner_of(client, node).search("#every")[0]
    return bool(np.array_equal((dataset.pointers[0] * 2).get(), 2 * (VALUES + number)))


def fill(client: Client, node: Node, number: int, *, announce: bool = False) -> None:
    owner = owner_of(client, node)
    tags = ("#every", f"#only-{number}")
    owner.publish("values", VALUES + number, tags=tags, announce=announce)


def network(client: Client, name: str) -> Node:
    return launch(name, "network", isolation="packed", client=client)


@pytest.mark.parametrize(
    "count",
    [
        pytest.param(20, marks=pytest.mark.timeout(300)),
        pytest.param(100, marks=[pytest.mark.slow, pytest.mark.timeout(1800)]),
    ],
)
def test_many_packed_nodes_are_peers_of_their_own_and_leave_no_process(
    client: Client, count: int
) -> None:
    with ThreadPoolExecutor() as programs:  # the first nodes come from two at once
        city, village = programs.map(lambda name: network(client, name), ["city", "village"])
    assert city.gateway_pid == village.gateway_pid
    (first,) = launch(["h0"], isolation="packed", client=client, networks=[city.address])
    fill(client, first, 0, announce=True)
    names = [f"h{number}" for number in range(count)]
    nodes = launch(names, isolation="packed", client=client, networks=[city.address])
    assert len({node.peer_id for node in nodes}) == len({node.address for node in nodes}) == count
    assert nodes[0].peer_id == first.peer_id
    assert len({node.gateway_pid for node in nodes}) == -(-(count + 2) // 50)
    for number, node in enumerate(nodes[1:], start=1):
        fill(client, node, number)
    assert all(answers(client, node, number) for number, node in enumerate(nodes))
    listed = network_at(client, city.address).search("#every")
    assert sorted(listed) == sorted(names)
    stranger = Client(client.home / "stranger")
    stranger.connect(city.address)
    assert list(stranger.search("#only-0")) == ["h0"]
    stranger.close()
    session = embedded(client).session
    stop([city.directory, village.directory, *(node.directory for node in nodes)])
    assert not members(session)


def test_actors_have_processes_of_their_own_in_the_shared_cluster(pack: RealGrid) -> None:
    client = pack.owners
    carol, dave = launch(
        ["carol", "dave"], isolation="actors", client=client, networks=[pack.network]
    )
    assert len({carol.gateway_pid, dave.gateway_pid, pack.city.gateway_pid}) == 3
    owner_of(client, carol).publish("values", VALUES, tags=("#actors",))
    found = network_at(client, pack.network).search("#actors")
    np.testing.assert_array_equal((found["carol"][0] + 1).get(user=OWNER), VALUES + 1)
    carol.stop()
    assert not psutil.pid_exists(carol.gateway_pid)
    assert owner_of(client, dave).users.list()
    risen = start(carol.directory, client=client)
    assert (risen.peer_id, risen.address) == (carol.peer_id, carol.address)
    np.testing.assert_array_equal(owner_of(client, risen).datasets[0].pointers[0].get(), VALUES)
    stop([carol.directory, dave.directory])
    assert owner_of(client, pack.domains[0].node).users.list()


def test_a_stopped_packed_node_is_the_only_one_that_stops(pack: RealGrid) -> None:
    gone, stays = pack.domains[0].node, pack.domains[1].node
    assert gone.gateway_pid == stays.gateway_pid
    pack.domains[0].stop()
    port = NodeDirectory(gone.directory).settings().port
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=5)
    told = on_nodes("status", [(gone.directory,), (stays.directory,)])
    assert [status["running"] for status in told] == [False, True]
    assert told[1]["gateway_pid"] == stays.gateway_pid
    assert owner_of(pack.owners, stays).users.list()
    pack.domains[0].start()


def test_the_nodes_of_a_killed_pack_come_back_with_their_data(pack: RealGrid) -> None:
    nodes = [domain.node for domain in pack.domains[:2]]
    for number, node in enumerate(nodes):
        owner_of(pack.owners, node).publish("kept", VALUES + number, tags=("#kept-by-pack",))
    kill(nodes[0].gateway_pid)
    risen = start([node.directory for node in nodes], client=pack.owners)
    assert risen[0].gateway_pid != nodes[0].gateway_pid
    for number, (before, after) in enumerate(zip(nodes, risen, strict=True)):
        assert (after.peer_id, after.addresses) == (before.peer_id, before.addresses)
        (dataset,) = owner_of(pack.owners, after).search("#kept-by-pack")
        np.testing.assert_array_equal(dataset.pointers[0].get(), VALUES + number)


def test_an_embedded_cluster_that_was_killed_starts_again(pack: RealGrid) -> None:
    session = embedded(pack.owners).session
    bob = pack.domains[2].node
    owner_of(pack.owners, bob).publish("survives", VALUES, tags=("#survives",))
    stop_members([session], grace_s=0)
    pack.start_all()
    (dataset,) = owner_of(pack.owners, pack.domains[2].node).search("#survives")
    np.testing.assert_array_equal(dataset.pointers[0].get(), VALUES)


def test_an_embedded_cluster_that_is_broken_ends_as_a_whole_and_starts_again(
    pack: RealGrid,
) -> None:
    running = embedded(pack.owners)
    (running.temp_dir / "pack-0.json").write_text("{")
    kill(pack.city.gateway_pid)  # it cannot start its nodes again
    pack.domains[0].stop()
    assert not members(running.session)
    pack.start_all()
    assert owner_of(pack.owners, pack.domains[0].node).users.list()


def test_packed_nodes_start_together_or_not_at_all(pack: RealGrid) -> None:
    (port,) = free_ports(1)
    with pytest.raises(PortInUseError, match=str(port)):  # the second finds the first there
        launch(["erin", "frank"], isolation="packed", client=pack.owners, port=port)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=5)
    assert owner_of(pack.owners, pack.domains[0].node).users.list()


def test_a_node_keeps_the_isolation_with_which_it_was_made(pack: RealGrid) -> None:
    with pytest.raises(NodeError, match="made with isolation packed, not cluster"):
        launch(pack.domains[0].name, client=pack.owners)
    with pytest.raises(SchemaError, match="num_gpus"):
        launch("grace", isolation="packed", client=pack.owners, num_gpus=1)


def test_the_example_of_a_hundred_hospitals_runs_with_fewer() -> None:
    program = Path(__file__).parents[2] / "examples" / "hundred_hospitals.py"
    done = subprocess.run(
        [sys.executable, program, "3"], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines() == ["3 peers in 1 processes", "mean weight 3.78 kg"]
