"""C17: accounts by email and password, whose keys of the wallet do all that follows."""

import logging
import threading
import time

import pytest
from nacl.pwhash import argon2id
from rich.pretty import pretty_repr

from actors import passwords
from actors.accounts import MAX_KEYS
from actors.state import State
from p2pgrid.client import passwords as proofs
from p2pgrid.client.passwords import proof_of
from p2pgrid.client.wallet import WalletKey
from p2pgrid.client.wallet_keys import new_key
from p2pgrid.errors import (
    AccountExistsError,
    AuthenticationError,
    CapabilityError,
    DuplicateError,
    GetNotPermittedError,
    NoKeyError,
    PasswordError,
    PermissionDeniedError,
    SchemaError,
    SignupClosedError,
    TooLargeError,
    TooManyAttemptsError,
    TransportError,
)
from p2pgrid.net.calls import ask
from p2pgrid.protocol.messages import Account, Enrolled, Message, PasswordLogin, SignUp
from p2pgrid.protocol.secret import Secret
from p2pgrid.protocol.statements import sign_login
from tests.fabric.conftest import FabricNode, Grid, domain_at
from tests.fabric.strangers import Stranger
from tests.unit.test_wallet_masks import shown_with_locals

EMAIL = "me@patrickcason.com"
PASSWORD = "correct horse battery"  # noqa: S105 - of tests only
NOT_NFC, NFC = "pa\u0308ssword", "pässword"


@pytest.fixture(autouse=True)
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hashes that cost little; what they cost otherwise is tested in ``tests/unit``."""
    for module in (passwords, proofs):
        monkeypatch.setattr(module, "PASSES", 1)
        monkeypatch.setattr(module, "MEMORY", 8192)


@pytest.fixture
def ucsf(grid: Grid) -> FabricNode:
    """A domain where people may sign up."""
    return grid.launch("ucsf", signup="open")


class Guest(Stranger):
    """Somebody who asks for an account by hand, in one program."""

    def ask(
        self,
        kind: type[SignUp] | type[PasswordLogin],
        name: str,
        password: str,
        *,
        key: WalletKey | None = None,
        nonce: bytes | None = None,
    ) -> Enrolled:
        return ask(self.link, self.message(kind, name, password, key=key, nonce=nonce), Enrolled)

    def message(
        self,
        kind: type[SignUp] | type[PasswordLogin],
        name: str,
        password: str,
        *,
        key: WalletKey | None = None,
        nonce: bytes | None = None,
    ) -> Message:
        domain = self.node.node.peer_id
        key = key or new_key(domain, name, name="", network="")
        signed = sign_login(
            key.seed,
            audience=domain,
            peer=self.peer_id,
            nonce=nonce or self.nonce,
            now=time.time(),
        )
        proof = proof_of(Secret(password.encode()), domain=domain, account=name)
        return kind(name, proof.reveal(), signed.statement, signed.signature)


def test_c17_signup_and_login_give_the_same_user(grid: Grid, ucsf: FabricNode) -> None:
    first = grid.client("me")
    user = domain_at(first, ucsf.address).signup(EMAIL, PASSWORD)
    again = domain_at(grid.client("me"), ucsf.address).login(EMAIL, PASSWORD)
    elsewhere = domain_at(grid.client("laptop"), ucsf.address).login(EMAIL, PASSWORD)
    assert user == again == elsewhere
    assert (user.name, user.email, len(user.id)) == (EMAIL, EMAIL, 32)


def test_c17_signup_adds_a_wallet_row_and_a_login_of_the_same_machine_none(
    grid: Grid, ucsf: FabricNode
) -> None:
    client = grid.client("me")
    domain = domain_at(client, ucsf.address)
    domain.signup(EMAIL, PASSWORD)
    domain.login(EMAIL, PASSWORD)
    (row,) = client.wallet.domain_keys.itertuples(index=False)
    assert row.domain == "ucsf"
    assert grid.owner_of(ucsf).users.list()[0].public_key.hex() == row.pubkey


def test_c17_a_domain_found_by_a_network_counts_as_registered_there(grid: Grid) -> None:
    city = grid.launch("city", "network")
    ucsf = grid.launch("ucsf", networks=(city.address,), signup="open")
    grid.owner_of(ucsf).publish("weights", [1.0], tags=("#w",))
    client = grid.client("me")
    network = client.connect(city.address)
    (name,) = network.search("#w")
    assert name == "ucsf"
    client.domain(ucsf.node.peer_id, "ucsf", ()).signup(EMAIL, PASSWORD)
    assert client.wallet.registered("city") == 1


def test_c17_an_account_computes_and_takes_what_it_may_from_every_machine(
    grid: Grid, ucsf: FabricNode
) -> None:
    here = domain_at(grid.client("here"), ucsf.address)
    here.signup(EMAIL, PASSWORD)
    there = domain_at(grid.client("there"), ucsf.address)
    there.login(EMAIL, PASSWORD)
    owner = grid.owner_of(ucsf)
    owner.publish("open", [1.5, 2.5], allowed_users=(EMAIL,))
    owner.publish("private", [9.5])
    for domain in (here, there):
        allowed, private = (it.pointers[0] for it in domain.datasets)
        assert (allowed * 2).get().tolist() == [3.0, 5.0]
        with pytest.raises(GetNotPermittedError):
            (private * 2).get()
    keys = [account.public_key for account in owner.users.list() if account.name == EMAIL]
    assert len(set(keys)) == len(keys) == 2
    shown = owner.users.table
    assert [(it.Index, it.role, it.keys) for it in shown.itertuples()] == [
        (EMAIL, "scientist", 2),
        ("owner", "owner", 1),
    ]


def test_c17_the_key_alone_logs_in_afterwards_also_when_the_domain_restarts(
    grid: Grid, ucsf: FabricNode
) -> None:
    domain_at(grid.client("here"), ucsf.address).signup(EMAIL, PASSWORD)
    domain_at(grid.client("there"), ucsf.address).login(EMAIL, PASSWORD)
    ucsf.stop()
    ucsf.start()
    for machine in ("here", "there"):
        client = grid.client(machine)
        assert domain_at(client, ucsf.address).login(EMAIL).name == "ucsf"
    third = domain_at(grid.client("third"), ucsf.address)
    assert third.login(EMAIL, PASSWORD).email == EMAIL


def test_c17_signing_up_twice_is_refused(grid: Grid, ucsf: FabricNode) -> None:
    domain = domain_at(grid.client("me"), ucsf.address)
    domain.signup(EMAIL, PASSWORD)
    other = grid.client("eve")
    for who, email in ((domain, EMAIL), (domain_at(other, ucsf.address), f"  {EMAIL.upper()} ")):
        with pytest.raises(AccountExistsError, match=EMAIL):
            who.signup(email, "another password")
    assert other.wallet.keys() == ()
    domain.login(EMAIL, PASSWORD)


def test_c17_a_wrong_password_and_an_unknown_user_are_told_alike(
    grid: Grid, ucsf: FabricNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    domain_at(grid.client("me"), ucsf.address).signup(EMAIL, PASSWORD)
    grid.owner_of(ucsf).users.add("key@only.org", "ab" * 32)
    work: list[str] = []
    verify = argon2id.verify

    def counted(hashed: bytes, proof: bytes) -> bool:
        work.append(hashed.decode().rsplit("$", 2)[0])
        return bool(verify(hashed, proof))

    monkeypatch.setattr(argon2id, "verify", counted)
    texts = set()
    client = grid.client("eve")
    eve = domain_at(client, ucsf.address)
    for email in (EMAIL, "nobody@nowhere.org", "key@only.org"):
        with pytest.raises(AuthenticationError) as refused:
            eve.login(email, "wrong password")
        texts.add((str(refused.value), refused.value.code))
    assert len(texts) == 1
    assert work == ["$argon2id$v=19$m=8,t=1,p=1"] * 3
    assert client.wallet.keys() == ()
    with pytest.raises(NoKeyError):
        eve.login()


def test_c17_signup_is_closed_unless_the_owner_opens_it(grid: Grid, bob: FabricNode) -> None:
    client = grid.client("me")
    with pytest.raises(SignupClosedError, match="owner"):
        domain_at(client, bob.address).signup(EMAIL, PASSWORD)
    assert client.wallet.keys() == ()
    assert [it.name for it in grid.owner_of(bob).users.list()] == ["owner"]


@pytest.mark.parametrize("password", ["", "7 chars", "x" * 1025])
def test_a_password_that_is_too_short_or_long_is_not_sent(
    grid: Grid, ucsf: FabricNode, password: str
) -> None:
    domain = domain_at(grid.client("me"), ucsf.address)
    with pytest.raises(PasswordError, match="take"):
        domain.signup(EMAIL, password)


@pytest.mark.parametrize("email", ["", "owner", "a@b@c", "a b@c", "@c", "a@", "ä@c", "a@\u0430"])
def test_what_is_no_email_address_is_refused_on_both_sides(
    grid: Grid, ucsf: FabricNode, email: str
) -> None:
    domain = domain_at(grid.client("me"), ucsf.address)
    with pytest.raises(SchemaError, match="email"):
        domain.signup(email, PASSWORD)
    if email:
        with pytest.raises(SchemaError):
            Guest(grid, ucsf).ask(SignUp, email, PASSWORD)


def test_a_name_in_another_form_is_refused_by_the_domain(grid: Grid, ucsf: FabricNode) -> None:
    with pytest.raises(SchemaError, match="one form"):
        Guest(grid, ucsf).ask(SignUp, "Me@PatrickCason.com", PASSWORD)


def test_a_password_is_the_same_on_every_keyboard(grid: Grid, ucsf: FabricNode) -> None:
    user = domain_at(grid.client("me"), ucsf.address).signup(EMAIL, NOT_NFC)
    assert domain_at(grid.client("mac"), ucsf.address).login(EMAIL, NFC) == user


def test_a_name_that_an_owner_has_permitted_something_cannot_be_taken(
    grid: Grid, ucsf: FabricNode
) -> None:
    grid.owner_of(ucsf).publish("weights", [1.0], allowed_users=("ana@hospital.org",))
    eve = domain_at(grid.client("eve"), ucsf.address)
    with pytest.raises(AccountExistsError):
        eve.signup("ana@hospital.org", PASSWORD)


def test_the_statement_has_to_be_of_this_link(grid: Grid, ucsf: FabricNode) -> None:
    Guest(grid, ucsf).ask(SignUp, EMAIL, PASSWORD)
    listener, guest = Guest(grid, ucsf), Guest(grid, ucsf)
    overheard = guest.message(PasswordLogin, EMAIL, PASSWORD)
    with pytest.raises(AuthenticationError):
        ask(listener.link, overheard, Enrolled)
    with pytest.raises(AuthenticationError):
        guest.ask(SignUp, "other@x.org", PASSWORD, nonce=listener.nonce)
    assert len(ucsf.state.accounts()) == 2


def test_what_a_domain_gets_is_of_no_use_at_another(grid: Grid, ucsf: FabricNode) -> None:
    other = grid.launch("cdc", signup="open")
    for node in (ucsf, other):
        domain_at(grid.client("me"), node.address).signup(EMAIL, PASSWORD)
    here, there = Guest(grid, ucsf), Guest(grid, other)
    got = here.message(PasswordLogin, EMAIL, PASSWORD)
    shown = there.message(PasswordLogin, EMAIL, PASSWORD)
    assert isinstance(got, PasswordLogin)
    assert isinstance(shown, PasswordLogin)
    stolen = PasswordLogin(EMAIL, got.proof, shown.statement, shown.signature)
    with pytest.raises(AuthenticationError):
        ask(there.link, stolen, Enrolled)


def test_guessing_at_an_account_is_slowed_down_and_its_keys_are_not(
    grid: Grid, ucsf: FabricNode
) -> None:
    me = grid.client("me")
    domain_at(me, ucsf.address).signup(EMAIL, PASSWORD)
    for number in range(2):
        guest = Guest(grid, ucsf)
        for guess in range(5):
            with pytest.raises(AuthenticationError):
                guest.ask(PasswordLogin, EMAIL, f"guess {number} {guess}")
    with pytest.raises(TooManyAttemptsError, match=r"try again in \d+ s") as refused:
        Guest(grid, ucsf).ask(PasswordLogin, EMAIL, PASSWORD)
    assert 0 < refused.value.wait_s <= 60
    domain_at(grid.client("me"), ucsf.address).login(EMAIL)


def test_a_program_that_guesses_at_many_accounts_is_slowed_down(
    grid: Grid, ucsf: FabricNode
) -> None:
    guest = Guest(grid, ucsf)
    for guess in range(20):
        with pytest.raises(AuthenticationError):
            guest.ask(PasswordLogin, f"user{guess}@x.org", PASSWORD)
    with pytest.raises(TooManyAttemptsError):
        guest.ask(PasswordLogin, "another@x.org", PASSWORD)


def test_a_right_password_costs_no_attempt(grid: Grid, ucsf: FabricNode) -> None:
    guest = Guest(grid, ucsf)
    key = new_key(ucsf.node.peer_id, EMAIL, name="", network="")
    guest.ask(SignUp, EMAIL, PASSWORD, key=key)
    for _ in range(12):
        guest.ask(PasswordLogin, EMAIL, PASSWORD, key=key)


def test_a_program_makes_few_accounts(grid: Grid, ucsf: FabricNode) -> None:
    guest = Guest(grid, ucsf)
    for number in range(5):
        guest.ask(SignUp, f"user{number}@x.org", PASSWORD)
    with pytest.raises(TooManyAttemptsError):
        guest.ask(SignUp, "user5@x.org", PASSWORD)


def test_an_account_has_a_bounded_number_of_keys(grid: Grid, ucsf: FabricNode) -> None:
    domain_at(grid.client("me"), ucsf.address).signup(EMAIL, PASSWORD)

    def fill(state: State) -> None:
        for number in range(MAX_KEYS - 1):
            state.add_key(Account(EMAIL, bytes([number]) * 32, "scientist"))

    ucsf.on_state(fill)
    with pytest.raises(TooLargeError, match="65, but at most 64"):
        Guest(grid, ucsf).ask(PasswordLogin, EMAIL, PASSWORD)


def test_a_key_of_another_account_is_not_taken_over(grid: Grid, ucsf: FabricNode) -> None:
    key = new_key(ucsf.node.peer_id, "", name="", network="")
    grid.owner_of(ucsf).users.add("ana", key.public_key)
    Guest(grid, ucsf).ask(SignUp, EMAIL, PASSWORD)
    with pytest.raises(AccountExistsError):
        Guest(grid, ucsf).ask(SignUp, "eve@x.org", PASSWORD, key=key)
    with pytest.raises(DuplicateError):
        Guest(grid, ucsf).ask(PasswordLogin, EMAIL, PASSWORD, key=key)
    assert Stranger(grid, ucsf).login(key).account == "ana"


def test_others_go_on_while_passwords_are_hashed(
    grid: Grid, ucsf: FabricNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not by time: all hashes stand still, and the others' operations do not."""
    owner = grid.owner_of(ucsf)
    pointer = owner.publish("weights", [1.5, 2.5]).pointers[0]
    hold, working = grid_gate(monkeypatch)
    guests = [Guest(grid, ucsf) for _ in range(20)]
    answers = [
        guest.link.request(guest.message(PasswordLogin, f"u{number}@x.org", PASSWORD))
        for number, guest in enumerate(guests)
    ]
    assert working.acquire(timeout=10)
    assert (pointer * 2).get().tolist() == [3.0, 5.0]
    assert not any(answer.done() for answer in answers)
    hold.set()
    for answer in answers:
        with pytest.raises(AuthenticationError):
            answer.result(timeout=30)


def grid_gate(monkeypatch: pytest.MonkeyPatch) -> "tuple[threading.Event, threading.Semaphore]":
    """Holds up all hashing: opens with the first, and says when it has begun."""
    hold, working = threading.Event(), threading.Semaphore(0)
    fits = passwords._fits

    def held(proof: Secret, hashed: str) -> bool:
        working.release()
        assert hold.wait(30)
        return fits(proof, hashed)

    monkeypatch.setattr(passwords, "_fits", held)
    return hold, working


def test_a_removed_account_ends_with_its_keys_and_its_password(
    grid: Grid, ucsf: FabricNode
) -> None:
    here, there = (domain_at(grid.client(it), ucsf.address) for it in ("here", "there"))
    here.signup(EMAIL, PASSWORD)
    there.login(EMAIL, PASSWORD)
    owner = grid.owner_of(ucsf)
    weights = owner.publish("weights", [1.0], allowed_users=(EMAIL,))
    pointer = here.datasets[0].pointers[0]
    assert (pointer * 2).get().tolist() == [2.0]
    owner.users.remove(EMAIL)
    for domain in (here, there):
        with pytest.raises((TransportError, AuthenticationError)):
            _ = domain.actors
        with pytest.raises(AuthenticationError):
            domain.login(EMAIL)
        with pytest.raises(AuthenticationError):
            domain.login(EMAIL, PASSWORD)
    ucsf.stop()
    ucsf.start()
    with pytest.raises(AuthenticationError):
        domain_at(grid.client("here"), ucsf.address).login(EMAIL)
    with pytest.raises(AccountExistsError):  # the data of the first would be his
        domain_at(grid.client("eve"), ucsf.address).signup(EMAIL, "another password")
    assert weights.name == "weights"


def test_what_a_removed_account_gave_on_ends_and_does_not_revive_with_its_name(
    grid: Grid, ucsf: FabricNode
) -> None:
    owner = grid.owner_of(ucsf)
    owner.publish("weights", [1.0])
    me = domain_at(grid.client("me"), ucsf.address)
    me.signup(EMAIL, PASSWORD)
    friend = grid.client("friend")
    key = friend.wallet.new(ucsf.node.peer_id, "friend")
    taken = friend.accept(me.datasets[0].pointers[0].share(key.public_key))
    (taken * 2).block  # noqa: B018 waits
    owner.users.remove(EMAIL)
    with pytest.raises(CapabilityError, match="account"):
        (taken * 2).block  # noqa: B018 waits
    domain_at(grid.client("eve"), ucsf.address).signup(EMAIL, "another password")
    with pytest.raises(CapabilityError, match="account"):
        (taken * 3).block  # noqa: B018 waits


def test_only_owners_remove_accounts_and_never_the_last_owner(grid: Grid, ucsf: FabricNode) -> None:
    me = domain_at(grid.client("me"), ucsf.address)
    me.signup(EMAIL, PASSWORD)
    with pytest.raises(PermissionDeniedError):
        me.users.remove("owner")
    owner = grid.owner_of(ucsf)
    with pytest.raises(PermissionDeniedError, match="last owner"):
        owner.users.remove("owner")
    with pytest.raises(SchemaError, match="no account"):
        owner.users.remove("nobody")
    owner.users.remove(EMAIL)
    assert [it.name for it in owner.users.list()] == ["owner"]


def test_the_password_is_in_no_text_form_log_file_or_traceback(
    grid: Grid, ucsf: FabricNode, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    domain = domain_at(grid.client("me"), ucsf.address)
    domain.signup(EMAIL, PASSWORD)
    texts = [caplog.text, repr(domain.login(EMAIL, PASSWORD)), repr(ucsf.state.audit_log())]
    with pytest.raises(AccountExistsError) as refused:
        domain.signup(EMAIL, PASSWORD)
    texts.append(shown_with_locals(refused.value))
    message = Guest(grid, ucsf).message(SignUp, EMAIL, PASSWORD)
    assert isinstance(message, SignUp)
    credential = ucsf.state.credential(EMAIL)
    assert credential is not None
    texts += [repr(message), str(message), pretty_repr(message), repr(credential)]
    files = [it for it in grid.home.rglob("*") if it.is_file()]
    content = b"".join(it.read_bytes() for it in files)
    proof = message.proof
    for form in (PASSWORD, repr(PASSWORD.encode()), proof.hex(), repr(proof)[2:-1]):
        assert form not in "".join(texts)
        assert form.encode() not in content
    assert proof not in content
    assert credential.hashed not in "".join(texts)
    assert credential.hashed.startswith("$argon2id$")
