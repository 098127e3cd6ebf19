"""C17: the first owner of a domain comes in by a token that is shown once and dies at its use."""

import hashlib
import sqlite3
import time
from pathlib import Path

import pytest

from actors.layout import NodeDirectory
from actors.ports import Credential
from actors.setup import LIFETIME_S
from actors.state import State
from p2pgrid.client.wallet import Wallet
from p2pgrid.client.wallet_keys import new_key
from p2pgrid.errors import (
    AuthenticationError,
    PermissionDeniedError,
    PublishNotPermittedError,
    SetupTokenError,
    WalletError,
)
from p2pgrid.ids import PeerId
from p2pgrid.net.calls import ask
from p2pgrid.protocol.messages import Account, Claim, Done, SignUp
from p2pgrid.protocol.statements import sign_login
from tests.fabric.conftest import FabricNode, Grid, domain_at
from tests.fabric.strangers import Stranger
from tests.fabric.test_accounts import EMAIL, PASSWORD, Guest

NOW = 1_000_000
FIRST, SECOND = bytes(range(32)), bytes([7]) * 32


@pytest.fixture
def ucsf(grid: Grid) -> FabricNode:
    """A domain without an owner, where people may sign up."""
    return grid.launch("ucsf", signup="open", has_owner=False)


def begin(node: FabricNode) -> str:
    """What a start shows."""
    return node.on_state(lambda state: state.begin_setup(now=int(time.time())))


def test_the_token_makes_an_owner_once(grid: Grid, ucsf: FabricNode) -> None:
    token = begin(ucsf)
    me = grid.client("me")
    owner = domain_at(me, ucsf.address).claim(f" {token}\n")
    owner.publish("weights", [1.0])
    assert [(it.name, it.role) for it in owner.users.list()] == [("owner", "owner")]
    eve = grid.client("eve")
    with pytest.raises(SetupTokenError, match="stop and start"):
        domain_at(eve, ucsf.address).claim(token)
    assert eve.wallet.keys() == ()
    ucsf.stop()
    ucsf.start()
    domain_at(grid.client("me"), ucsf.address).login("owner").publish("more", [2.0])


def test_a_wrong_token_makes_nobody_owner(grid: Grid, ucsf: FabricNode) -> None:
    begin(ucsf)
    client = grid.client("eve")
    domain = domain_at(client, ucsf.address)
    for wrong in ("", "ab" * 15, "ab" * 16, "xy" * 16, "ab" * 17):
        with pytest.raises(SetupTokenError):
            domain.claim(wrong)
    assert client.wallet.keys() == ()
    assert ucsf.state.accounts() == ()


def test_a_key_that_cannot_be_kept_claims_nothing(
    grid: Grid, ucsf: FabricNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = begin(ucsf)
    domain = domain_at(grid.client("me"), ucsf.address)

    def fails(*_: object) -> None:
        raise WalletError("no space left")

    with monkeypatch.context() as patch:
        patch.setattr(Wallet, "keep", fails)
        with pytest.raises(WalletError):
            domain.claim(token)
    domain.claim(token).publish("weights", [1.0])


def test_a_refused_claim_takes_no_key_that_was_there_before(grid: Grid, bob: FabricNode) -> None:
    client = grid.client("me")
    key = client.wallet.new(bob.node.peer_id, "owner")
    with pytest.raises(SetupTokenError):
        domain_at(client, bob.address).claim("ab" * 16)
    assert client.wallet.keys() == (key,)


def test_a_claim_has_to_prove_its_key_on_this_link(grid: Grid, ucsf: FabricNode) -> None:
    token = bytes.fromhex(begin(ucsf))
    owner, eve = Stranger(grid, ucsf), Stranger(grid, ucsf)
    key = new_key(ucsf.node.peer_id, "", name="", network="")
    signed = sign_login(
        key.seed,
        audience=ucsf.node.peer_id,
        peer=owner.peer_id,
        nonce=owner.nonce,
        now=time.time(),
    )
    overheard = Claim(token, signed.statement, signed.signature)
    with pytest.raises(AuthenticationError):
        ask(eve.link, overheard, Done)
    ask(owner.link, overheard, Done)
    ask(owner.link, overheard, Done)  # the answer was lost: the same again
    assert owner.login(key).role == "owner"


def test_a_domain_with_an_owner_has_no_token(grid: Grid, bob: FabricNode) -> None:
    assert begin(bob) == ""
    with pytest.raises(SetupTokenError):
        domain_at(grid.client("eve"), bob.address).claim("ab" * 16)


def test_people_who_signed_up_before_do_not_keep_the_owner_out(
    grid: Grid, ucsf: FabricNode
) -> None:
    token = begin(ucsf)
    guest = domain_at(grid.client("ana"), ucsf.address)
    Guest(grid, ucsf).ask(SignUp, EMAIL, PASSWORD)
    guest.login(EMAIL, PASSWORD)
    with pytest.raises(PublishNotPermittedError):
        guest.publish("weights", [1.0])
    with pytest.raises(PermissionDeniedError):
        guest.users.list()
    owner = domain_at(grid.client("me"), ucsf.address).claim(token)
    assert {it.name for it in owner.users.list()} == {EMAIL, "owner"}


@pytest.fixture
def state(tmp_path: Path) -> State:
    return State(tmp_path / "node.db")


def claim(state: State, token: str, key: bytes = FIRST, *, now: int = NOW) -> Account:
    return state.claim(bytes.fromhex(token), key, domain="ucsf", now=now)


def test_a_token_is_over_after_a_day(state: State) -> None:
    token = state.begin_setup(now=NOW)
    with pytest.raises(SetupTokenError):
        claim(state, token, now=NOW + LIFETIME_S)
    assert claim(state, token, now=NOW + LIFETIME_S - 1).role == "owner"


def test_a_newer_token_ends_the_one_before(state: State) -> None:
    first, second = state.begin_setup(now=NOW), state.begin_setup(now=NOW)
    with pytest.raises(SetupTokenError):
        claim(state, first)
    claim(state, second)


def test_a_token_is_good_once_and_only_the_same_claim_may_be_repeated(state: State) -> None:
    token = state.begin_setup(now=NOW)
    assert claim(state, token) == claim(state, token)
    with pytest.raises(SetupTokenError):
        claim(state, token, SECOND)
    assert len(state.accounts()) == 1


def test_an_owner_that_was_named_by_key_ends_the_token(state: State) -> None:
    token = state.begin_setup(now=NOW)
    state.enrol_owner(FIRST)
    state.enrol_owner(SECOND)
    with pytest.raises(SetupTokenError):
        claim(state, token, SECOND)
    assert [it.public_key for it in state.accounts()] == [FIRST]
    assert state.begin_setup(now=NOW) == ""


def test_an_owner_that_another_way_came_in_ends_the_token(state: State) -> None:
    token = state.begin_setup(now=NOW)
    state.enrol(Account("root", SECOND, "owner"))
    with pytest.raises(SetupTokenError):
        claim(state, token)


def test_nothing_is_kept_of_a_token_that_was_used(state: State) -> None:
    claim(state, state.begin_setup(now=NOW))
    assert state._journal.rows("SELECT * FROM setup") == []


def test_an_owner_is_named_by_key_though_people_signed_up_before(state: State) -> None:
    state.sign_up(Account(EMAIL, SECOND, "scientist"), Credential(bytes(16), "a hash"))
    state.enrol_owner(FIRST)
    assert [it.name for it in state.accounts()] == [EMAIL, "owner"]


def test_only_a_hash_of_the_token_is_on_the_disk(tmp_path: Path) -> None:
    state = State(tmp_path / "node.db")
    token = bytes.fromhex(state.begin_setup(now=NOW))
    state.close()
    content = b"".join(it.read_bytes() for it in tmp_path.iterdir())
    assert token not in content
    assert token.hex().encode() not in content
    assert hashlib.sha256(token).digest() in content


BEFORE = """
CREATE TABLE accounts (
    name TEXT PRIMARY KEY,
    public_key BLOB NOT NULL UNIQUE CHECK (length(public_key) = 32),
    role TEXT NOT NULL CHECK (role IN ('scientist', 'owner'))
) STRICT;
INSERT INTO accounts VALUES ('owner', zeroblob(32), 'owner');
"""


def test_a_file_of_an_earlier_version_opens_and_keeps_its_accounts(tmp_path: Path) -> None:
    old = sqlite3.connect(tmp_path / "node.db")
    old.executescript(BEFORE)
    old.close()
    state = State(tmp_path / "node.db")
    assert state.accounts() == (Account("owner", bytes(32), "owner"),)
    assert state.credential("owner") is None
    state.add_key(Account("owner", FIRST, "owner"))
    assert len(state.accounts()) == 2
    state.close()


def test_a_directory_shows_no_token(ucsf: FabricNode) -> None:
    begin(ucsf)
    status = NodeDirectory(ucsf.directory.path).status()
    assert status.setup_token == ""
    assert PeerId(status.peer_id) == ucsf.node.peer_id
