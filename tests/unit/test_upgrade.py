"""The words in which two ends agree on TLS: any bytes are one, or an error of the protocol."""

import pytest
from hypothesis import given, strategies as st
from nacl.signing import SigningKey

from p2pgrid.errors import RemoteProtocolError
from p2pgrid.ids import peer_id_of
from p2pgrid.protocol.upgrade import (
    MAX_OFFER_BYTES,
    NOTHING,
    PROOF_BYTES,
    Offer,
    decode_choice,
    decode_offer,
    encode_choice,
    encode_offer,
    proof_of,
)

ONE, TWO, THREE = (
    peer_id_of(bytes(SigningKey(bytes([number]) * 32).verify_key)) for number in (1, 2, 3)
)
GOLDEN = "93cd1092c420" + "63" * 32 + "c420" + "74" * 32
"""A change here is a change of the wire: it needs a new ``WIRE_VERSION``."""

offers = st.builds(
    Offer,
    port=st.integers(0, 65535),
    certificate=st.binary(min_size=32, max_size=32),
    token=st.binary(min_size=32, max_size=32),
)
whole = offers.map(encode_offer)


@st.composite
def nearly(draw: st.DrawFn) -> bytes:
    """An offer with some bytes changed, cut off or added."""
    data = bytearray(draw(whole))
    for _ in range(draw(st.integers(1, 3))):
        data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    return bytes(data[: draw(st.integers(0, len(data)))]) + draw(st.binary(max_size=3))


def test_an_offer_has_golden_bytes() -> None:
    offer = Offer(4242, b"c" * 32, b"t" * 32)
    assert encode_offer(offer).hex() == GOLDEN
    assert decode_offer(bytes.fromhex(GOLDEN)) == offer
    assert (encode_choice(taken=True), encode_choice(taken=False)) == (b"upgrade", b"stay")
    assert NOTHING.port == 0


@given(offers)
def test_an_offer_comes_back_as_it_was(offer: Offer) -> None:
    data = encode_offer(offer)
    assert len(data) <= MAX_OFFER_BYTES
    assert decode_offer(memoryview(data)) == offer


@given(st.one_of(st.binary(max_size=MAX_OFFER_BYTES), nearly()))
def test_any_bytes_are_an_offer_or_break_the_protocol(data: bytes) -> None:
    try:
        offer = decode_offer(data)
    except RemoteProtocolError:
        return
    assert 0 <= offer.port < 65536
    assert (len(offer.certificate), len(offer.token)) == (32, 32)


@pytest.mark.parametrize(
    "data",
    [
        "",
        "93" * 128,
        GOLDEN[:-2],
        GOLDEN + "00",
        GOLDEN.replace("cd1092", "ce00010000"),
        GOLDEN.replace("cd1092", "ff"),
        GOLDEN.replace("c420", "c41f"),
        GOLDEN.replace("c420", "d920").replace("63", "ff"),
    ],
)
def test_what_is_nearly_an_offer_is_none(data: str) -> None:
    with pytest.raises(RemoteProtocolError):
        decode_offer(bytes.fromhex(data))


@given(st.one_of(st.binary(max_size=10), st.sampled_from([b"upgrade", b"stay"])))
def test_any_bytes_are_a_choice_or_break_the_protocol(data: bytes) -> None:
    try:
        taken = decode_choice(memoryview(data))
    except RemoteProtocolError:
        assert data not in {b"upgrade", b"stay"}
    else:
        assert encode_choice(taken=taken) == data


@given(st.binary(min_size=32, max_size=32))
def test_a_proof_is_of_this_token_and_these_two_peers_only(token: bytes) -> None:
    proof = proof_of(token, dialler=ONE, listener=TWO)
    assert len(proof) == PROOF_BYTES
    assert token not in proof
    others = [
        proof_of(token, dialler=TWO, listener=ONE),
        proof_of(token, dialler=ONE, listener=THREE),
        proof_of(token, dialler=THREE, listener=TWO),
        proof_of(bytes(reversed(token)) + b"0", dialler=ONE, listener=TWO),
    ]
    assert proof not in others
