"""The wallet loses no key, whichever programs use it, and gives each to its owner."""

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from hypothesis import settings, strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)
from nacl.signing import SigningKey
from typing_extensions import override

import p2pgrid
from p2pgrid.client.passphrase import passphrase_from_environment
from p2pgrid.client.wallet import Conflicts, Wallet
from p2pgrid.errors import NoKeyError, WalletConflictError, WalletLockedError
from p2pgrid.ids import PeerId, peer_id_of
from p2pgrid.protocol.statements import check_login
from tests.unit.wallets import DOMAIN, OTHER, PASSPHRASE, masked, mode, opened


def test_a_new_wallet_is_empty_and_makes_no_file(path: Path) -> None:
    assert Wallet(path).keys() == ()
    assert Wallet(path).rows() == []
    assert not path.parent.exists()


def test_a_key_is_made_once_and_survives_a_restart(path: Path) -> None:
    key = Wallet(path).new(DOMAIN, "ada", name="OpenGrid", network="CDC")
    again = Wallet(path).new(DOMAIN, "ada", name="another")
    assert again == key
    assert Wallet(path).keys() == (key,)
    assert (key.domain, key.user, key.name, key.network) == (DOMAIN, "ada", "OpenGrid", "CDC")
    assert key.public_key == SigningKey(key.seed.reveal()).verify_key.encode().hex()


def test_every_key_is_another_one(path: Path) -> None:
    wallet = Wallet(path)
    made = {wallet.new(domain, user) for domain in (DOMAIN, OTHER) for user in ("", "ada")}
    assert len({key.public_key for key in made}) == len(made) == 4


def test_without_a_user_the_oldest_key_of_the_domain_counts(path: Path) -> None:
    wallet = Wallet(path)
    wallet.new(OTHER, "zoe")
    oldest = wallet.new(DOMAIN, "zoe")
    ada = wallet.new(DOMAIN, "ada")
    assert wallet.key_for(DOMAIN) == oldest
    assert wallet.key_for(DOMAIN, "ada") == ada
    assert wallet.public_key(DOMAIN) == oldest.public_key
    assert wallet.public_key(DOMAIN, "ada") == ada.public_key


def test_the_unnamed_user_is_a_user_and_not_any(path: Path) -> None:
    wallet = Wallet(path)
    wallet.new(DOMAIN, "ada")
    with pytest.raises(NoKeyError):
        wallet.key_for(DOMAIN, "")


def test_a_missing_key_is_told_with_domain_and_user(path: Path) -> None:
    wallet = Wallet(path)
    wallet.new(DOMAIN, "ada")
    for use in (wallet.key_for, wallet.public_key, wallet.remove):
        with pytest.raises(NoKeyError) as missing:
            use(DOMAIN, "bob")
        assert (missing.value.domain, missing.value.user) == (DOMAIN, "bob")


def test_a_removed_key_is_gone_for_ever(path: Path) -> None:
    wallet = Wallet(path)
    gone, kept = wallet.new(DOMAIN, "ada"), wallet.new(DOMAIN, "bob")
    wallet.remove(DOMAIN, "ada")
    assert Wallet(path).keys() == (kept,)
    assert wallet.new(DOMAIN, "ada").public_key != gone.public_key


def test_a_key_signs_a_login_on_its_domain(path: Path) -> None:
    key = Wallet(path).new(DOMAIN, "ada")
    signed = key.sign_login(peer=OTHER, nonce=bytes(16), now=100.0)
    accepted = check_login(signed, audience=DOMAIN, peer=OTHER, nonce=bytes(16), now=100.0)
    assert accepted.hex() == key.public_key


def test_a_row_has_the_four_columns_and_masks_the_private_key(path: Path) -> None:
    wallet = Wallet(path)
    named = wallet.new(DOMAIN, name="OpenGrid", network="CDC")
    unnamed = wallet.new(OTHER)
    assert wallet.rows() == [
        {
            "network": "CDC",
            "domain": "OpenGrid",
            "pubkey": named.public_key,
            "prikey": masked(named),
        },
        {"network": "", "domain": OTHER, "pubkey": unnamed.public_key, "prikey": masked(unnamed)},
    ]
    assert [*wallet.rows()[0]] == ["network", "domain", "pubkey", "prikey"]


ADD_KEYS = """
import sys
from pathlib import Path
from p2pgrid.client.wallet import KdfCost, Wallet

path, number, passphrase = sys.argv[1:]
wallet = Wallet(Path(path), passphrase=passphrase or None, cost=KdfCost(1, 8192))
print("ready", flush=True)
for key in range(10):
    wallet.new(f"domain-{number}-{key}")
print(wallet.new("shared").public_key)
"""


@pytest.fixture
def start() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts Python programs that import this p2pgrid; none outlives the test."""
    environment = os.environ | {"PYTHONPATH": str(Path(p2pgrid.__file__).parents[1])}
    with ExitStack() as programs:

        def start(source: str, *arguments: str) -> subprocess.Popen[str]:
            command = [sys.executable, "-c", source, *arguments]
            program = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
            programs.enter_context(program)
            programs.callback(program.kill)
            return program

        yield start


@pytest.mark.parametrize("passphrase", ["", PASSPHRASE])
def test_programs_that_add_keys_at_once_lose_none(
    path: Path, start: Callable[..., subprocess.Popen[str]], passphrase: str
) -> None:
    wallet = opened(path, passphrase or None)
    wallet.new(DOMAIN)
    with path.with_name("wallet.json.lock").open("r+b") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # until all are ready, so that they do meet
        programs = [start(ADD_KEYS, str(path), str(number), passphrase) for number in range(4)]
        for program in programs:
            assert program.stdout is not None
            assert program.stdout.readline() == "ready\n"
        assert len(wallet.keys()) == 1
    shared = {program.communicate(timeout=60)[0] for program in programs}
    assert [program.returncode for program in programs] == [0] * 4
    keys = wallet.keys()
    assert len({key.domain for key in keys}) == len(keys) == 1 + 4 * 10 + 1
    assert shared == {wallet.public_key(PeerId("shared")) + "\n"}


def test_the_module_is_light_to_import(start: Callable[..., subprocess.Popen[str]]) -> None:
    heavy = "{'libp2p', 'trio', 'torch', 'ray', 'numpy', 'rich'} & set(sys.modules)"
    program = start(f"import sys, p2pgrid.client.wallet; print({heavy})")
    assert program.communicate(timeout=60)[0] == "set()\n"


domains = st.sampled_from([DOMAIN, OTHER, peer_id_of(bytes([2]) * 32)])
users = st.sampled_from(["", "ada", "böb"])
networks = st.sampled_from(["", "CDC"])
passphrases = st.sampled_from([PASSPHRASE, "another", "päss"])
Place = tuple[str, PeerId, str]


class WalletMachine(RuleBasedStateMachine):
    """The file holds exactly the keys that were made, added or imported and not removed.

    They are in the order in which their places (network, domain, user) came in. ``exported`` is
    what the last export held.
    """

    def __init__(self) -> None:
        super().__init__()
        self.path = Path(tempfile.mkdtemp()) / "home" / "wallet.json"
        self.model: dict[Place, str] = {}
        self.exported: dict[Place, str] | None = None
        self.passphrase: str | None = None

    @initialize(passphrase=st.sampled_from([None, PASSPHRASE]))
    def open(self, passphrase: str | None) -> None:
        self.passphrase = passphrase
        self.reopen()

    @rule()
    def reopen(self) -> None:
        self.wallet = opened(self.path, self.passphrase)

    @rule()
    def set_a_passphrase(self) -> None:
        self.passphrase = self.passphrase or PASSPHRASE
        self.reopen()

    @rule(new=passphrases, old=st.sampled_from([None, PASSPHRASE]))
    def change_passphrase(self, new: str, old: str | None) -> None:
        if old == self.passphrase:
            self.wallet.change_passphrase(old, new)
            self.passphrase = new
        else:
            with pytest.raises(WalletLockedError):
                self.wallet.change_passphrase(old, new)

    @rule(domain=domains, user=users, elsewhere=st.booleans())
    def new(self, domain: PeerId, user: str, *, elsewhere: bool) -> None:
        wallet = opened(self.path, self.passphrase) if elsewhere else self.wallet
        made = wallet.new(domain, user).public_key
        known = [key for place, key in self.model.items() if place[1:] == (domain, user)]
        if known:
            assert made == known[0]
        else:
            self.model["", domain, user] = made

    @rule(network=networks, domain=domains, user=users)
    def add(self, network: str, domain: PeerId, user: str) -> None:
        made = self.wallet.add(network=network, domain=domain, user=user).public_key
        assert made not in self.model.values()
        self.model[network, domain, user] = made

    @rule(domain=domains, user=users)
    def remove(self, domain: PeerId, user: str) -> None:
        gone = [place for place in self.model if place[1:] == (domain, user)]
        if gone:
            self.wallet.remove(domain, user)
            del self.model[gone[0]]
        else:
            with pytest.raises(NoKeyError):
                self.wallet.remove(domain, user)

    @rule()
    def export(self) -> None:
        file = self.path.parents[1] / "export"
        file.unlink(missing_ok=True)
        assert self.wallet.export(file, "for the way") == len(self.model)
        self.exported = dict(self.model)

    @precondition(lambda self: self.exported is not None)
    @rule(conflicts=st.sampled_from(["refuse", "keep", "replace"]))
    def import_(self, conflicts: Conflicts) -> None:
        exported = self.exported or {}
        known = set(self.model.values())
        new = {place: key for place, key in exported.items() if key not in known}
        clashing = new.keys() & self.model.keys()
        file = self.path.parents[1] / "export"
        if clashing and conflicts == "refuse":
            with pytest.raises(WalletConflictError) as refused:
                self.wallet.import_(file, "for the way")
            assert (refused.value.conflicts, refused.value.keys) == (len(clashing), len(exported))
            return
        told = self.wallet.import_(file, "for the way", conflicts=conflicts)
        assert (told.added, told.known) == (len(new) - len(clashing), len(exported) - len(new))
        assert told.kept + told.replaced == len(clashing)
        self.model |= {p: k for p, k in new.items() if conflicts == "replace" or p not in clashing}

    @rule(domain=domains)
    def first_made(self, domain: PeerId) -> None:
        made = [key for (_, of, _), key in self.model.items() if of == domain]
        with suppress(NoKeyError):
            assert self.wallet.public_key(domain) == made[0]
            return
        assert made == []

    @invariant()
    def the_file_is_the_model(self) -> None:
        keys = self.wallet.keys()
        assert [(key.place, key.public_key) for key in keys] == list(self.model.items())

    @invariant()
    def registered_counts_rows(self) -> None:
        rows = [network for network, _, _ in self.model]
        assert self.wallet.registered("CDC") == rows.count("CDC")

    @invariant()
    def the_file_is_private_and_tidy(self) -> None:
        files = list(self.path.parent.glob("*"))
        assert {mode(file) for file in files} <= {0o600}
        assert {file.name for file in files} <= {"wallet.json", "wallet.json.lock"}

    @override
    def teardown(self) -> None:
        shutil.rmtree(self.path.parents[1])


TestWalletMachine = WalletMachine.TestCase
TestWalletMachine.settings = settings(max_examples=40, stateful_step_count=20, deadline=None)


# The passphrase from the environment


def test_no_variable_means_no_passphrase(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("P2PGRID_WALLET_PASSPHRASE_FILE", raising=False)
    assert passphrase_from_environment() is None


@pytest.mark.parametrize("end", ["", "\n", "\r\n", "\nsecond line\n"])
def test_the_passphrase_is_the_first_line_of_the_named_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    (tmp_path / "pass").write_bytes(f" {PASSPHRASE} ".encode() + end.encode())
    monkeypatch.setenv("P2PGRID_WALLET_PASSPHRASE_FILE", str(tmp_path / "pass"))
    assert passphrase_from_environment() == f" {PASSPHRASE} "


@pytest.mark.parametrize("content", [None, b"", b"\n", b"\xff\xfe"])
def test_a_passphrase_file_of_no_use_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None
) -> None:
    named = tmp_path / "pass"
    if content is not None:
        named.write_bytes(content)
    monkeypatch.setenv("P2PGRID_WALLET_PASSPHRASE_FILE", str(named))
    with pytest.raises(WalletLockedError, match=str(named)):
        passphrase_from_environment()
