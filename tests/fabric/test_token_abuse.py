"""Tokens widened, forged, spliced, replayed or outlived: each is refused with its reason.

The attacker knows the protocol and every token of the chain, and holds the keys of bob, carol and
eve; he has not those of the domain and of ana.
"""

import secrets
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec
import pytest
from nacl.signing import SigningKey

from p2pgrid import DomainClient, TensorPointer
from p2pgrid.client.wallet import Wallet, WalletKey
from p2pgrid.errors import (
    AccessDenied,
    AuthenticationError,
    CapabilityError,
    GetNotPermittedError,
    ObjectGoneError,
    TransportError,
)
from p2pgrid.ids import PeerId
from p2pgrid.net.calls import ask
from p2pgrid.protocol.capability import Capability, Link, delegate, encode, mint
from p2pgrid.protocol.grants import Grant
from p2pgrid.protocol.messages import (
    Done,
    Enrol,
    Get,
    ListAccounts,
    ListObjects,
    Op,
    Operate,
    Operated,
    Revoke,
    Session,
    Value,
)
from p2pgrid.protocol.statements import sign_login
from tests.fabric.conftest import FabricNode, Grid
from tests.fabric.strangers import Stranger
from tests.fabric.test_login import a_publish

DAY = 86_400


class Stage(NamedTuple):
    """Two domains, everybody's keys, and a chain from the first by ana and bob to carol."""

    grid: Grid
    node: FabricNode
    other: FabricNode
    owner: DomainClient
    ana: DomainClient
    mine: TensorPointer
    ana_key: WalletKey
    bob_key: WalletKey
    carol_key: WalletKey
    eve_key: WalletKey

    @property
    def domain(self) -> PeerId:
        return self.node.node.peer_id

    @property
    def minted(self) -> Capability:
        """What ana got at her login."""
        return self.ana.held().capability

    @property
    def bobs(self) -> Capability:
        """What ana gave to bob."""
        return delegate(
            self.minted,
            self.ana_key.seed,
            audience=public(self.bob_key),
            objects=(self.mine._id,),
            operations=("negative", "add", "get"),
            expires=self.minted.grants[0].expires - 600,
            nonce=secrets.token_bytes(8),
            to=(public(self.eve_key),),
        )

    @property
    def carols(self) -> Capability:
        """What bob gave to carol."""
        return with_link(self.bobs, self.bob_key, self.grant_after(self.bobs))

    @property
    def ends(self) -> int:
        """When what bob has expires."""
        return self.bobs.grants[1].expires

    def grant_after(self, capability: Capability, **changes: Any) -> Grant:
        """A grant for carol that keeps all as it was but ``changes``."""
        fields = {
            "audience": public(self.carol_key),
            "objects": None,
            "operations": None,
            "expires": capability.grants[-1].expires,
            "nonce": bytes(8),
        }
        return Grant(**(fields | changes))

    def show(self, capability: Capability | bytes, key: WalletKey) -> Session:
        """Logs in by a token, with a key that is proved."""
        encoded = capability if isinstance(capability, bytes) else encode(capability)
        return Stranger(self.grid, self.node).login(key, capability=encoded)


def public(key: WalletKey) -> bytes:
    return bytes.fromhex(key.public_key)


def with_link(capability: Capability, key: WalletKey, grant: Any) -> Capability:
    """One more link, by whoever, whatever it says: ``delegate`` without its checks."""
    payload = msgspec.msgpack.encode(grant)
    links = (*capability.links, Link(payload, bytes(64)))
    signed = Capability(capability.domain, links).signed[-1]
    signature = SigningKey(key.seed.reveal()).sign(signed).signature
    return Capability(capability.domain, (*capability.links, Link(payload, signature)))


def replaced(capability: Capability, number: int, **changes: Any) -> Capability:
    """Another grant under the signature that was there."""
    links = list(capability.links)
    grant = msgspec.structs.replace(capability.grants[number], **changes)
    links[number] = Link(msgspec.msgpack.encode(grant), links[number].signature)
    return Capability(capability.domain, tuple(links))


def first_link(stage: Stage, seed: bytes, domain: PeerId, **changes: Any) -> Capability:
    """A first link for bob, signed with any key."""
    fields: dict[str, Any] = {
        "account": "ana",
        "audience": public(stage.bob_key),
        "objects": None,
        "operations": None,
        "expires": int(time.time()) + DAY,
        "nonce": bytes(8),
    }
    return mint(seed, domain=domain, **(fields | changes))


@pytest.fixture
def stage(grid: Grid) -> Stage:
    node, other = grid.launch("clinic"), grid.launch("elsewhere")
    owner = grid.owner_of(node)
    owner.publish("open", [1.0, 2.0, 3.0], allowed_users=("ana",))
    ana = grid.user(owner, "ana")
    wallets = {name: Wallet(grid.home / f"{name}.json") for name in ("bob", "carol", "eve")}
    keys = {name: wallet.new(owner.peer_id) for name, wallet in wallets.items()}
    return Stage(
        grid,
        node,
        other,
        owner,
        ana,
        (ana.datasets[0].pointers[0] * 2).block,
        ana.held().key,
        keys["bob"],
        keys["carol"],
        keys["eve"],
    )


def test_what_is_refused_below_is_good_before_it_is_touched(stage: Stage) -> None:
    assert stage.show(stage.bobs, stage.bob_key).account.startswith("ana via ")
    assert stage.show(stage.carols, stage.carol_key).role == "scientist"


# --- at the login: whose token, what for, until when --------------------------------------------

Attempt = Callable[[Stage], tuple[Capability | bytes, WalletKey]]


def further(stage: Stage, **changes: Any) -> tuple[Capability, WalletKey]:
    """What bob gives to carol, if he does not keep to the rules."""
    bobs = stage.bobs
    return with_link(bobs, stage.bob_key, stage.grant_after(bobs, **changes)), stage.carol_key


def changed(stage: Stage, number: int, **changes: Any) -> tuple[Capability, WalletKey]:
    """What bob has, with another grant under a signature that was there."""
    return replaced(stage.bobs, number, **changes), stage.bob_key


def ours(stage: Stage, **changes: Any) -> tuple[Capability, WalletKey]:
    """What the domain itself signed for bob."""
    return first_link(stage, stage.node.directory.seed(), stage.domain, **changes), stage.bob_key


def of_links(stage: Stage, *links: Link) -> Capability:
    return Capability(stage.domain, links)


def of_small_order(stage: Stage) -> Capability:
    """The audience is a point under which (R=1, S=0) signs everything, were it let through."""
    weak = b"\1" + bytes(31)
    bobs, _ = further(stage, audience=weak)
    anything = msgspec.msgpack.encode(stage.grant_after(bobs))
    return of_links(stage, *bobs.links, Link(anything, weak + bytes(32)))


def with_a_logins_signature(stage: Stage) -> Capability:
    """Bob's signature of a login, under a link."""
    signed = sign_login(
        stage.bob_key.seed, audience=stage.domain, peer=stage.domain, nonce=bytes(16), now=0
    )
    link = Link(msgspec.msgpack.encode(stage.grant_after(stage.bobs)), signed.signature)
    return of_links(stage, *stage.bobs.links, link)


def written_longer(capability: Capability) -> bytes:
    """The same by a longer encoding of a length, which msgspec reads as well."""
    encoded = encode(capability)
    payload = capability.links[0].payload
    size = bytes([len(payload)])
    longer = encoded.replace(b"\xc4" + size + payload, b"\xc5\0" + size + payload)
    assert msgspec.msgpack.decode(longer, type=Capability) == capability
    return longer


WIDENED: dict[str, Attempt] = {
    "another object": lambda s: further(s, objects=(bytes(16),)),
    "the session instead of one object of it": lambda s: further(s, objects=(s.mine._id[:8],)),
    "one operation more": lambda s: further(s, operations=("negative", "mean")),
    "one destination more": lambda s: further(s, to=(bytes(32),)),
    "a second longer": lambda s: further(s, expires=s.ends + 1),
}
FORGED: dict[str, Attempt] = {
    "all operations, under ana's signature": lambda s: changed(s, 1, operations=None),
    "all objects, under ana's signature": lambda s: changed(s, 1, objects=None),
    "a later end, under ana's signature": lambda s: changed(s, 1, expires=s.ends + 60),
    "another account, under the domain's signature": lambda s: changed(s, 0, account="owner"),
    "another audience, under ana's signature": lambda s: (
        changed(s, 1, audience=public(s.eve_key))[0],
        s.eve_key,
    ),
    "made by eve for herself": lambda s: (
        first_link(s, s.eve_key.seed.reveal(), s.domain, audience=public(s.eve_key)),
        s.eve_key,
    ),
    "made by another domain in our name": lambda s: (
        first_link(s, s.other.directory.seed(), s.domain),
        s.bob_key,
    ),
    "made by another domain for itself, with our name on it": lambda s: (
        of_links(s, *theirs(s).links),
        s.bob_key,
    ),
    "a link that eve signed instead of ana": lambda s: (
        with_link(s.minted, s.eve_key, s.grant_after(s.minted)),
        s.carol_key,
    ),
    "signed by zeros": lambda s: (
        of_links(s, s.minted.links[0], Link(s.bobs.links[1].payload, bytes(64))),
        s.bob_key,
    ),
    "signed by what fits every text": lambda s: (of_small_order(s), s.carol_key),
    "signed as a login": lambda s: (with_a_logins_signature(s), s.carol_key),
    "a link left out": lambda s: (
        of_links(s, s.minted.links[0], s.carols.links[2]),
        s.carol_key,
    ),
    "a link twice": lambda s: (of_links(s, *(b := s.bobs).links, b.links[1]), s.bob_key),
    "a link of another chain": lambda s: (
        of_links(s, ours(s, audience=public(s.ana_key))[0].links[0], s.bobs.links[1]),
        s.bob_key,
    ),
}
REPLAYED: dict[str, Attempt] = {
    "by whoever read it": lambda s: (s.bobs, s.eve_key),
    "by whoever gave it": lambda s: (s.bobs, s.ana_key),
    "by whoever got it from its holder": lambda s: (s.bobs, s.carol_key),
    "ana's own, by bob": lambda s: (s.minted, s.bob_key),
}
EXPIRED: dict[str, Attempt] = {
    "at its end": lambda s: ours(s, expires=int(time.time())),
    "whose last link is over": lambda s: further(s, expires=int(time.time()) - 1),
}
MALFORMED: dict[str, Attempt] = {
    "noise": lambda s: (b"\xc1" * 100, s.bob_key),
    "cut short": lambda s: (encode(s.bobs)[:-1], s.bob_key),
    "with a byte behind it": lambda s: (encode(s.bobs) + b"\0", s.bob_key),
    "nested without end": lambda s: (b"\x91" * 4000, s.bob_key),
    "without a link": lambda s: (msgspec.msgpack.encode((s.domain, ())), s.bob_key),
    "of nine links": lambda s: (
        msgspec.msgpack.encode((s.domain, (s.minted.links[0],) * 9)),
        s.bob_key,
    ),
    "in another order": lambda s: (of_links(s, *s.bobs.links[::-1]), s.bob_key),
    "written in another way": lambda s: (written_longer(s.minted), s.ana_key),
    "with an account in a later link": lambda s: further(s, account="owner"),
    "without an account": lambda s: ours(s, account=""),
    "with a field that we do not know": lambda s: (
        with_link(b := s.bobs, s.bob_key, [*msgspec.structs.astuple(s.grant_after(b)), b"", 7]),
        s.carol_key,
    ),
    "with an end beyond all numbers": lambda s: further(s, expires=1 << 60),
}
ELSEWHERE: dict[str, Attempt] = {"of another domain": lambda s: (theirs(s), s.bob_key)}
UNKNOWN: dict[str, Attempt] = {"of an account that is not there": lambda s: ours(s, account="tom")}

ABUSES = {
    f"{reason}: {name}": (reason, attempt)
    for reason, attempts in {
        "widened": WIDENED,
        "forged": FORGED,
        "audience": REPLAYED,
        "expired": EXPIRED,
        "malformed": MALFORMED,
        "another domain": ELSEWHERE,
        "account": UNKNOWN,
    }.items()
    for name, attempt in attempts.items()
}


def theirs(stage: Stage) -> Capability:
    """What another domain gave to bob."""
    return first_link(stage, stage.other.directory.seed(), stage.other.node.peer_id)


@pytest.mark.parametrize("name", ABUSES)
def test_a_token_is_refused(stage: Stage, name: str) -> None:
    expected, attempt = ABUSES[name]
    token, key = attempt(stage)
    with pytest.raises(CapabilityError) as refused:
        stage.show(token, key)
    assert refused.value.reason == expected
    with pytest.raises(CapabilityError):  # nor is it remembered as good
        stage.show(token, key)


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_token_with_a_revoked_link_is_refused(stage: Stage, number: int) -> None:
    carols = stage.carols
    stage.show(carols, stage.carol_key)
    stage.owner.revoke(carols.ids[number].hex())
    with pytest.raises(CapabilityError) as refused:
        stage.show(carols, stage.carol_key)
    assert refused.value.reason == "revoked"


def test_a_token_of_more_than_4096_bytes_is_hung_up_on(stage: Stage) -> None:
    with pytest.raises(TransportError):
        stage.show(bytes(4097), stage.bob_key)


def test_a_token_does_not_stand_for_the_proof_of_its_key(stage: Stage) -> None:
    stranger, elsewhere = Stranger(stage.grid, stage.node), Stranger(stage.grid, stage.node)
    for wrong in (
        {"nonce": elsewhere.nonce},
        {"peer": elsewhere.peer_id},
        {"now": time.time() - DAY},
    ):
        with pytest.raises(AuthenticationError):
            stranger.login(stage.bob_key, capability=encode(stage.bobs), **wrong)


# --- after the login: only what it names --------------------------------------------------------


def code_of(
    stranger: Stranger, session: Session, name: str, *inputs: bytes, number: int = 1
) -> int:
    """The code with which one operation fails."""
    out = session.prefix + number.to_bytes(8, "big")
    failed = ask(stranger.link, Operate((Op(name, out, inputs),)), Operated).failed
    return failed[0].failure.code if failed else 0


def test_operands_are_those_that_the_token_names(stage: Stage) -> None:
    dataset = stage.ana.datasets[0].pointers[0]
    secret = (stage.mine * 5).block
    stranger = Stranger(stage.grid, stage.node)
    session = stranger.login(stage.bob_key, capability=encode(stage.bobs))
    assert code_of(stranger, session, "negative", stage.mine._id) == 0
    beyond: list[tuple[str, tuple[bytes, ...]]] = [
        ("mean", (stage.mine._id,)),
        ("negative", (secret._id,)),
        ("negative", (dataset._id,)),
        ("add", (stage.mine._id, secret._id)),
        ("negative", (bytes(16),)),
        ("square", (session.prefix + (1).to_bytes(8, "big"),)),
    ]
    for number, (name, inputs) in enumerate(beyond, start=2):
        code = code_of(stranger, session, name, *inputs, number=number)
        assert code == CapabilityError.code
    for stolen in (secret._id, dataset._id):
        with pytest.raises((CapabilityError, ObjectGoneError)):
            ask(stranger.link, Get(stolen), Value)


def test_naming_what_belongs_to_others_does_not_reach_it(stage: Stage) -> None:
    """Ana's token may name any id; those of the owner's session are not hers to give."""
    owners = (stage.owner.datasets[0].pointers[0] * 7).block
    for named in (owners._id, owners._id[:8]):
        token = delegate(
            stage.minted,
            stage.ana_key.seed,
            audience=public(stage.bob_key),
            objects=(named,),
            nonce=bytes(8),
        )
        stranger = Stranger(stage.grid, stage.node)
        session = stranger.login(stage.bob_key, capability=encode(token))
        assert code_of(stranger, session, "negative", owners._id) == ObjectGoneError.code
        with pytest.raises(ObjectGoneError):
            ask(stranger.link, Get(owners._id), Value)


def test_results_of_one_token_are_out_of_reach_of_another(stage: Stage) -> None:
    first, second = Stranger(stage.grid, stage.node), Stranger(stage.grid, stage.node)
    session = first.login(stage.bob_key, capability=encode(stage.bobs))
    assert code_of(first, session, "negative", stage.mine._id) == 0
    result = session.prefix + (1).to_bytes(8, "big")
    all_of_ana = with_link(
        stage.minted, stage.ana_key, stage.grant_after(stage.minted, objects=(result,))
    )
    other = second.login(stage.carol_key, capability=encode(all_of_ana))
    assert code_of(second, other, "negative", result) == ObjectGoneError.code


def test_a_token_gives_no_power_of_its_account_over_others(stage: Stage) -> None:
    token = with_link(
        owners := stage.owner.held().capability,
        stage.owner.held().key,
        stage.grant_after(owners),
    )
    stranger = Stranger(stage.grid, stage.node)
    stranger.login(stage.carol_key, capability=encode(token))
    for message in (
        ListAccounts(),
        ListObjects(),
        Enrol("eve", public(stage.eve_key), "owner"),
        a_publish(),
        Revoke(bytes(16)),
        Revoke(stage.minted.ids[0], encode(stage.minted)),
    ):
        with pytest.raises(AccessDenied):
            ask(stranger.link, message, Done)
    assert len(stage.owner.users.list()) == 2


def test_a_login_by_a_token_is_no_step_to_another_login(stage: Stage) -> None:
    stranger = Stranger(stage.grid, stage.node)
    stranger.login(stage.bob_key, capability=encode(stage.bobs))
    with pytest.raises(CapabilityError):
        stranger.login(stage.ana_key)
    with pytest.raises(CapabilityError):
        stranger.login(stage.carol_key, capability=encode(stage.carols))
    plain = Stranger(stage.grid, stage.node)
    plain.login(stage.ana_key)
    with pytest.raises(TransportError):  # hung up: no program of ours does it
        plain.login(stage.bob_key, capability=encode(stage.bobs))


def test_a_get_by_the_name_of_the_account_behind_a_token_is_refused(stage: Stage) -> None:
    stranger = Stranger(stage.grid, stage.node)
    session = stranger.login(stage.bob_key, capability=encode(stage.bobs))
    for account in ("ana", "owner"):
        with pytest.raises(AccessDenied):
            ask(stranger.link, Get(stage.mine._id, account), Value)
    ask(stranger.link, Get(stage.mine._id, session.account), Value)


def test_policy_decides_at_the_time_of_use(stage: Stage) -> None:
    stranger = Stranger(stage.grid, stage.node)
    stranger.login(stage.bob_key, capability=encode(stage.bobs))
    service: Any = stage.node.node._service
    dataset = next(iter(service._datasets.entries))
    service._datasets.allowed[dataset] = frozenset()
    with pytest.raises(GetNotPermittedError):
        ask(stranger.link, Get(stage.mine._id), Value)
    service._members.forget("ana")
    with pytest.raises(CapabilityError) as refused:
        ask(stranger.link, Get(stage.mine._id), Value)
    assert refused.value.reason == "account"


def test_a_wallets_key_is_no_audience_of_another_domains_token(stage: Stage) -> None:
    """The same person has another key at every domain: a token does not tell who it is."""
    elsewhere = Wallet(stage.grid.home / "bob.json").new(stage.other.node.peer_id)
    assert public(elsewhere) != public(stage.bob_key)
    with pytest.raises(CapabilityError) as refused:
        Stranger(stage.grid, stage.node).login(
            elsewhere, audience=stage.domain, capability=encode(stage.bobs)
        )
    assert refused.value.reason == "audience"
