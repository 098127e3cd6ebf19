"""A capability gives what its narrowest reading gives, to whom it names, and to nobody else."""

from collections.abc import Iterable
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings, strategies as st
from nacl.signing import SigningKey

from p2pgrid.errors import CapabilityError
from p2pgrid.ids import peer_id_of
from p2pgrid.protocol.capability import (
    MAX_LINKS,
    Capability,
    as_text,
    decode,
    delegate,
    encode,
    from_text,
    mint,
)
from p2pgrid.protocol.grants import MAX_NAMED, Grant, Scope
from p2pgrid.protocol.messages import MAX_CAPABILITY_BYTES
from p2pgrid.protocol.rights import Rights, verify

NOW = 1_800_000_000
SEEDS = [bytes([number]) * 32 for number in range(MAX_LINKS + 1)]
KEYS = [SigningKey(seed).verify_key.encode() for seed in SEEDS]
DOMAIN = peer_id_of(KEYS[0])
PREFIXES = [bytes([number]) * 8 for number in (1, 2)]
IDS = [prefix + bytes([number]) * 8 for prefix in PREFIXES for number in (1, 2)]
OPERATIONS = ["get", "sum", "move", "call:incr"]
DESTINATIONS = KEYS[-3:]


def minted(**changes: Any) -> Capability:
    """A capability of the first key after the domain's, for everything."""
    given_fields: dict[str, Any] = {
        "domain": DOMAIN,
        "account": "ana",
        "audience": KEYS[1],
        "objects": None,
        "operations": None,
        "expires": NOW + 100,
        "nonce": bytes(8),
    }
    return mint(SEEDS[0], **(given_fields | changes))


def chain(*narrowings: dict[str, Any], **first: Any) -> Capability:
    """A capability that went from key to key."""
    capability = minted(**first)
    for number, narrowing in enumerate(narrowings, start=1):
        fields = {"audience": KEYS[number + 1], "nonce": bytes(8)} | narrowing
        capability = delegate(capability, SEEDS[number], **fields)
    return capability


def rights_of(capability: Capability, **changes: Any) -> Rights:
    named: dict[str, Any] = {"domain": DOMAIN, "now": NOW} | changes
    return verify(encode(capability), **named)


def refusal(call: Any, *args: Any, **named: Any) -> str:
    with pytest.raises(CapabilityError) as refused:
        call(*args, **named)
    return refused.value.reason


# --- narrowing, against a model of sets ---------------------------------------------------------


def some(values: Iterable[Any]) -> st.SearchStrategy[tuple[Any, ...] | None]:
    """Mostly nothing, so that chains of several links come about."""
    listed = st.lists(st.sampled_from(list(values)), unique=True, max_size=4).map(tuple)
    return st.none() | st.none() | listed


narrowings = st.fixed_dictionaries(
    {
        "objects": some([*IDS, *PREFIXES]),
        "operations": some(OPERATIONS),
        "to": some(DESTINATIONS),
        "expires": st.integers(NOW - 2, NOW + 100),
    }
)


def longest_first(steps: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(steps, key=lambda step: -step["expires"])


def reach(narrowing: dict[str, Any]) -> set[tuple[bytes, str, bytes]]:
    """Everything that one link mentions: (object, operation, destination)."""
    named, operations, to = (narrowing[key] for key in ("objects", "operations", "to"))
    ids = IDS if named is None else [i for i in IDS if i in named or i[:8] in named]
    return {
        (each, operation, destination)
        for each in ids
        for operation in (OPERATIONS if operations is None else operations)
        for destination in (DESTINATIONS if to is None else to)
    }


def given_by(rights: Rights) -> set[tuple[bytes, str, bytes]]:
    return {
        (each, operation, destination)
        for each in IDS
        for operation in OPERATIONS
        for destination in DESTINATIONS
        if rights.allows(each, operation) and rights.scope.allows_to(destination)
    }


@settings(max_examples=200)
@given(st.lists(narrowings, max_size=4).map(longest_first))
def test_a_chain_gives_what_all_links_give_or_is_refused(steps: list[dict[str, Any]]) -> None:
    capability = minted()
    allowed = {(i, o, d) for i in IDS for o in OPERATIONS for d in DESTINATIONS}
    expires = NOW + 100
    for number, step in enumerate(steps, start=1):
        fields = step | {"audience": KEYS[number + 1], "nonce": bytes(8)}
        if capability.scope.narrowed(Grant(**fields)) is None:
            assert refusal(delegate, capability, SEEDS[number], **fields) == "widened"
            return
        capability = delegate(capability, SEEDS[number], **fields)
        allowed &= reach(step)
        expires = min(expires, step["expires"])
    if expires <= NOW:
        assert refusal(rights_of, capability) == "expired"
        return
    rights = rights_of(capability)
    assert (rights.account, rights.audience) == ("ana", KEYS[len(steps) + 1])
    assert rights.expires == expires
    assert given_by(rights) == allowed
    assert rights.may_move(IDS[0], DESTINATIONS[0]) == (
        (IDS[0], "move", DESTINATIONS[0]) in allowed
    )


@given(narrowings, narrowings)
def test_a_step_is_refused_exactly_when_it_adds_something(
    before: dict[str, Any], step: dict[str, Any]
) -> None:
    named = before["objects"]
    fits = (
        all(
            set(step[key] or ()) <= set(before[key])
            for key in ("operations", "to")
            if before[key] is not None
        )
        and all(
            named is None or each in named or each[:8] in named for each in step["objects"] or ()
        )
        and step["expires"] <= before["expires"]
    )
    fields = step | {"audience": KEYS[2], "nonce": bytes(8)}
    if fits:
        assert delegate(minted(**before), SEEDS[1], **fields).audience == KEYS[2]
    else:
        assert refusal(delegate, minted(**before), SEEDS[1], **fields) == "widened"


def test_what_a_link_leaves_out_stays_as_it_was() -> None:
    narrow = {"objects": (IDS[0],), "operations": ("get", "move"), "to": (DESTINATIONS[0],)}
    scope = rights_of(chain(narrow, {}, {})).scope
    assert scope == rights_of(chain(narrow)).scope
    kept = (frozenset({IDS[0]}), frozenset({"get", "move"}), frozenset({DESTINATIONS[0]}))
    assert scope == Scope(*kept, NOW + 100)


def test_one_object_of_a_session_is_less_than_the_session_and_not_the_other_way_round() -> None:
    narrowed = chain({"objects": (IDS[0],)}, objects=(PREFIXES[0],))
    rights = rights_of(narrowed)
    assert rights.allows(IDS[0], "get")
    assert not rights.allows(IDS[1], "get")
    fields = {"audience": KEYS[3], "nonce": bytes(8), "objects": (PREFIXES[0],)}
    assert refusal(delegate, narrowed, SEEDS[2], **fields) == "widened"


# --- forms --------------------------------------------------------------------------------------


@given(narrowings)
def test_a_capability_survives_its_bytes_and_its_text(narrowing: dict[str, Any]) -> None:
    capability = chain(narrowing)
    assert decode(encode(capability)) == capability
    assert from_text(f" {as_text(capability)}\n") == capability
    assert "\n" not in as_text(capability)


def test_the_bytes_of_a_capability_are_fixed() -> None:
    capability = minted(objects=(PREFIXES[0],), operations=("get",))
    assert capability.links[0].payload.hex() == FIXED_PAYLOAD
    assert [each.hex() for each in capability.ids] == [FIXED_ID]


FIXED_PAYLOAD = (
    "97c4208a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c91c408010101010101"
    "010191a3676574ce6b49d264c4080000000000000000a3616e61c0"
)
FIXED_ID = "338b7881bcf1b0b7add4f32ac2e8d06e"

WHOLE = chain({"objects": (IDS[0],)}, {"operations": ("get",)}, objects=(PREFIXES[0],))
ENCODED = encode(WHOLE)


@given(st.integers(0, 8 * len(ENCODED) - 1))
def test_a_flipped_bit_is_refused(bit: int) -> None:
    damaged = bytearray(ENCODED)
    damaged[bit // 8] ^= 1 << bit % 8
    assert refusal(verify, bytes(damaged), domain=DOMAIN, now=NOW)


@given(st.binary(max_size=200) | st.integers(0, len(ENCODED) - 1).map(lambda end: ENCODED[:end]))
def test_noise_and_what_is_cut_short_is_malformed(noise: bytes) -> None:
    assert refusal(verify, noise, domain=DOMAIN, now=NOW) == "malformed"


def test_another_form_of_the_same_capability_is_malformed() -> None:
    domain, links = msgspec.msgpack.decode(ENCODED)
    assert msgspec.msgpack.encode([domain, links]) == ENCODED
    longer = ENCODED.replace(
        b"\xc4" + bytes([len(links[0][0])]), b"\xc5\0" + bytes([len(links[0][0])])
    )
    assert msgspec.msgpack.decode(longer) == [domain, links]
    assert refusal(verify, longer, domain=DOMAIN, now=NOW) == "malformed"


@given(st.text(max_size=80))
def test_a_text_that_is_none_is_malformed(text: str) -> None:
    assert refusal(from_text, text) in {"malformed", "oversized"}


# --- caps ---------------------------------------------------------------------------------------


def test_a_chain_has_at_most_eight_links() -> None:
    longest = chain(*[{}] * (MAX_LINKS - 1))
    assert len(rights_of(longest).ids) == MAX_LINKS
    fields = {"audience": KEYS[1], "nonce": bytes(8)}
    assert refusal(delegate, longest, SEEDS[MAX_LINKS], **fields) == "oversized"
    link = longest.links[0]
    more = msgspec.msgpack.encode((DOMAIN, (*longest.links, link)))
    assert refusal(verify, more, domain=DOMAIN, now=NOW) == "malformed"


def test_a_capability_has_at_most_4096_bytes() -> None:
    many = tuple(bytes([number]) * 16 for number in range(MAX_NAMED))
    wide = chain({"objects": many}, {"objects": many}, objects=many)
    assert len(encode(wide)) <= MAX_CAPABILITY_BYTES
    fields = {"audience": KEYS[4], "nonce": bytes(8), "objects": many}
    assert refusal(delegate, wide, SEEDS[3], **fields) == "oversized"
    assert refusal(verify, bytes(MAX_CAPABILITY_BYTES + 1), domain=DOMAIN, now=NOW) == "oversized"


def test_a_link_names_at_most_64_objects_of_8_to_16_bytes() -> None:
    fields = {"audience": KEYS[2], "nonce": bytes(8)}
    for objects in ((b"1234567",), (bytes(17),), (bytes(16),) * (MAX_NAMED + 1)):
        assert refusal(delegate, minted(), SEEDS[1], objects=objects, **fields) == "malformed"


# --- whose, where, when ---------------------------------------------------------------------------


def test_only_the_audience_narrows_a_capability() -> None:
    fields = {"audience": KEYS[3], "nonce": bytes(8)}
    assert refusal(delegate, chain({}), SEEDS[1], **fields) == "audience"


def test_links_say_who_may_revoke_them() -> None:
    rights = rights_of(WHOLE)
    assert rights.signers == (KEYS[0], KEYS[1], KEYS[2])
    assert rights.ids == WHOLE.ids
    assert len({len(each) for each in rights.ids} | {16}) == 1


@pytest.mark.parametrize("number", range(3))
def test_a_chain_is_revoked_by_any_of_its_links(number: int) -> None:
    assert refusal(rights_of, WHOLE, revoked={WHOLE.ids[number]}) == "revoked"
    assert rights_of(WHOLE, revoked={bytes(16)})


def test_a_capability_ends_with_its_second() -> None:
    assert rights_of(minted(), now=NOW + 99.999)
    assert refusal(rights_of, minted(), now=NOW + 100) == "expired"
    assert refusal(rights_of, minted(), now=float("nan")) == "expired"


def test_rights_are_looked_at_again_at_every_use() -> None:
    rights = rights_of(WHOLE)
    rights.require_live(now=NOW, revoked=())
    assert refusal(rights.require_live, now=NOW + 100, revoked=()) == "expired"
    assert refusal(rights.require_live, now=NOW, revoked={WHOLE.ids[1]}) == "revoked"
