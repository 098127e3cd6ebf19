"""The installed command ``p2pgrid`` on real nodes."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from p2pgrid.client.connect import Client
from p2pgrid.client.domain import DomainClient
from p2pgrid.client.network import NetworkClient

pytestmark = pytest.mark.ray

COMMAND = Path(sys.executable).with_name("p2pgrid")
CONFIGURATION = 2

P2PGrid = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def p2pgrid(tmp_path: Path) -> Iterator[P2PGrid]:
    """Runs the command in a home of its own; at the end no node of it runs."""

    def run(*line: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [COMMAND, *line, "--format=json"],
            cwd=tmp_path,
            env=os.environ | {"P2PGRID_HOME": str(tmp_path)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )

    yield run
    for directory in (tmp_path / "nodes").iterdir():
        document(run("domain", "stop", directory.name))


def document(done: "subprocess.CompletedProcess[str]") -> Any:
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def settings_of(tmp_path: Path, name: str) -> Any:
    return json.loads((tmp_path / "nodes" / name / "node.json").read_text())


def port_of(tmp_path: Path, name: str) -> int:
    return int(settings_of(tmp_path, name)["port"])


def datasets_listed(tmp_path: Path, network: str, domain: str) -> list[str]:
    """What a network lists after the owner, whose key is in this home, has published."""
    client = Client(home=tmp_path)
    try:
        city, ucsf = client.connect(network), client.connect(domain)
        assert isinstance(city, NetworkClient)
        assert isinstance(ucsf, DomainClient)
        ucsf.login("owner").publish("ages", [50, 60], tags=["#health"])
        return [dataset.name for dataset in city.search("#health").datasets()]
    finally:
        client.close()


def test_the_life_of_a_domain_and_of_a_network(p2pgrid: P2PGrid, tmp_path: Path) -> None:
    document(p2pgrid("network", "init", "city"))
    made = document(p2pgrid("domain", "init", "ucsf"))
    assert not document(p2pgrid("domain", "status", "ucsf"))["running"]
    assert port_of(tmp_path, "city") != port_of(tmp_path, "ucsf")

    network = document(p2pgrid("network", "start", "city"))
    city = network["addresses"][0]
    document(p2pgrid("network", "join", city, "ucsf"))
    document(p2pgrid("network", "join", city, "ucsf"))
    assert settings_of(tmp_path, "ucsf")["networks"] == [city]

    started = document(p2pgrid("domain", "start", "ucsf"))
    assert started["peer_id"] == made["peer_id"]
    assert document(p2pgrid("domain", "start", "ucsf")) == started
    assert document(p2pgrid("domain", "status", "ucsf")) == started
    assert datasets_listed(tmp_path, city, started["addresses"][0]) == ["ages"]
    (row,) = document(p2pgrid("networks", "add", network["url"]))
    assert (row["id"], row["datasets"], row["online"]) == (network["peer_id"], 1, 1)

    assert not document(p2pgrid("domain", "stop", "ucsf"))["running"]
    assert not document(p2pgrid("domain", "stop", "ucsf"))["running"]
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port_of(tmp_path, "ucsf")), timeout=5)
    assert document(p2pgrid("network", "status", "city"))["running"]


def test_a_port_in_use_is_said_before_anything_starts(p2pgrid: P2PGrid, tmp_path: Path) -> None:
    document(p2pgrid("domain", "init", "ucsf"))
    with socket.create_server(("127.0.0.1", port_of(tmp_path, "ucsf"))):
        failed = p2pgrid("domain", "start", "ucsf")
    assert failed.returncode == CONFIGURATION
    assert failed.stdout == ""
    assert failed.stderr.startswith("p2pgrid: P2PG-121: port ")


def test_what_is_not_there_is_a_matter_of_set_up(p2pgrid: P2PGrid, tmp_path: Path) -> None:
    (tmp_path / "nodes").mkdir()
    for step in ("start", "stop", "status"):
        failed = p2pgrid("domain", step, "nowhere")
        assert failed.returncode == CONFIGURATION
        assert "P2PG-123" in failed.stderr
    joined = p2pgrid("network", "join", "nowhere", "nowhere")
    assert joined.returncode == CONFIGURATION


def test_a_damaged_settings_file_is_named(p2pgrid: P2PGrid, tmp_path: Path) -> None:
    document(p2pgrid("domain", "init", "ucsf"))
    settings = tmp_path / "nodes/ucsf/node.json"
    whole = settings.read_text()
    settings.write_text("{")
    failed = p2pgrid("domain", "start", "ucsf")
    assert failed.returncode == CONFIGURATION
    assert str(settings) in failed.stderr
    settings.write_text(whole)


def test_another_kind_of_node_is_not_made_over_one(p2pgrid: P2PGrid) -> None:
    document(p2pgrid("domain", "init", "ucsf"))
    failed = p2pgrid("network", "init", "ucsf")
    assert failed.returncode == CONFIGURATION
    assert "lives the domain 'ucsf'" in failed.stderr


def test_c17_a_domain_without_an_owner_is_claimed_by_the_token_of_its_start(
    p2pgrid: P2PGrid, tmp_path: Path
) -> None:
    made = document(p2pgrid("domain", "init", "ucsf", "--owner-key=later", "--signup=open"))
    assert "setup_token" not in json.loads((Path(made["directory"]) / "node.json").read_text())
    started = document(p2pgrid("domain", "start", "ucsf"))
    token, address = started["setup_token"], started["addresses"][0]
    assert document(p2pgrid("domain", "start", "ucsf"))["setup_token"] == ""
    assert document(p2pgrid("domain", "claim", address, token))["domain"] == "ucsf"
    again = p2pgrid("domain", "claim", address, token, "--user=eve")
    assert (again.returncode, "P2PG-309" in again.stderr) == (1, True)
    client = Client(home=tmp_path)
    try:
        owner = client.domain_at(address).login("owner")
        user = owner.signup("me@x.org", "correct horse")
        assert [account.name for account in owner.users.list()] == ["me@x.org", "owner"]
    finally:
        client.close()
    assert len(user.id) == 32
