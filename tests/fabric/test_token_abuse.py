"""Tokens widened, forged, spliced, replayed or outlived: each login is refused with its reason.

The attacker knows the protocol and every token of the chain, and holds the keys of bob, carol and
eve; he has not those of the domain and of ana.
"""

import time
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from p2pgrid.client.wallet import WalletKey
from p2pgrid.errors import (
    AuthenticationError,
    CapabilityError,
    TransportError,
)
from p2pgrid.protocol.capability import Capability, Link, encode
from p2pgrid.protocol.statements import sign_login
from tests.fabric.conftest import Grid
from tests.fabric.strangers import Stranger
from tests.fabric.tokens import (
    DAY,
    Stage,
    first_link,
    make_stage,
    public,
    replaced,
    with_link,
)


@pytest.fixture
def stage(grid: Grid) -> Stage:
    return make_stage(grid)


def test_what_is_refused_below_is_good_before_it_is_touched(stage: Stage) -> None:
    assert stage.show(stage.bobs, stage.bob_key).account.startswith("ana via ")
    assert stage.show(stage.carols, stage.carol_key).role == "scientist"


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
