"""What a scientist sees of networks, on fakes of libp2p's sockets; HTTP is real."""

from pathlib import Path

import msgspec
import numpy as np
import pytest
from typer.testing import CliRunner

from p2pgrid import Client, DomainClient
from p2pgrid.cli.main import UNREACHABLE, app
from p2pgrid.client import default
from p2pgrid.errors import (
    AddressError,
    DisconnectedError,
    DomainUnreachableError,
    IdentityMismatchError,
    NetworkNameConflictError,
    NetworkUnreachableError,
    NotAGridNetworkError,
)
from tests.fabric.conftest import FabricNode, Grid, domain_at, network_at
from tests.fabric.web import connected
from tests.waiting import until

UNUSED = "http://127.0.0.1:1"


@pytest.fixture
def city(grid: Grid) -> FabricNode:
    return grid.launch("city", "network")


@pytest.fixture
def ana(grid: Grid) -> Client:
    return grid.client("ana")


def join(grid: Grid, city: FabricNode, *names: str) -> list[FabricNode]:
    """Domains that have joined."""
    made = [grid.launch(name, networks=(city.address,)) for name in names]
    until(lambda: len(connected(city)["grid-nodes"]) == len(names))
    return made


def end(grid: Grid, node: FabricNode) -> None:
    node.stop()
    grid.nodes.remove(node)


def numbers(client: Client, name: str) -> tuple[int, ...]:
    """Datasets, models, domains, online, registered."""
    return tuple(client.networks.loc[name])[1:]


def test_c03_every_network_that_was_reached_is_remembered(
    grid: Grid, city: FabricNode, ana: Client
) -> None:
    assert ana.networks.empty
    ana.connect(city.address)
    later = grid.client("ana")
    assert list(later.networks.id) == [city.node.peer_id]
    assert later.networks.note == ""


def test_c04_a_domain_that_stops_is_listed_but_not_online(
    grid: Grid, city: FabricNode, ana: Client
) -> None:
    james, *_ = join(grid, city, "james", "alice", "bob")
    grid.owner_of(james).publish("births", np.zeros(3), tags=("#births",))
    ana.save_network(city.node.url)
    assert numbers(ana, "city") == (1, 0, 3, 3, 0)
    end(grid, james)
    until(lambda: numbers(ana, "city") == (1, 0, 3, 2, 0), within_s=5)


def test_c04_keys_for_domains_of_a_network_are_counted(
    grid: Grid, city: FabricNode, ana: Client
) -> None:
    (james,) = join(grid, city, "james")
    grid.owner_of(james).publish("births", np.zeros(3), tags=("#births",))
    ana.save_network(city.node.url)
    domain = network_at(ana, city.address).search("#births").datasets()[0].domain
    assert isinstance(domain, DomainClient)
    assert domain.network == "city"
    ana.wallet.new(domain.peer_id, "ana", network=domain.network)
    assert numbers(ana, "city")[-1] == 1


def test_c05_save_network_prints_and_returns_a_row(
    grid: Grid,
    city: FabricNode,
    ana: Client,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    join(grid, city, "james")
    monkeypatch.setattr(default, "default_client", lambda: ana)
    first = grid.launch("first", "network")
    ana.connect(first.address)
    for _ in range(2):
        saved = default.save_network(f"{city.node.url}/pygrid")
        assert capsys.readouterr().out == "Connecting... SUCCESS!\n"
        assert [(saved.index[0], *saved.iloc[0])] == [("city", city.node.peer_id, 0, 0, 1, 1, 0)]
    assert list(ana.networks.index) == ["first", "city"]


@pytest.mark.parametrize(
    ("address", "error"),
    [
        (UNUSED, NetworkUnreachableError),
        ("p2pgrid://12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA", NetworkUnreachableError),
        ("hello", NotAGridNetworkError),
        ("ftp://nhs.co.uk", NotAGridNetworkError),
    ],
)
def test_c05_save_network_says_why_it_failed(
    city: FabricNode,
    ana: Client,
    capsys: pytest.CaptureFixture[str],
    address: str,
    error: type[Exception],
) -> None:
    ana.connect(city.address)
    with pytest.raises(error) as failed:
        ana.save_network(address)
    assert capsys.readouterr().out == f"Connecting... FAILED: {failed.value}\n"
    assert list(ana.networks.index) == ["city"]


def test_c05_a_domain_is_no_network(grid: Grid, ana: Client) -> None:
    bob = grid.launch("bob")
    for address in (bob.node.url, bob.address):
        with pytest.raises(NotAGridNetworkError, match="that is the domain 'bob'"):
            ana.save_network(address)
    assert ana.networks.empty


def test_c05_another_network_of_the_same_name_is_refused(
    grid: Grid, city: FabricNode, ana: Client, tmp_path: Path
) -> None:
    ana.save_network(city.node.url)
    url = city.node.url
    other = Grid(tmp_path / "elsewhere")
    other.memory = grid.memory
    impostor = other.launch("city", "network")
    try:
        with pytest.raises(NetworkNameConflictError, match=impostor.node.peer_id):
            ana.save_network(impostor.node.url)
        assert list(ana.networks.id) == [city.node.peer_id]
        ana.network_list.forget("city")
        ana.save_network(impostor.node.url)
        assert list(ana.networks.id) == [impostor.node.peer_id]
        with pytest.raises(NetworkNameConflictError):
            ana.save_network(url)
    finally:
        impostor.stop()


def test_the_command_line_adds_lists_and_forgets(
    grid: Grid, city: FabricNode, ana: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    join(grid, city, "james")
    monkeypatch.setattr(default, "default_client", lambda: ana)

    def run(*line: str) -> list[dict[str, object]]:
        done = CliRunner().invoke(app, ["networks", *line, "--format", "json"])
        assert done.exit_code == 0, done.output
        rows: list[dict[str, object]] = msgspec.json.decode(done.stdout)
        return rows

    assert run() == []
    (row,) = run("add", city.node.url)
    assert row == {
        "name": "city",
        "id": city.node.peer_id,
        "datasets": 0,
        "models": 0,
        "domains": 1,
        "online": 1,
        "registered": 0,
    }
    assert run() == [row]
    assert run("forget", "city") == [row | {"online": 0}]
    shown = CliRunner().invoke(app, ["networks"])
    assert "add one with p2pgrid.save_network" in shown.stdout
    refused = CliRunner().invoke(app, ["networks", "add", UNUSED])
    assert refused.exit_code == UNREACHABLE


def test_c06_all_kinds_of_addresses_lead_to_the_same_network(city: FabricNode, ana: Client) -> None:
    at_root, by_peer_id = city.node.url, f"p2pgrid://{city.node.peer_id}"
    for address in (at_root, f"{at_root}/py/grid/", city.address, by_peer_id):
        network = network_at(ana, address)
        assert (network.peer_id, network.name, network.address) == (
            city.node.peer_id,
            "city",
            address,
        )
    assert list(ana.networks.index) == ["city"]


def test_c06_a_peer_id_that_was_never_met_is_found_on_the_dht(
    grid: Grid, city: FabricNode, ana: Client
) -> None:
    (bob,) = join(grid, city, "bob")
    ana.connect(city.address)
    until(lambda: bob.node.peer_id in grid.memory.hub.records)
    assert domain_at(ana, f"p2pgrid://{bob.node.peer_id}").name == "bob"


def test_c06_a_url_that_leads_elsewhere_than_before_is_refused(
    grid: Grid, city: FabricNode, ana: Client
) -> None:
    ana.save_network(city.node.url)
    port = int(city.node.url.rpartition(":")[2])
    end(grid, city)
    other = grid.launch("other", "network")
    other.stop()
    other.directory.change({"http_port": port})
    other.start()
    assert other.node.url == city.node.url
    for reach in (ana.connect, ana.save_network):
        with pytest.raises(IdentityMismatchError, match="p2pgrid networks forget http"):
            reach(other.node.url)
    shown = ana.networks
    assert (list(shown.index), list(shown.online)) == (["city"], [0])
    assert "led to" in shown.note


def test_c06_a_network_that_moved_is_found_again_by_its_url(
    grid: Grid, city: FabricNode, ana: Client
) -> None:
    (bob,) = join(grid, city, "bob")
    ana.save_network(city.node.url)
    known = ana._known_networks.find("city")
    assert known is not None
    gone = f"/ip4/192.0.2.1/tcp/1/p2p/{bob.node.peer_id}"  # who is there has another key
    ana._known_networks.remember(msgspec.structs.replace(known, addresses=(gone,)))
    assert numbers(ana, "city")[3] == 1


def test_c07_after_disconnect_only_this_handle_is_dead(
    grid: Grid, city: FabricNode, ana: Client
) -> None:
    village = network_at(ana, grid.launch("village", "network").address)
    network, again = network_at(ana, city.node.url), network_at(ana, city.node.url)
    network.disconnect()
    network.disconnect()
    for call in (lambda: network.search("#x"), network.status):
        with pytest.raises(DisconnectedError, match="disconnected from city"):
            call()
    assert "disconnected" in repr(network)
    assert village.status().domains == again.status().domains == 0
    assert network_at(ana, city.node.url).status().domains == 0


def test_c07_disconnecting_ends_the_link(city: FabricNode, ana: Client) -> None:
    network = network_at(ana, city.address)
    network.status()
    before = city.node._peer.links
    network.disconnect()
    until(lambda: city.node._peer.links == before - 1)


def test_c08_connect_gives_a_domain_at_its_url(grid: Grid, ana: Client) -> None:
    bob = grid.launch("bob")
    for scheme in ("http", "ws"):
        url = bob.node.url.replace("http", scheme) + "/pygrid"
        client = domain_at(ana, url)
        assert client.node == url
        assert client.peer_id == bob.node.peer_id


@pytest.mark.parametrize("address", [UNUSED, "ws://127.0.0.1:1/pygrid"])
def test_c08_a_url_where_nobody_answers(ana: Client, address: str) -> None:
    with pytest.raises(DomainUnreachableError, match="refused"):
        ana.connect(address)


def test_c08_a_url_where_no_node_answers(grid: Grid, ana: Client) -> None:
    bob = grid.launch("bob")
    with pytest.raises(DomainUnreachableError, match=r"well-known/p2pgrid\.json is there"):
        ana.connect(bob.node.metrics)
    with pytest.raises(AddressError):
        ana.connect("hello")


def test_c08_a_node_that_is_gone_though_its_document_is_there(grid: Grid, ana: Client) -> None:
    bob = grid.launch("bob")
    bob.node._peer.stop()
    with pytest.raises(DomainUnreachableError):
        ana.connect(bob.node.url)


def test_c09_the_nodes_that_are_connected(grid: Grid, city: FabricNode) -> None:
    assert connected(city) == {"grid-nodes": []}
    nodes = join(grid, city, "James", "Alice", "Bill", "Bob")
    assert connected(city) == {"grid-nodes": ["Alice", "Bill", "Bob", "James"]}
    end(grid, nodes[3])
    until(lambda: connected(city) == {"grid-nodes": ["Alice", "Bill", "James"]}, within_s=5)


def test_c10_a_network_shows_its_class_and_its_address(city: FabricNode, ana: Client) -> None:
    network = network_at(ana, city.node.url)
    assert repr(network) == f"<NetworkClient city at {city.node.url}>"
    network.address = "<script>"
    assert "<script>" not in network._repr_html_()


def test_c10_no_gateway_is_a_network_that_is_unreachable(
    grid: Grid, city: FabricNode, ana: Client
) -> None:
    with pytest.raises(NetworkUnreachableError):
        ana.network(UNUSED)
    network = network_at(ana, city.node.url)
    url = city.node.url
    end(grid, city)
    for call in (
        network.status,
        lambda: ana.connect(url),
        lambda: ana.connect(network.addresses[0]),
    ):
        with pytest.raises(NetworkUnreachableError):
            call()


def test_c12_who_knows_only_the_gateway_finds_what_an_owner_published(
    grid: Grid, city: FabricNode, ana: Client
) -> None:
    (bob,) = join(grid, city, "bob")
    owner = grid.owner_of(bob)
    owner.publish("births", np.ones((5, 3)), tags=("#birth-records",))
    ana.home.mkdir()
    (ana.home / "bootstrap.json").write_bytes(msgspec.json.encode([city.node.url]))
    assert list(ana.search("#birth-records")) == ["bob"]  # before anybody looks at the table
    (name,) = ana.networks.index
    network = ana.network(f"p2pgrid://{ana.networks.loc[name].id}")
    found = network.search("#birth-records")
    assert list(found) == ["bob"]
    assert found["bob"][0].shape == (5, 3)
    nobody = grid.client("nobody")
    assert nobody.networks.empty
    with pytest.raises(NetworkUnreachableError):
        nobody.search("#birth-records")
