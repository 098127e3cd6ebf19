"""The command line on nodes that only exist in memory: what it asks, prints and exits with."""

import base64
import json
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from typer.core import TyperGroup
from typer.main import get_command
from typer.testing import CliRunner

from p2pgrid import Client, errors, launch
from p2pgrid.cli.main import FAILED, REFUSED, UNREACHABLE, USAGE, app, exit_code
from p2pgrid.cli.output import Format, show_record
from p2pgrid.client import default, node_commands
from p2pgrid.client.launch import make_nodes
from p2pgrid.client.wallet import Wallet
from p2pgrid.errors import P2PGridError
from p2pgrid.ids import peer_id_of

PEER = peer_id_of(bytes(range(32)))
ADDRESS = f"/ip4/192.0.2.7/tcp/4001/p2p/{PEER}"
OWNER_KEY = "ab" * 32
TOKEN = "5e" * 16
BY_FAMILY = [
    (errors.GetNotPermittedError(object_id="0a", domain="d"), REFUSED),
    (errors.AuthenticationError(domain="d"), REFUSED),
    (errors.NoKeyError(domain="d", user=None), USAGE),
    (errors.PortInUseError(port=4100), USAGE),
    (errors.NodeNotFoundError(directory="/nowhere"), USAGE),
    (errors.DomainUnreachableError(peer="d", addresses=1, reason="silence"), UNREACHABLE),
    (errors.IdentityMismatchError("somebody else"), UNREACHABLE),
    (errors.TooLargeError(what="array", size=2, limit=1), FAILED),
    (errors.ObjectGoneError(object_id="0a", domain="d"), FAILED),
    (errors.InternalError(reference="0a0b"), FAILED),
    (PermissionError(13, "Permission denied"), FAILED),
]


EXPORTED = {"name": "Counter", "file": "counter.py", "methods": ["incr"], "users": ["ann"]}


class Actors:
    """Answers as ``python -m actors`` would."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, ...]] = []
        self.settings: dict[str, Any] = {}
        self.error: Exception | None = None

    def __call__(self, command: str, nodes: Sequence[tuple[Path, str]]) -> list[dict[str, Any]]:
        return [self._answer(command, Path(place), *rest) for place, *rest in nodes]

    def _answer(self, command: str, directory: Path, *arguments: str) -> dict[str, Any]:
        self.asked.append((command, *arguments))
        if self.error is not None:
            raise self.error
        if command == "init":
            directory.mkdir(parents=True)
            (directory / "node.json").touch()
        if command in {"init", "set"}:
            self.settings |= json.loads(arguments[0])
        if command == "own":
            (directory / "owner.pub").write_text(arguments[0])
        has_owner = (directory / "owner.pub").exists()
        if "export" in command:
            return {"classes": [EXPORTED] if command != "unexport" else []}
        return {
            "name": self.settings.get("name", directory.name),
            "kind": self.settings.get("kind", "domain"),
            "peer_id": PEER,
            "directory": str(directory),
            "isolation": self.settings.get("isolation", "cluster"),
            "closed": "network_key" in self.settings,
            "running": command in {"start", "status"},
            "addresses": [ADDRESS] if command in {"start", "status"} else [],
            "gateway_pid": 0,
            "metrics": "",
            "url": "",
            "setup_token": TOKEN if command == "start" and not has_owner else "",
        }

    @property
    def commands(self) -> list[str]:
        return [command for command, *_ in self.asked]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("P2PGRID_HOME", str(tmp_path))
    monkeypatch.delenv("P2PGRID_WALLET_PASSPHRASE_FILE", raising=False)
    return tmp_path


@pytest.fixture
def actors(home: Path, monkeypatch: pytest.MonkeyPatch) -> Actors:
    assert home.exists()
    fake = Actors()
    monkeypatch.setattr(node_commands, "on_nodes", fake)
    return fake


class Answer:
    """What a command line did."""

    def __init__(self, *line: str) -> None:
        result = CliRunner().invoke(app, line)
        self.code, self.out, self.err = result.exit_code, result.stdout, result.stderr

    @property
    def json(self) -> Any:
        assert self.code == 0, self.err
        assert self.err == ""
        return json.loads(self.out)


def groups_and_commands() -> Iterator[tuple[str, ...]]:
    def below(command: Any, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
        yield path
        if isinstance(command, TyperGroup):
            for name, child in command.commands.items():
                yield from below(child, (*path, name))

    yield from below(get_command(app), ())


@pytest.mark.parametrize("path", list(groups_and_commands()), ids="-".join)
@pytest.mark.parametrize("option", ["-h", "--help"])
def test_every_command_helps(path: tuple[str, ...], option: str) -> None:
    answer = Answer(*path, option)
    assert answer.code == 0
    assert "Usage:" in answer.out
    assert len(path) < 2 or "--format" in answer.out


def test_the_exit_codes_are_in_the_help() -> None:
    listed = re.findall(r"^ +(\d)  (\w+)", Answer("-h").out, re.MULTILINE)
    assert listed == [
        ("0", "done"),
        (str(REFUSED), "refused"),
        (str(USAGE), "usage"),
        (str(UNREACHABLE), "unreachable"),
        (str(FAILED), "anything"),
    ]


@pytest.mark.parametrize(("error", "code"), BY_FAMILY, ids=lambda it: type(it).__name__)
def test_an_error_is_one_line_and_a_code(actors: Actors, error: Exception, code: int) -> None:
    actors.error = error
    answer = Answer("domain", "start", "ucsf", "--format=json")
    assert (answer.code, answer.out) == (code, "")
    assert answer.err.count("\n") == 1
    if isinstance(error, P2PGridError):
        assert answer.err == f"p2pgrid: P2PG-{error.code}: {error}\n"


def test_every_family_of_errors_has_an_exit_code_and_a_row_in_the_manual() -> None:
    manual = (Path(__file__).parents[2] / "docs/cli.md").read_text()
    rows = dict(re.findall(r"^\| (\d)xx \|.*\| (\d) \|$", manual, re.MULTILINE))
    families = set()
    waiting = P2PGridError.__subclasses__()
    while waiting:
        kind = waiting.pop()
        waiting.extend(kind.__subclasses__())
        family = str(kind.code // 100)
        assert rows[family] == str(exit_code(kind.__new__(kind)))
        families.add(family)
    assert set(rows) == families


def test_an_error_stays_one_harmless_line(actors: Actors) -> None:
    actors.error = errors.NodeError("it did not start\n\x1b[2J end of its log:\n  out of memory")
    answer = Answer("domain", "start", "ucsf")
    text = (
        "P2PG-120: it did not start | \N{REPLACEMENT CHARACTER}[2J end of its log: | out of memory"
    )
    assert answer.err == f"p2pgrid: {text}\n"


def test_debug_shows_where_an_error_came_from(actors: Actors) -> None:
    actors.error = errors.PortInUseError(port=4100)
    answer = Answer("--debug", "domain", "start", "ucsf")
    assert answer.code == USAGE
    assert "Traceback" in answer.err
    assert answer.err.endswith(f"p2pgrid: P2PG-121: {actors.error}\n")


@pytest.mark.parametrize(
    "line",
    [
        "domain start",
        "domain start ../ucsf",
        "domain init",
        "domain init a/b",
        "domain init ucsf --host=example.org",
        "domain init ucsf --port=0",
        "domain init ucsf --num-gpus=-1",
        "domain init ucsf --resources={",
        'domain init ucsf --resources={"a":"b"}',
        "domain init ucsf --isolation=none",
        "domain init ucsf --owner-key=abc",
        "domain init ucsf --network=nowhere",
        "domain init ucsf --bootstrap=/ip4/192.0.2.7/tcp/4001",
        "domain start ucsf --format=xml",
        "network join nowhere ucsf",
        "wallet new nobody",
        "wallet new /ip4/192.0.2.7/tcp/4001",
        "fly",
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_is_done(actors: Actors, line: str) -> None:
    answer = Answer(*line.split())
    assert (answer.code, answer.out) == (USAGE, "")
    assert answer.err
    assert actors.asked == []


@pytest.mark.parametrize("kind", ["domain", "network"])
@pytest.mark.parametrize("step", ["start", "stop", "status"])
def test_a_node_is_found_by_name_or_directory(
    actors: Actors, home: Path, kind: str, step: str
) -> None:
    by_name = Answer(kind, step, "ucsf", "--format=json").json
    by_path = Answer(kind, step, "--directory", str(home / "elsewhere"), "--format=json").json
    assert by_name["directory"] == str(home / "nodes/ucsf")
    assert by_path["directory"] == str(home / "elsewhere")
    assert actors.asked == [(step,), (step,)]


def test_init_makes_a_domain_with_an_owner_in_the_wallet(actors: Actors, home: Path) -> None:
    made = Answer("domain", "init", "ucsf", "--format=json").json
    assert made["peer_id"] == PEER
    assert str(home / "wallet.json") in made["note"]
    assert ("own", Wallet(home / "wallet.json").public_key(PEER, "owner")) in actors.asked
    assert actors.settings.keys() == {"name", "kind", "port"}


def test_init_passes_on_what_was_chosen(actors: Actors) -> None:
    options = ("--host=192.0.2.7", "--port=4100", "--bulk-port=4101")
    resources = ("--num-cpus=2", "--num-gpus=1")
    peers = (f"--network={ADDRESS}", f"--bootstrap={ADDRESS}")
    Answer("domain", "init", "ucsf", *options, *resources, *peers, '--resources={"scanner": 3}')
    assert actors.settings == {
        "name": "ucsf",
        "kind": "domain",
        "host": "192.0.2.7",
        "port": 4100,
        "bulk_port": 4101,
        "num_cpus": 2,
        "num_gpus": 1,
        "networks": [ADDRESS],
        "bootstrap": [ADDRESS],
        "resources": {"scanner": 3},
    }


def test_a_node_may_share_an_embedded_cluster(actors: Actors, home: Path) -> None:
    Answer("network", "init", "city", "--isolation=packed")
    assert actors.settings["isolation"] == "packed"
    assert actors.settings["embedded"] == str(home / "embedded")


def test_a_network_is_closed_by_the_key_that_is_given(actors: Actors, home: Path) -> None:
    shared = home / "shared.key"
    made = Answer("network", "new-key", str(shared), "--format=json").json
    assert made["key_file"] == str(shared)
    assert "/key/swarm/psk/" not in json.dumps(made)
    Answer("domain", "init", "ucsf", f"--network-key={shared}")
    assert actors.settings["network_key"] == str(shared)
    again = Answer("network", "new-key", str(shared))
    assert (again.code, again.out) == (USAGE, "")
    assert again.err.startswith("p2pgrid: P2PG-140: ")


def test_what_is_made_in_a_home_with_a_key_is_closed(actors: Actors, home: Path) -> None:
    Answer("network", "new-key")
    assert Answer("network", "init", "city", "--format=json").json["closed"]
    assert actors.settings["network_key"] == str(home / "network.key")


def test_a_launched_node_is_in_its_clients_network_or_in_the_given_one(
    actors: Actors, home: Path
) -> None:
    client = Client(home, network_key=home / "ours")
    launch("first", client=client)
    assert actors.settings["network_key"] == str(home / "ours")
    launch("second", client=client, network_key=Path("theirs"))
    assert actors.settings["network_key"] == str(Path("theirs").absolute())


def test_an_open_node_is_not_mistaken_for_a_closed_one(actors: Actors, home: Path) -> None:
    Answer("domain", "init", "ucsf")
    settings = {"network_key": str(home / "network.key")}
    actors.asked.clear()
    with pytest.raises(errors.NodeError, match="made open"):
        make_nodes(
            {"ucsf": home / "nodes/ucsf"},
            kind="domain",
            wallet=Wallet(home / "wallet.json"),
            settings=settings,
        )
    assert actors.commands == ["show"]


def test_init_again_changes_what_is_given_and_keeps_the_rest(actors: Actors) -> None:
    Answer("domain", "init", "ucsf", "--port=4100")
    actors.asked.clear()
    again = Answer("domain", "init", "ucsf", "--num-gpus=2", "--format=json").json
    assert "next start" in again["note"]
    assert actors.commands == ["set", "show"]
    assert json.loads(actors.asked[0][1]) == {"name": "ucsf", "kind": "domain", "num_gpus": 2}


def test_the_owner_can_be_named_at_once_or_later(actors: Actors, home: Path) -> None:
    Answer("domain", "init", "ucsf", "--owner-key=later")
    assert "own" not in actors.commands
    Answer("domain", "init", "ucsf", f"--owner-key={OWNER_KEY}")
    assert ("own", OWNER_KEY) in actors.asked
    assert Wallet(home / "wallet.json").keys() == ()


def test_a_domain_can_be_launched_without_an_owner(actors: Actors, home: Path) -> None:
    node = launch("ucsf", client=Client(home), owner_key="")
    assert "own" not in actors.commands
    assert node.setup_token == TOKEN
    assert TOKEN not in repr(node)
    started = Answer("domain", "start", "ucsf", "--format=json").json
    assert started["setup_token"] == TOKEN
    assert "p2pgrid domain claim" in started["note"]
    Answer("domain", "init", "ucsf", f"--owner-key={OWNER_KEY}")
    assert TOKEN not in Answer("domain", "start", "ucsf").out


def test_an_owner_opens_signing_up(actors: Actors) -> None:
    Answer("domain", "init", "ucsf", "--signup=open")
    assert actors.settings["signup"] == "open"
    assert Answer("domain", "init", "ucsf", "--signup=perhaps").code == USAGE


def test_a_network_has_no_owner(actors: Actors) -> None:
    assert Answer("network", "init", "city", "--format=json").json["kind"] == "network"
    assert actors.commands == ["init", "show"]


def test_joining_a_network_is_for_the_next_start(actors: Actors) -> None:
    joined = Answer("network", "join", ADDRESS, "ucsf", "--format=json").json
    assert actors.asked == [("join", ADDRESS)]
    assert "next start" in joined["note"]


def test_people_see_what_programs_get(actors: Actors) -> None:
    answer = Answer("domain", "status", "ucsf")
    assert actors.commands == ["status"]
    shown = dict(re.split(r"  +", line, maxsplit=1) for line in answer.out.splitlines())
    assert shown["running"] == "yes"
    assert shown["addresses"] == ADDRESS
    assert "gateway pid" not in shown  # there is none


def test_an_address_stays_on_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    show_record({"addresses": ["a" * 100, "b" * 300]}, output=Format.TABLE)
    unbroken = re.findall("a{10,}|b{10,}", capsys.readouterr().out)
    assert [len(address) for address in unbroken] == [100, 300]


def test_the_wallet_shows_public_halves_only(home: Path) -> None:
    made = Answer("wallet", "new", ADDRESS, "--user=bob", "--name=ucsf", "--format=json").json
    seed = json.loads((home / "wallet.json").read_text())["content"][0]["seed"]
    table, listed = Answer("wallet", "list"), Answer("wallet", "ls", "--format=json")
    assert listed.json == [
        {
            "network": "",
            "domain": "ucsf",
            "user": "bob",
            "peer_id": PEER,
            "pubkey": made["pubkey"],
            "prikey": base64.b64decode(seed).hex()[:6] + "…",
        }
    ]
    assert made["pubkey"] in table.out
    assert base64.b64decode(seed).hex()[:6] in table.out
    assert not any(seed in text for text in (table.out, listed.out, json.dumps(made)))


def test_a_key_is_made_once(home: Path) -> None:
    by_address = Answer("wallet", "new", ADDRESS, "--format=json").json
    by_id = Answer("wallet", "new", PEER, "--format=json").json
    assert by_address == by_id
    assert len(Wallet(home / "wallet.json").keys()) == 1


def test_a_name_is_no_command_for_the_terminal(home: Path) -> None:
    assert home.exists()
    Answer("wallet", "new", PEER, "--name=\x1b[31m[bold]evil")
    table = Answer("wallet", "list").out
    assert "\x1b" not in table
    assert "?[31m[bold]evil" in table


def test_a_locked_wallet_is_a_matter_of_set_up(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("P2PGRID_WALLET_PASSPHRASE_FILE", str(home / "absent"))
    answer = Answer("wallet", "list")
    assert answer.code == USAGE
    assert answer.err.startswith("p2pgrid: P2PG-111: ")


def test_the_command_line_loads_neither_ray_nor_libp2p() -> None:
    program = "import sys, p2pgrid.cli.main\nprint(*{'ray', 'libp2p', 'trio'} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=60
    )
    assert done.stdout.strip() == ""


def test_what_was_shared_is_taken_back(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str | None]] = []

    class Program:
        def revoke(self, given: str, address: str | None) -> None:
            asked.append((given, address))
            if given == "broken":
                raise errors.CapabilityError(reason="malformed", domain="d")

    assert home.exists()
    monkeypatch.setattr(default, "default_client", Program)
    assert Answer("domain", "revoke", "text", "--format=json").json["revoked"] == "text"
    assert Answer("domain", "revoke", "0a" * 16, f"--address={ADDRESS}").code == 0
    assert asked == [("text", None), ("0a" * 16, ADDRESS)]
    refused = Answer("domain", "revoke", "broken")
    assert (refused.code, refused.out) == (REFUSED, "")


# --- exported classes -------------------------------------------------------------------------


def test_classes_are_exported_shown_and_taken_back(actors: Actors, home: Path) -> None:
    file = home / "counter.py"
    assert Answer("domain", "export", str(file), "ucsf", "--format=json").json == [EXPORTED]
    assert Answer("domain", "exports", "ucsf", "--format=json").json == [EXPORTED]
    assert Answer("domain", "unexport", "counter.py", "ucsf", "--format=json").json == []
    assert actors.asked == [("export", str(file)), ("exports",), ("unexport", "counter.py")]
    table = Answer("domain", "exports", "ucsf")
    assert all(word in table.out for word in ("Counter", "counter.py", "incr", "ann"))


def test_a_file_to_export_is_found_from_where_the_person_stands(
    actors: Actors, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(home)
    assert Answer("domain", "export", "counter.py", "ucsf").code == 0
    assert actors.asked == [("export", str(home / "counter.py"))]


def test_the_wallet_reveals_exports_and_imports(home: Path, tmp_path: Path) -> None:
    Answer("wallet", "new", PEER, "--name=ucsf")
    wallet = Wallet(home / "wallet.json")
    revealed = Answer("wallet", "reveal", "ucsf", "--format=json").json
    assert revealed["prikey"] == wallet.reveal(PEER)
    (tmp_path / "pass").write_text("for the way\n")
    way = f"--passphrase-file={tmp_path / 'pass'}"
    assert (
        Answer("wallet", "export", str(tmp_path / "keys"), way, "--format=json").json["keys"] == 1
    )
    wallet.remove(PEER, "")
    mine = wallet.new(PEER)
    refused = Answer("wallet", "import", str(tmp_path / "keys"), way)
    assert (refused.code, refused.out) == (USAGE, "")
    assert "1 of 1 keys" in refused.err
    assert wallet.keys() == (mine,)
    told = Answer(
        "wallet", "import", str(tmp_path / "keys"), way, "--conflicts=replace", "--format=json"
    ).json
    assert told["replaced"] == 1
    assert wallet.reveal(PEER) == revealed["prikey"]


@pytest.mark.usefixtures("home")
def test_the_wallet_gets_a_passphrase(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Answer("wallet", "new", PEER)
    (tmp_path / "pass").write_text("the new one")
    assert Answer("wallet", "passphrase", f"--new-file={tmp_path / 'pass'}").code == 0
    assert Answer("wallet", "list").code == USAGE
    monkeypatch.setenv("P2PGRID_WALLET_PASSPHRASE_FILE", str(tmp_path / "pass"))
    assert PEER in Answer("wallet", "list").out
