"""Places at a relay: who gets one, what a domain does with it, and who may ask for pipes."""

import queue

import pytest

from actors import announcer
from actors.network import Network
from p2pgrid.errors import (
    NetworkError,
    PermissionDeniedError,
    RemoteProtocolError,
    UnavailableError,
)
from p2pgrid.net.calls import ask
from p2pgrid.net.link import Link
from p2pgrid.protocol.messages import Done, Incoming, Reserve, Reserved
from p2pgrid.protocol.queries import query_of
from p2pgrid.protocol.records import NodeRecord, SignedRecord
from tests.fabric.conftest import FabricNode, Grid

ASKED = Incoming(bytes(32), "tls")


class FakeRelay:
    """Gives everybody a place, and nobody a pipe."""

    def __init__(self, peer: str) -> None:
        self.links: list[Link] = []
        self.asked: queue.Queue[Link] = queue.Queue()
        self.addresses = tuple(
            f"{place}/p2p/{peer}"
            for place in ("/ip4/192.0.2.7/tcp/4002", "/dns4/city.example/tcp/443/tls/ws")
        )

    def reserve(self, link: Link) -> tuple[str, ...]:
        self.links.append(link)
        self.asked.put(link)
        return self.addresses


@pytest.fixture
def city(grid: Grid) -> FabricNode:
    return grid.launch("city", "network")


@pytest.fixture
def relay(city: FabricNode) -> FakeRelay:
    fake = FakeRelay(city.node.peer_id)
    assert isinstance(city.node._service, Network)
    city.node._service._relay = fake  # type: ignore[assignment]
    return fake


def relayed(grid: Grid, city: FabricNode) -> FabricNode:
    """A domain that is started again with the setting."""
    ward = grid.launch("ward", networks=(city.address,))
    ward.stop()
    ward.directory.change({"relayed": True})
    ward.start()
    return ward


def test_a_relayed_domain_is_listed_at_the_addresses_of_its_place(
    grid: Grid, city: FabricNode, relay: FakeRelay
) -> None:
    ward = relayed(grid, city)
    circuits = tuple(f"{it}/p2p-circuit/p2p/{ward.node.peer_id}" for it in relay.addresses)
    assert ward.node.addresses[1:] == circuits  # the first is that of the memory network
    body = SignedRecord.decode(ward.node._book.node_record()).body()
    assert isinstance(body, NodeRecord)
    assert body.addresses[1:] == circuits
    grid.owner_of(ward).publish("d", [1.0], tags=("#t",))
    listed = city.registry.search(query_of("t")).records[0]
    assert circuits[0].encode() in listed


@pytest.mark.usefixtures("relay")
def test_a_place_is_for_domains_that_have_joined(grid: Grid, city: FabricNode) -> None:
    stranger = grid.client("stranger")
    with pytest.raises(PermissionDeniedError):
        ask(stranger.peer.link_to(city.node.peer_id, (city.address,)), Reserve(), Reserved)


def test_a_network_without_a_relay_gives_no_place(grid: Grid, city: FabricNode) -> None:
    ward = relayed(grid, city)
    assert len(ward.node.addresses) == 1
    with pytest.raises(PermissionDeniedError):
        ask(ward.node._peer.link_to(city.node.peer_id, (city.address,)), Reserve(), Reserved)


def test_a_pipe_that_cannot_be_brought_is_told_the_relay(
    grid: Grid, city: FabricNode, relay: FakeRelay
) -> None:
    relayed(grid, city)
    with pytest.raises(UnavailableError):
        relay.links[-1].request(ASKED).result(10)
    assert relay.links[-1].is_open


@pytest.mark.parametrize("is_relayed", [True, False])
def test_only_a_relay_of_its_own_may_ask_a_domain_for_pipes(
    grid: Grid, city: FabricNode, relay: FakeRelay, is_relayed: bool
) -> None:
    ward = relayed(grid, city) if is_relayed else grid.launch("open", networks=(city.address,))
    assert relay.addresses
    link = grid.client("eve").peer.link_to(ward.node.peer_id, (ward.address,))
    with pytest.raises((NetworkError, RemoteProtocolError)):
        ask(link, ASKED, Done)
    assert not link.is_open


@pytest.mark.parametrize(
    "told",
    ["nonsense", "/ip4/192.0.2.7/udp/1/quic-v1", f"/dns4/{'x' * 120}/tcp/1/p2p/{'y' * 60}"],
)
def test_a_relay_that_tells_nonsense_gives_no_address(
    grid: Grid, city: FabricNode, relay: FakeRelay, told: str
) -> None:
    relay.addresses = (told,)
    ward = relayed(grid, city)
    relay.asked.get(timeout=10)
    assert len(ward.node.addresses) == 1
    assert grid.owner_of(ward).publish("d", [1.0]).pointers[0].get() == [1.0]


def test_a_place_is_taken_again_when_the_link_has_broken(
    grid: Grid, city: FabricNode, relay: FakeRelay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(announcer, "RETRY_S", 600.0)
    relayed(grid, city)
    # At the start, with the addresses that it got there, and with the first round after it.
    first = [relay.asked.get(timeout=10) for _ in range(3)][-1]
    first.close_soon("the test hung up")
    again = relay.asked.get(timeout=10)
    assert again is not first
    assert again.is_open
