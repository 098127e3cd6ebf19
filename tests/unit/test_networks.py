"""The table of networks and the files behind it, without any network."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings, strategies as st

import p2pgrid
from p2pgrid.client.known_networks import KnownNetwork, KnownNetworks
from p2pgrid.client.local_list import DamagedFileWarning, LocalList
from p2pgrid.client.networks import Networks
from p2pgrid.client.peers import KnownPeers
from p2pgrid.client.wallet import Wallet
from p2pgrid.errors import NetworkNameConflictError, NetworkUnreachableError, NotAGridNetworkError
from p2pgrid.ids import PeerId, peer_id_of
from p2pgrid.protocol.messages import NetworkStatus

BASE_PYTHON = Path(__file__).parents[2] / ".venv-base" / "bin" / "python"
COLUMNS = ["id", "datasets", "models", "domains", "online", "registered"]
SEED = {
    "OpenGrid": ("235252", NetworkStatus(235262, 2352, 2532, 2352), 23),
    "AMA": ("634252", NetworkStatus(2352, 236622, 53, 52), 23),
    "CDC": ("745742", NetworkStatus(35, 0, 5, 5), 5),
}
"""The networks of the notebook: id, what each says, and how many keys the person has."""
NHS = ("2352", NetworkStatus(86585, 6585, 5, 5), 0)


class Answering:
    """A network that answers at once, never, or with an error."""

    def __init__(self, name: str, peer_id: str, status: Callable[[], NetworkStatus]) -> None:
        self.name, self.peer_id, self.status = name, peer_id, status
        self.addresses = (f"/dns4/{name}/tcp/1",)


class World:
    """Networks by id and by URL, in place of ``Client``."""

    def __init__(self) -> None:
        self.networks = {
            id_: Answering(name, id_, lambda status=status: status)  # type: ignore[misc]
            for name, (id_, status, _) in SEED.items()
        }

    def known_network(self, known: KnownNetwork) -> Any:
        return self.network(known.peer_id)

    def network(self, address: str) -> Any:
        if address not in self.networks:
            raise NetworkUnreachableError(peer=address, addresses=1, reason="we are offline")
        return self.networks[address]


@pytest.fixture
def known(tmp_path: Path) -> KnownNetworks:
    """The history of whoever has met the networks of the notebook."""
    made = KnownNetworks(tmp_path)
    for name, (id_, status, _) in SEED.items():
        made.remember(
            KnownNetwork(
                peer_id=id_,
                name=name,
                address=f"https://{name}.example",
                datasets=status.datasets,
                models=status.models,
                domains=status.domains,
            )
        )
    return made


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wallet of that person."""
    path = tmp_path_factory.mktemp("keys") / "wallet.json"
    wallet = Wallet(path)
    for name, (_, _, registered) in SEED.items():
        for number in range(registered):
            domain = peer_id_of(bytes([number]) * 31 + name[:1].encode())
            wallet.new(domain, network=name)
    return path


@pytest.fixture
def networks(known: KnownNetworks, world: World, keys: Path, tmp_path: Path) -> Networks:
    shutil.copy(keys, tmp_path)
    return Networks(known, world, wallet=Wallet(tmp_path / "wallet.json"))


def test_c01_the_base_install_lists_networks_and_loads_nothing_heavy(tmp_path: Path) -> None:
    program = (
        "import sys, p2pgrid as gr\n"
        "assert [*gr.networks.columns] == sys.argv[1:]\n"
        "assert 'save_network' in gr.networks.note\n"
        "print(*({'ray', 'crypten', 'torch', 'libp2p', 'trio'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [BASE_PYTHON, "-c", program, *COLUMNS],
        env=os.environ | {"P2PGRID_HOME": str(tmp_path)},
        cwd=tmp_path,
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip() == ""


def test_c01_a_star_import_asks_no_network() -> None:
    assert "networks" not in p2pgrid.__all__


def test_c02_the_networks_of_the_notebook(networks: Networks) -> None:
    shown = networks.table()
    assert shown.index.name == "name"
    assert list(shown.columns) == COLUMNS
    assert [(name, *shown.loc[name]) for name in shown.index] == [
        ("OpenGrid", "235252", 235262, 2352, 2532, 2352, 23),
        ("AMA", "634252", 2352, 236622, 53, 52, 23),
        ("CDC", "745742", 35, 0, 5, 5, 5),
    ]
    assert shown.note == ""
    lines = repr(shown).splitlines()
    assert lines[0].split() == COLUMNS
    assert lines[2].split() == ["OpenGrid", *["235252", "235262", "2352", "2532", "2352", "23"]]


def test_c02_offline_the_history_is_shown_with_a_note(networks: Networks, world: World) -> None:
    world.networks.clear()
    shown = networks.table()
    assert list(shown.domains) == [2532, 53, 5]
    assert list(shown.online) == [0, 0, 0]
    assert list(shown.registered) == [23, 23, 5]
    assert "old numbers" in shown.note
    assert "CDC: network 745742 did not answer" in shown.note


def test_c02_names_do_not_command_the_terminal(
    networks: Networks, known: KnownNetworks, world: World
) -> None:
    known.visit(peer_id="666", name="\x1b[2J\nCDC", address="", addresses=())
    world.networks.clear()
    shown = networks.table()
    assert len(repr(shown).splitlines()) == len(shown) + 2 + 1 + len(shown)
    assert "\x1b" not in repr(shown) + shown._repr_html_()


def test_c02_a_network_that_says_nothing_holds_nobody_up(networks: Networks, world: World) -> None:
    hung = Event()

    def never() -> NetworkStatus:
        hung.wait()
        raise AssertionError("nobody waits for this any more")

    world.networks["634252"].status = never
    shown = networks.table(ask_s=0.2)
    hung.set()
    assert list(shown.online) == [2352, 0, 5]
    assert shown.note.endswith("AMA: no answer within 0.2 s")


def test_a_mistake_of_ours_is_not_taken_for_silence(networks: Networks, world: World) -> None:
    def broken() -> NetworkStatus:
        raise ZeroDivisionError

    world.networks["634252"].status = broken
    with pytest.raises(ZeroDivisionError):
        networks.table()


def test_c03_what_one_process_saves_another_one_has(known: KnownNetworks, tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path\n"
        "from p2pgrid.client.known_networks import KnownNetworks\n"
        "print(*(it.name for it in KnownNetworks(Path(sys.argv[1])).history()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], check=True, capture_output=True, text=True
    )
    assert done.stdout.split() == [it.name for it in known.history()] == list(SEED)


@pytest.mark.parametrize("content", [b"{", b"\xff", b"[" * 5000, b'[{"name":1}]', b""])
def test_c03_a_damaged_history_is_kept_aside_and_begins_anew(
    networks: Networks, known: KnownNetworks, tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "networks.json"
    path.write_bytes(content)
    with pytest.warns(DamagedFileWarning, match=r"networks\.json was damaged"):
        shown = networks.table()
    assert list(shown.index) == []
    (aside,) = tmp_path.glob("networks.json.damaged-*")
    assert aside.read_bytes() == content
    known.visit(peer_id="2352", name="NHS", address="https://nhs.example", addresses=())
    assert [it.name for it in known.history()] == ["NHS"]


def test_c03_the_list_of_an_institution_is_asked_as_well(
    networks: Networks, known: KnownNetworks, world: World, tmp_path: Path
) -> None:
    url = "https://nhs.example"
    (tmp_path / "bootstrap.json").write_bytes(msgspec.json.encode([url, "https://CDC.example"]))
    before = networks.table()
    assert list(before.index) == [*SEED, url]
    assert f"{url}: network {url} did not answer" in before.note
    world.networks[url] = Answering("NHS", NHS[0], lambda: NHS[1])
    assert list(networks.table().index) == [*SEED, "NHS"]
    world.networks[NHS[0]] = world.networks.pop(url)
    assert list(networks.table().index) == [*SEED, "NHS"]
    assert known.unvisited() == ()


def test_c03_a_default_that_is_known_by_another_address_is_one_row(
    networks: Networks, known: KnownNetworks, world: World, tmp_path: Path
) -> None:
    (tmp_path / "bootstrap.json").write_bytes(msgspec.json.encode(["/ip4/192.0.2.7"]))
    world.networks["/ip4/192.0.2.7"] = world.networks["745742"]
    assert list(networks.table().index) == list(SEED)
    assert known.find("CDC") == known.find("https://CDC.example")


def test_c03_a_damaged_list_of_an_institution_is_passed_over_and_kept(
    networks: Networks, tmp_path: Path
) -> None:
    path = tmp_path / "bootstrap.json"
    path.write_text("{")
    with pytest.warns(DamagedFileWarning, match=r"bootstrap\.json"):
        assert list(networks.table().index) == list(SEED)
    assert path.read_text() == "{"


def test_c04_registered_is_the_number_of_keys_of_that_network(
    networks: Networks, tmp_path: Path
) -> None:
    wallet = Wallet(tmp_path / "wallet.json")
    wallet.new(PeerId("12D3KooWX"), network="CDC")
    wallet.new(PeerId("12D3KooWY"))
    assert list(networks.table().registered) == [23, 23, 6]
    (tmp_path / "bootstrap.json").write_text('["https://nhs.example"]')
    assert list(networks.table().registered) == [23, 23, 6, 0]


def test_c05_a_saved_network_is_the_last_row(networks: Networks, world: World) -> None:
    world.networks["http://nhs.co.uk/pygrid"] = Answering("NHS", NHS[0], lambda: NHS[1])
    saved = networks.add("http://nhs.co.uk/pygrid")
    assert [(saved.index[0], *saved.iloc[0])] == [("NHS", "2352", 86585, 6585, 5, 5, 0)]
    networks.add("http://nhs.co.uk/pygrid")
    assert list(networks.table().index) == [*SEED, "NHS"]


def test_c05_two_networks_of_one_name_are_told_apart(
    networks: Networks, known: KnownNetworks, world: World
) -> None:
    world.networks["https://cdc.example"] = Answering("CDC", "666", lambda: NHS[1])
    with pytest.raises(NetworkNameConflictError, match="known here already, as 745742"):
        networks.add("https://cdc.example")
    assert known.find("666") is None
    known.visit(peer_id="666", name="CDC", address="/ip4/192.0.2.7", addresses=())  # by connect
    assert list(networks.table().index) == ["OpenGrid", "AMA", "CDC@745742", "CDC@666"]
    with pytest.raises(NetworkNameConflictError):
        networks.add("https://cdc.example")
    networks.forget("745742")
    assert networks.add("https://cdc.example").index[0] == "CDC"


def test_a_network_that_nobody_knows_cannot_be_forgotten(networks: Networks) -> None:
    assert list(networks.forget("https://AMA.example").index) == ["AMA"]
    with pytest.raises(NotAGridNetworkError, match="AMA"):
        networks.forget("AMA")


def test_c11_the_table_is_filtered_as_any_other(networks: Networks, world: World) -> None:
    del world.networks["634252"]
    shown = networks.table()
    assert list(shown[shown.online > 0].index) == ["OpenGrid", "CDC"]


def test_programs_that_write_at_the_same_time_lose_nothing(tmp_path: Path) -> None:
    rows = LocalList(tmp_path / "list.json", int)
    with ThreadPoolExecutor(8) as programs:
        list(programs.map(lambda it: rows.change(lambda old: (*old, it)), range(40)))
    assert sorted(rows.read()) == list(range(40))


def test_what_does_not_change_is_not_written(tmp_path: Path) -> None:
    path = tmp_path / "list.json"
    LocalList(path, int).change(lambda _: (1, 2))
    before = path.stat().st_mtime_ns, path.stat().st_ino
    LocalList(path, int).change(lambda old: old)
    assert (path.stat().st_mtime_ns, path.stat().st_ino) == before


@settings(max_examples=50)
@given(
    st.lists(
        st.builds(
            KnownNetwork,
            peer_id=st.text(),
            name=st.text(),
            address=st.text(),
            addresses=st.lists(st.text(), max_size=3).map(tuple),
            datasets=st.integers(0, 2**53),
            models=st.integers(0, 2**53),
            domains=st.integers(0, 2**53),
        ),
        max_size=5,
    )
)
def test_the_history_reads_what_it_wrote(rows: list[KnownNetwork]) -> None:
    with TemporaryDirectory() as home:
        history = KnownNetworks(Path(home))
        for each in rows:
            history.remember(each)
        latest = {each.peer_id: each for each in rows}
        assert list(history.history()) == list(latest.values())


def test_peers_are_found_by_their_id(tmp_path: Path) -> None:
    known = KnownPeers(tmp_path / "peers.json")
    peer = peer_id_of(bytes(32))
    assert known.find(peer) is None
    known.remember(peer, name="a", kind="domain", addresses=("/ip4/192.0.2.7/tcp/1",))
    found = known.find(peer)
    assert found is not None
    assert found.name == "a"
