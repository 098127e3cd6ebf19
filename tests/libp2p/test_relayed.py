"""Domains that take no connections, with real sockets: what breaks on the way, and comes back."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from actors import announcer
from actors.layout import NodeDirectory, NodeSettings
from actors.local import LocalRegistry, LocalState
from actors.node import Node
from actors.registry import Registry
from actors.state import State
from p2pgrid import Client, DomainClient, NetworkClient
from p2pgrid.client.launch import OWNER
from p2pgrid.client.ports import free_ports
from p2pgrid.errors import DomainUnreachableError, PeerUnreachableError, TransportError
from p2pgrid.net.streams import Libp2pStream
from tests.libp2p.conftest import Clinic, make_clinic

pytestmark = pytest.mark.libp2p

MIB = 1 << 20
WAIT_S = 20.0


class City:
    """A network node with a relay, which can be stopped and started again on the same ports."""

    def __init__(self, home: Path) -> None:
        port, relay, websocket = free_ports(3)
        self.directory = NodeDirectory(home / "city")
        self.directory.create(
            NodeSettings(
                name="city",
                kind="network",
                port=port,
                relay_port=relay,
                websocket_port=websocket,
            )
        )
        self.start()

    def start(self) -> None:
        self.state = State(self.directory.database)
        self.registry = Registry(self.directory.registry)
        self.node = Node(
            self.directory.settings(),
            seed=self.directory.seed(),
            state=LocalState(self.state),
            registry=LocalRegistry(self.registry),
        )
        self.node.start()

    def stop(self) -> None:
        self.node.stop()
        self.state.close()
        self.registry.close()


@pytest.fixture
def city(tmp_path: Path) -> Iterator[City]:
    made = City(tmp_path)
    yield made
    made.stop()


@pytest.fixture
def ward(city: City, tmp_path: Path) -> Iterator[Clinic]:
    """A domain that lives behind the relay of the city."""
    made = make_clinic(tmp_path / "ward", relayed=True, networks=city.node.addresses[:1])
    made.start_here()
    yield made
    made.close()


def until(condition: Callable[[], bool]) -> None:
    """Waits for what other threads do."""
    tick, deadline = threading.Event(), time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline
        tick.wait(0.02)


def test_a_relayed_domain_is_found_by_its_network_and_works(city: City, ward: Clinic) -> None:
    values = np.random.default_rng(3).normal(size=MIB)
    dataset = ward.owner().publish("d", {"large": values, "small": [1.0, 2.0]}, tags=("#t",))
    assert ward.node is not None
    assert all("/p2p-circuit/" in address for address in ward.node.addresses)
    assert len(ward.node.addresses) == 2
    before = city.node._relay
    assert before is not None
    client = Client(ward.home / "ana", wallet=ward.wallet)
    ward.programs.append(client)
    network = client.connect(city.node.addresses[0])
    assert isinstance(network, NetworkClient)
    (found,) = network.search("#t").datasets()
    domain = client.connect(ward.address)
    assert isinstance(domain, DomainClient)
    domain.login(OWNER)
    np.testing.assert_array_equal((found["large"] * 2).get(), values * 2)
    assert (found["small"] + 1).sum().get() == dataset["small"].get().sum() + 2
    assert before.counters.sent > 2 * values.nbytes


def test_a_relay_that_dies_and_comes_back_has_its_domains_again(
    city: City, ward: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(announcer, "RETRY_S", 0.1)
    owner = ward.owner()
    pointer = owner.publish("d", np.arange(10.0)).pointers[0]
    city.stop()
    with pytest.raises(TransportError):
        (pointer + 1).get()
    city.start()

    def works() -> bool:
        try:
            return bool((pointer + 1).sum().get() == 55)
        except TransportError:
            return False

    until(works)
    assert ward.node is not None
    assert ward.node.addresses == ward.addresses


def test_a_domain_that_starts_before_its_network_is_reached_once_that_is_there(
    city: City, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(announcer, "RETRY_S", 0.1)
    city.stop()
    early = make_clinic(tmp_path / "early", relayed=True, networks=city.node.addresses[:1])
    node = early.start_here()
    try:
        assert node.addresses == ()
        city.start()
        until(lambda: len(node.addresses) == 2)
        early.addresses = node.addresses
        early.owner().publish("d", [1.0])
        until(lambda: bool(early.owner().datasets))
    finally:
        early.close()


def test_a_domain_that_is_gone_is_told_at_once_and_why(city: City, ward: Clinic) -> None:
    owner = ward.owner()
    assert ward.node is not None
    ward.node.stop()
    ward.node = None
    ward._state.close()
    client = Client(ward.home / "ana")
    ward.programs.append(client)
    began = time.monotonic()
    with pytest.raises(PeerUnreachableError, match="has no place there"):
        client.connect(ward.address)
    assert time.monotonic() - began < 2
    with pytest.raises((DomainUnreachableError, TransportError)):
        owner.publish("d", [1.0])
    assert city.node._relay is not None


def test_a_link_goes_over_libp2p_where_no_second_pipe_is_to_be_had(
    ward: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def no(*_: object) -> None:
        raise OSError("no pipe")

    monkeypatch.setattr(Libp2pStream, "connect", no)
    owner = ward.owner()
    assert type(owner.link()._stream).__name__ == "Libp2pStream"
    assert owner.publish("d", [1.0, 2.0]).pointers[0].sum().get() == 3


@pytest.mark.parametrize("way", ["tcp", "websocket"])
def test_large_data_by_each_way_takes_the_bulk_port(ward: Clinic, way: str) -> None:
    (ward.addresses) = [it for it in ward.addresses if ("/tls/ws" in it) is (way == "websocket")]
    values = np.random.default_rng(3).integers(0, 255, 8 * MIB, dtype=np.uint8)
    client = Client(ward.home, wallet=ward.wallet)
    ward.programs.append(client)
    domain = client.connect(ward.address)
    assert isinstance(domain, DomainClient)
    pointer = domain.login(OWNER).publish("d", values).pointers[0]
    np.testing.assert_array_equal(pointer.get(), values)
    counters = domain.transfers.counters
    assert min(counters.sent, counters.received) >= values.nbytes
    assert domain.link().array_bytes_received < MIB


def test_a_network_without_a_relay_leaves_a_relayed_domain_without_addresses(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    home = tmp_path / "town"
    directory = NodeDirectory(home)
    directory.create(NodeSettings(name="town", kind="network", port=free_ports(1)[0]))
    registry = Registry(directory.registry)
    state = State(directory.database)
    town = Node(
        directory.settings(),
        seed=directory.seed(),
        state=LocalState(state),
        registry=LocalRegistry(registry),
    )
    town.start()
    made = make_clinic(tmp_path / "ward", relayed=True, networks=town.addresses)
    try:
        with caplog.at_level(logging.WARNING):
            assert made.start_here().addresses == ()
        assert "this network relays nobody" in caplog.text
    finally:
        made.close()
        town.stop()
        registry.close()
        state.close()
