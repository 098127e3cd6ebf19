"""A login is good for one domain, one connection, one nonce and one short time."""

import traceback
from typing import Any

import msgspec
import pytest
from hypothesis import given, strategies as st
from nacl.signing import SigningKey

from p2pgrid.errors import AuthenticationError, LocalProtocolError
from p2pgrid.ids import PeerId, peer_id_of
from p2pgrid.protocol.secret import Secret
from p2pgrid.protocol.statements import (
    CLOCK_SKEW_S,
    LOGIN_TAG,
    LOGIN_TTL_S,
    MAX_LOGIN_TTL_S,
    MAX_STATEMENT_BYTES,
    LoginStatement,
    SignedLogin,
    check_login,
    sign_login,
)

SEED = bytes(range(32))
PUBLIC_KEY = SigningKey(SEED).verify_key.encode()
AUDIENCE = peer_id_of(bytes(32))
PEER = peer_id_of(bytes([1]) * 32)
NONCE = bytes(range(16))
NOW = 1_800_000_000
EXPECTED: dict[str, Any] = {"audience": AUDIENCE, "peer": PEER, "nonce": NONCE, "now": NOW}

VALID = LoginStatement(AUDIENCE, PEER, NONCE, PUBLIC_KEY, NOW, NOW + LOGIN_TTL_S)
SIGNED = sign_login(SEED, **EXPECTED)

seeds = st.binary(min_size=32, max_size=32)
nonces = st.binary(min_size=16, max_size=16)
peers = seeds.map(peer_id_of)
times = st.integers(min_value=0, max_value=1 << 39)

# Another value for each field, one that a decoder accepts.
others: dict[str, st.SearchStrategy[Any]] = {
    "audience": peers,
    "peer": peers,
    "nonce": nonces,
    "public_key": seeds,
    "issued": st.integers(NOW - CLOCK_SKEW_S, NOW + CLOCK_SKEW_S),
    "expires": st.integers(NOW + 1, NOW + MAX_LOGIN_TTL_S - CLOCK_SKEW_S),
}
changed_fields = st.sampled_from(sorted(others)).flatmap(
    lambda field: st.tuples(
        st.just(field), others[field].filter(lambda value: value != getattr(VALID, field))
    )
)


def signed_as(statement: Any, *, seed: bytes = SEED, tag: bytes = LOGIN_TAG) -> SignedLogin:
    """What somebody could sign who does not keep to ``sign_login``."""
    encoded = msgspec.msgpack.encode(statement)
    return SignedLogin(encoded, SigningKey(seed).sign(tag + encoded).signature)


def check(signed: SignedLogin, **changes: Any) -> bytes:
    return check_login(signed, **(EXPECTED | changes))


def assert_refused(signed: SignedLogin, **changes: Any) -> None:
    with pytest.raises(AuthenticationError) as refused:
        check(signed, **changes)
    audience = changes.get("audience", AUDIENCE)
    assert str(refused.value) == str(AuthenticationError(domain=audience))
    assert refused.value.__cause__ is refused.value.__context__ is None


def flipped(value: bytes, bit: int) -> bytes:
    changed = bytearray(value)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def test_the_bytes_of_a_login_are_fixed() -> None:
    assert SIGNED.statement.hex() == (
        "96d934313244334b6f6f5739704e416b386169427547565174575264626b4c6d6f3571564c33653268355578"
        "624e324e7a397474776977d934313244334b6f6f5739744854745333696e435a6959796b7734753547346672"
        "626a564671686b6d4a58313267534e435665483365c410000102030405060708090a0b0c0d0e0fc42003a107"
        "bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8ce6b49d200ce6b49d23c"
    )
    assert SIGNED.signature.hex() == (
        "2aeb146db0ca0810d36cb24cf3eeb3ea89999c02d1c4dad66cf2841752c5f093"
        "a619dad73326a6bb6e28087d57274fe3f2ac3c088f9575fab934dd32884be20d"
    )
    assert msgspec.msgpack.decode(SIGNED.statement, type=LoginStatement) == VALID


@given(seed=seeds, audience=peers, peer=peers, nonce=nonces, now=times)
def test_a_login_is_accepted_where_it_was_meant(
    seed: bytes, audience: PeerId, peer: PeerId, nonce: bytes, now: int
) -> None:
    signed = sign_login(Secret(seed), audience=audience, peer=peer, nonce=nonce, now=now + 0.9)
    received = msgspec.msgpack.decode(msgspec.msgpack.encode(signed), type=SignedLogin)
    public_key = check(received, audience=audience, peer=peer, nonce=nonce, now=now)
    assert public_key == SigningKey(seed).verify_key.encode()


@given(changed_fields)
def test_a_changed_field_breaks_the_signature(change: tuple[str, Any]) -> None:
    field, value = change
    changed = msgspec.structs.replace(VALID, **{field: value})
    forged = SignedLogin(msgspec.msgpack.encode(changed), SIGNED.signature)
    # The domain expects the changed value: only the signature is left to refuse it.
    assert_refused(
        forged, audience=changed.audience, peer=changed.peer, nonce=changed.nonce, now=NOW
    )


@given(st.integers(0, 8 * len(SIGNED.statement) - 1))
def test_a_flipped_bit_in_the_statement_is_refused(bit: int) -> None:
    assert_refused(SignedLogin(flipped(SIGNED.statement, bit), SIGNED.signature))


@given(st.integers(0, 8 * len(SIGNED.signature) - 1))
def test_a_flipped_bit_in_the_signature_is_refused(bit: int) -> None:
    assert_refused(SignedLogin(SIGNED.statement, flipped(SIGNED.signature, bit)))


@given(nonces.filter(lambda nonce: nonce != NONCE))
def test_a_replay_on_another_connection_is_refused(nonce: bytes) -> None:
    assert_refused(SIGNED, nonce=nonce)


@given(peers.filter(lambda peer: peer != AUDIENCE))
def test_a_login_for_another_domain_is_refused(audience: PeerId) -> None:
    assert_refused(SIGNED, audience=audience)


@given(peers.filter(lambda peer: peer != PEER))
def test_a_login_relayed_by_another_peer_is_refused(peer: PeerId) -> None:
    assert_refused(SIGNED, peer=peer)


def test_another_key_cannot_sign_for_the_named_one() -> None:
    assert check(signed_as(VALID)) == PUBLIC_KEY
    assert_refused(signed_as(VALID, seed=bytes(32)))


@pytest.mark.parametrize("tag", [b"", b"p2pgrid/login/1", b"p2pgrid/login/2\0"])
def test_a_signature_made_for_something_else_is_refused(tag: bytes) -> None:
    assert_refused(signed_as(VALID, tag=tag))


def test_the_times_are_inclusive_at_the_start_and_exclusive_at_the_end() -> None:
    first, end = NOW - CLOCK_SKEW_S, NOW + LOGIN_TTL_S + CLOCK_SKEW_S
    assert check(SIGNED, now=first) == check(SIGNED, now=end - 0.001) == PUBLIC_KEY
    assert_refused(SIGNED, now=first - 0.001)
    assert_refused(SIGNED, now=end)
    assert_refused(SIGNED, now=float("nan"))


def test_the_clock_skew_is_an_argument() -> None:
    assert check(SIGNED, now=NOW, clock_skew_s=0) == PUBLIC_KEY
    assert_refused(SIGNED, now=NOW - 1, clock_skew_s=0)
    assert_refused(SIGNED, now=NOW + LOGIN_TTL_S, clock_skew_s=0)


@pytest.mark.parametrize(("ttl_s", "fair"), [(1, True), (300, True), (301, False), (0, False)])
def test_a_lifetime_is_refused_outside_of_1_to_300_seconds(ttl_s: int, *, fair: bool) -> None:
    signed = signed_as(msgspec.structs.replace(VALID, expires=NOW + ttl_s))
    if fair:
        assert check(signed) == PUBLIC_KEY
    else:
        assert_refused(signed)


# Each is signed as it should be, and decodes as something else than a statement.
MISSHAPEN: dict[str, object] = {
    "a field more": [*msgspec.structs.astuple(VALID), 0],
    "a field less": msgspec.structs.astuple(VALID)[:-1],
    "a short nonce": msgspec.structs.replace(VALID, nonce=NONCE[:-1]),
    "a short key": msgspec.structs.replace(VALID, public_key=PUBLIC_KEY[:-1]),
    "a map": msgspec.structs.asdict(VALID),
    "a negative time": msgspec.structs.replace(VALID, issued=-1, expires=59),
    "a time beyond all": msgspec.structs.replace(VALID, issued=1 << 60, expires=(1 << 60) + 60),
    "a long peer": msgspec.structs.replace(VALID, peer=PeerId("x" * 65)),
    "no audience": msgspec.structs.replace(VALID, audience=PeerId("")),
}


@pytest.mark.parametrize("statement", MISSHAPEN.values(), ids=MISSHAPEN)
def test_a_misshapen_statement_is_refused_though_signed(statement: Any) -> None:
    as_meant = statement if isinstance(statement, LoginStatement) else VALID
    expected = {name: getattr(as_meant, name) for name in ("audience", "peer", "nonce")}
    assert_refused(signed_as(statement), **expected, now=as_meant.issued)


@given(st.binary(max_size=MAX_STATEMENT_BYTES + 10), st.binary(max_size=80))
def test_noise_is_refused(statement: bytes, signature: bytes) -> None:
    assert_refused(SignedLogin(statement, signature))


def test_text_that_is_not_unicode_is_refused() -> None:
    encoded = SIGNED.statement.replace(AUDIENCE.encode(), b"\xff" * len(AUDIENCE))
    assert_refused(SignedLogin(encoded, SIGNED.signature))


@pytest.mark.parametrize("length", [0, 63, 65])
def test_a_signature_of_another_length_is_refused(length: int) -> None:
    signature = (SIGNED.signature + b"\0")[:length]
    assert_refused(SignedLogin(SIGNED.statement, signature))
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert((SIGNED.statement, signature), SignedLogin)


def test_an_oversized_statement_is_not_even_decoded() -> None:
    oversized = bytes(MAX_STATEMENT_BYTES + 1)
    assert_refused(SignedLogin(oversized, SIGNED.signature))
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert((oversized, SIGNED.signature), SignedLogin)


@pytest.mark.parametrize(
    "mistake",
    [{"nonce": b""}, {"ttl_s": 301}, {"ttl_s": 0}, {"audience": ""}, {"peer": "x" * 65}],
    ids=str,
)
def test_what_no_domain_would_accept_is_not_signed(mistake: dict[str, Any]) -> None:
    with pytest.raises(LocalProtocolError, match="nonce of 16 bytes") as refused:
        sign_login(SEED, **(EXPECTED | mistake))
    shown = traceback.TracebackException.from_exception(refused.value, capture_locals=True)
    assert repr(SEED) not in "".join(shown.format())
