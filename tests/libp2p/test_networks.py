"""Networks and domains as processes with real sockets: found by URL, killed, frozen."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from p2pgrid import Client
from p2pgrid.client.launch import OWNER
from p2pgrid.client.ports import free_ports
from p2pgrid.config import Timing
from p2pgrid.errors import DomainUnreachableError, NetworkUnreachableError
from p2pgrid.protocol.web import CONNECTED_NODES
from tests.fabric.conftest import domain_at, network_at
from tests.fabric.web import read
from tests.libp2p.running import Running
from tests.waiting import until

pytestmark = pytest.mark.libp2p

ROOT = Path(__file__).parents[2]
NOTICED_S = 60.0
"""A domain that ends or freezes has to be noticed by then."""


class City:
    """A network and three domains."""

    def __init__(self, home: Path) -> None:
        self.nodes = [Running(home, "city", "network")]
        (self.network,) = self.nodes
        self.network.wait()
        names = ("James", "Alice", "Bob")
        self.nodes += [Running(home, it, "domain", self.network.address) for it in names]
        self.domains = dict(zip(names, self.nodes[1:], strict=True))
        for domain in self.domains.values():
            domain.wait()

    def connected(self) -> set[str]:
        """Who is at ``/connected-nodes``."""
        answer: dict[str, Any] = json.loads(read(self.network.url + CONNECTED_NODES))
        assert set(answer) == {"grid-nodes"}
        return set(answer["grid-nodes"])


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> Iterator[City]:
    made = City(tmp_path_factory.mktemp("city"))
    yield made
    for node in made.nodes:
        node.close()


@pytest.fixture
def ana(tmp_path: Path) -> Iterator[Client]:
    made = Client(tmp_path / "ana")
    yield made
    made.close()


def test_c12_who_knows_only_the_gateway_finds_what_an_owner_published(
    city: City, ana: Client
) -> None:
    bob = city.domains["Bob"]
    owners = Client(ana.home / "owner", wallet=bob.wallet)
    domain_at(owners, bob.address).login(OWNER).publish(
        "births", np.ones((5, 3)), tags=("#births",)
    )
    owners.close()
    ana.home.mkdir(exist_ok=True)
    (ana.home / "bootstrap.json").write_text(json.dumps([city.network.url]))
    assert list(ana.networks.datasets) == [1]
    found = ana.search("#births")
    assert list(found) == ["Bob"]
    assert found["Bob"][0].shape == (5, 3)


def test_c03_what_one_process_saves_another_one_lists(city: City, tmp_path: Path) -> None:
    def run(program: str) -> str:
        return subprocess.run(
            [sys.executable, "-c", f"import p2pgrid\n{program}"],
            env=os.environ | {"P2PGRID_HOME": str(tmp_path), "PYTHONPATH": str(ROOT)},
            check=True,
            capture_output=True,
            text=True,
        ).stdout

    assert run(f"p2pgrid.save_network({city.network.url!r})") == "Connecting... SUCCESS!\n"
    assert run("print(*p2pgrid.networks.id)").strip() == city.network.peer_id


def test_c06_every_kind_of_address_leads_to_the_node(city: City, ana: Client) -> None:
    network = network_at(ana, f"{city.network.url}/pygrid")
    assert network.peer_id == city.network.peer_id
    alice = city.domains["Alice"]
    for address in (alice.url.replace("http", "ws"), alice.address):
        assert domain_at(ana, address).node == address
    james = city.domains["James"]
    by_dht = f"p2pgrid://{james.peer_id}"  # which was never met
    assert domain_at(ana, by_dht).name == "James"


def test_c07_disconnecting_from_one_network_leaves_the_others(city: City, ana: Client) -> None:
    first, second = (network_at(ana, city.network.url) for _ in range(2))
    first.disconnect()
    first.disconnect()
    assert second.status().domains == 3


def test_c08_a_node_that_answers_nothing_is_given_up_in_time(city: City, tmp_path: Path) -> None:
    client = Client(tmp_path / "quick", timing=Timing(dial_s=1.0))
    alice = city.domains["Alice"]
    os.kill(alice.process.pid, signal.SIGSTOP)
    try:
        for address in (alice.url, alice.address):
            with pytest.raises(DomainUnreachableError):
                client.connect(address)
    finally:
        os.kill(alice.process.pid, signal.SIGCONT)
        client.close()


def test_c10_no_gateway(ana: Client) -> None:
    (port,) = free_ports(1)
    with pytest.raises(NetworkUnreachableError):
        ana.network(f"http://127.0.0.1:{port}")


def test_c04_c09_domains_that_end_or_freeze_are_noticed(city: City, ana: Client) -> None:
    until(lambda: city.connected() == set(city.domains))
    ana.save_network(city.network.url)

    def is_online(count: int) -> bool:
        (row,) = ana.networks.itertuples()
        assert row.domains == 3
        return bool(row.online == count)

    city.domains["Bob"].process.kill()
    killed_s = until(lambda: is_online(2), within_s=NOTICED_S)
    assert city.connected() == {"James", "Alice"}
    alice = city.domains["Alice"].process.pid
    os.kill(alice, signal.SIGSTOP)
    frozen_s = until(lambda: is_online(1), within_s=NOTICED_S)
    assert city.connected() == {"James"}
    os.kill(alice, signal.SIGCONT)
    back_s = until(lambda: is_online(2), within_s=NOTICED_S)
    print(f"noticed: killed {killed_s:.1f} s, frozen {frozen_s:.1f} s, back {back_s:.1f} s")  # noqa: T201
