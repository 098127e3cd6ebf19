"""A pack without Ray: nodes that share threads, each a libp2p peer of its own."""

import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from actors.layout import NodeDirectory, settings_from
from actors.pack import Pack
from p2pgrid.client.ports import free_ports
from p2pgrid.errors import PortInUseError

pytestmark = pytest.mark.libp2p

MakeNode = Callable[..., Path]


@pytest.fixture
def make_node(tmp_path: Path) -> MakeNode:
    def make(name: str, *, port: int | None = None) -> Path:
        directory = NodeDirectory(tmp_path / name)
        fields = {"name": name, "kind": "domain", "port": port or free_ports(1)[0]}
        directory.create(settings_from({**fields, "isolation": "packed", "embedded": "/nowhere"}))
        return directory.path

    return make


@pytest.fixture
def pack(tmp_path: Path) -> Iterator[Pack]:
    made = Pack(tmp_path / "pack.json")
    yield made
    made.close()


def listens(node: Path) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", NodeDirectory(node).settings().port)) == 0


def test_nodes_of_a_pack_start_and_stop_one_by_one(pack: Pack, make_node: MakeNode) -> None:
    one, other = make_node("one"), make_node("other")
    pack.start([one, other])
    pack.start([one])
    assert set(pack.serving()) == {one, other}
    assert pack.serving()[one].addresses != pack.serving()[other].addresses
    pack.stop([one])
    pack.stop([one])
    assert (listens(one), listens(other)) == (False, True)
    pack.start([one])
    assert listens(one)


def test_nodes_start_all_or_none(pack: Pack, make_node: MakeNode) -> None:
    before, one = make_node("before"), make_node("one")
    pack.start([before])
    clash = make_node("clash", port=NodeDirectory(one).settings().port)
    with pytest.raises(PortInUseError):
        pack.start([one, clash])
    assert set(pack.serving()) == {before}
    assert not listens(one)


def test_a_pack_that_died_starts_its_nodes_again(tmp_path: Path, make_node: MakeNode) -> None:
    record = tmp_path / "pack.json"
    kept, stopped, blocked = make_node("kept"), make_node("stopped"), make_node("blocked")
    first = Pack(record)
    first.start([stopped, blocked])
    first.stop([stopped])
    first.start([kept])
    addresses = first.serving()[kept].addresses
    first.close()  # as a crash, but for the threads of this process
    with socket.create_server(("127.0.0.1", NodeDirectory(blocked).settings().port)):
        second = Pack(record)
        assert set(second.serving()) == {kept}  # one that cannot start keeps no other down
        assert second.serving()[kept].addresses == addresses
        second.close()
