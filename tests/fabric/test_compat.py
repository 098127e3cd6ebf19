"""Notebooks 000 and 001 by their old names, on nodes of which all but sockets and Ray is real."""

import pytest

from p2pgrid import Client
from p2pgrid.compat import syft as gr
from p2pgrid.errors import (
    DisconnectedError,
    DomainUnreachableError,
    GetNotPermittedError,
    InvalidQueryError,
    NetworkUnreachableError,
    NotAGridNetworkError,
)
from p2pgrid.protocol.web import BY_PEER_ID
from tests.fabric.conftest import FabricNode, Grid

EMAIL, PASSWORD = "me@patrickcason.com", "correct horse battery"
BIRTHS = [[1, 3.5, 47.3], [0, 3.7, 48.1], [0, 3.9, 50.0], [1, 4.1, 52.3], [0, 4.1, 49.7]]


@pytest.fixture(autouse=True)
def scientist(grid: Grid, monkeypatch: pytest.MonkeyPatch) -> Client:
    """Whose program this is, for functions of modules."""
    client = grid.client("scientist")
    monkeypatch.setenv("P2PGRID_HOME", str(client.home))
    monkeypatch.setattr("p2pgrid.client.default.default_client", lambda: client)
    return client


@pytest.fixture
def city(grid: Grid) -> FabricNode:
    """A network."""
    return grid.launch("city", "network")


@pytest.fixture
def ucsf(grid: Grid, city: FabricNode) -> FabricNode:
    """A domain of it with births and diabetes, where people may sign up."""
    node = grid.launch("ucsf", networks=(city.address,), signup="open")
    owner = grid.owner_of(node)
    births = gr.private_tensor(BIRTHS).tag("#February", "#birth-records")
    births.describe("Monthly records").send(gr.DomainNode(owner, node.address), user="owner")
    gr.private_tensor(BIRTHS).tag("diabetes", "california").send(owner)
    return node


def _at(address: str) -> gr.DomainNode:
    node = gr.connect(address)
    assert isinstance(node, gr.DomainNode)
    return node


def _network_at(address: str) -> gr.Network:
    network = gr.connect(address)
    assert isinstance(network, gr.Network)
    return network


@pytest.mark.usefixtures("ucsf")
def test_c12_what_was_sent_is_found_by_who_knows_the_network_only(city: FabricNode) -> None:
    grid = gr.PublicGridNetwork(gr.TorchHook(), city.address)
    results = grid.search("#February", "#birth-records")
    assert list(results) == ["ucsf"]
    (births,) = results["ucsf"]
    assert births.shape == (5, 3)
    assert births.description == "Monthly records"
    assert not results.partial
    assert list(grid.search("february", "birth-records")) == ["ucsf"]
    assert grid.search("#February", "#march") == grid.search("#Februar") == {}


def test_c10_a_network_prints_its_class_and_its_address(city: FabricNode) -> None:
    printed = repr(gr.PublicGridNetwork(gr.TorchHook(), city.address))
    assert printed == f"<PublicGridNetwork city at {city.address}>"


def test_c10_without_a_gateway_there_is_no_network(grid: Grid, city: FabricNode) -> None:
    domain = grid.launch("bob")
    with pytest.raises(NotAGridNetworkError, match="'bob'"):
        gr.PublicGridNetwork(gr.TorchHook(), domain.address)
    city.stop()
    grid.nodes.remove(city)
    with pytest.raises(NetworkUnreachableError):
        gr.PublicGridNetwork(gr.TorchHook(), city.address)


def test_c25_a_network_gives_dictionaries_whose_node_can_be_connected_to(
    city: FabricNode, ucsf: FabricNode
) -> None:
    network = _network_at(city.address)
    (found,) = network.search("diabetes")
    assert found["tags"] == ["diabetes", "california"]
    assert found["node"] == f"{BY_PEER_ID}{ucsf.node.peer_id}"
    assert network.search({"tag": "diabetes"}) == [found]
    assert network.search({"tag": "diabetes-2"}) == []
    with pytest.raises(InvalidQueryError, match="use tag, name, description"):
        network.search({"tags": "diabetes"})
    client = _at(found.node)
    assert client.node == found.node
    assert client.client.peer_id == ucsf.node.peer_id


def test_c07_a_network_that_was_left_is_not_asked_again(city: FabricNode) -> None:
    network, other = _network_at(city.address), _network_at(city.address)
    network.disconnect()
    network.disconnect()
    with pytest.raises(DisconnectedError):
        network.search("diabetes")
    assert other.search("diabetes") == []


def test_c08_a_domain_says_where_it_was_found(grid: Grid, ucsf: FabricNode) -> None:
    client = _at(ucsf.address)
    assert client.node == ucsf.address
    assert repr(client) == f"<DomainNode ucsf at {ucsf.address}>"
    ucsf.stop()
    grid.nodes.remove(ucsf)
    with pytest.raises(DomainUnreachableError):
        gr.connect(f"{BY_PEER_ID}{ucsf.node.peer_id}")


def test_c17_signup_and_login_give_the_same_user_and_a_row_of_the_wallet(ucsf: FabricNode) -> None:
    client = _at(ucsf.address)
    user = client.signup(EMAIL, PASSWORD)
    assert client.login(EMAIL, PASSWORD).id == user.id
    assert list(gr.wallet.domain_keys.domain) == ["ucsf"]
    (births,) = client.client.search("#birth-records")[0].pointers
    with pytest.raises(GetNotPermittedError):
        births.get()


def test_c11_networks_are_the_native_table(city: FabricNode) -> None:
    _network_at(city.address)
    assert list(gr.networks.index) == ["city"]
    assert list(gr.networks[gr.networks.online > 0].index) == []


def test_c05_a_saved_network_is_listed(
    city: FabricNode, capsys: pytest.CaptureFixture[str]
) -> None:
    row = gr.save_network(city.address)
    assert capsys.readouterr().out == "Connecting... SUCCESS!\n"
    assert list(row.index) == list(gr.networks.index) == ["city"]


@pytest.mark.usefixtures("ucsf")
def test_c18_a_search_of_all_networks_prints_its_counts(city: FabricNode) -> None:
    gr.save_network(city.address)
    result = gr.search(anywhere="diabetes")
    assert repr(result).split()[-5:] == ["0", "1", "1", "0", "0"]
    assert repr(gr.search(anywhere=["diabetes"])) == repr(result)
    assert list(result.datasets(latest_version_only=True).domain) == ["ucsf"]
