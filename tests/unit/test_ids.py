"""A peer id is the name of a key, and of nothing else."""

import base58
import pytest
from hypothesis import given, strategies as st

from p2pgrid.ids import PeerId, peer_id_of, public_key_of, short

KEY = bytes.fromhex("1ed1e8fae2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce27e")
NAME = PeerId("12D3KooWBtg3aaRMjxwedh83aGiUkwSxDwUZkzuJcfaqUmo7R3pq")


def test_a_key_has_the_name_that_libp2p_gives_it() -> None:
    assert peer_id_of(KEY) == NAME
    assert public_key_of(NAME) == KEY


@given(key=st.binary(min_size=32, max_size=32))
def test_a_peer_id_gives_back_its_key(key: bytes) -> None:
    peer = peer_id_of(key)
    assert peer.startswith("12D3KooW")
    assert public_key_of(peer) == key


@given(key=st.binary(max_size=64).filter(lambda key: len(key) != 32))
def test_a_key_of_another_length_has_no_name(key: bytes) -> None:
    with pytest.raises(ValueError, match=f"not {len(key)}"):
        peer_id_of(key)


@given(raw=st.binary(max_size=40))
def test_bytes_that_are_not_the_name_of_a_key_are_refused(raw: bytes) -> None:
    with pytest.raises(ValueError, match="not the peer id"):
        public_key_of(PeerId(base58.b58encode(raw).decode()))


@pytest.mark.parametrize("at", range(6))
def test_the_name_of_another_kind_of_key_is_refused(at: int) -> None:
    raw = bytearray(base58.b58decode(NAME))
    raw[at] ^= 1
    with pytest.raises(ValueError, match="not the peer id"):
        public_key_of(PeerId(base58.b58encode(bytes(raw)).decode()))


@pytest.mark.parametrize("change", [lambda raw: raw[:-1], lambda raw: raw + b"\0", lambda _: b""])
def test_a_name_of_another_length_is_refused(change: object) -> None:
    assert callable(change)
    with pytest.raises(ValueError, match="not the peer id"):
        public_key_of(PeerId(base58.b58encode(change(base58.b58decode(NAME))).decode()))


@pytest.mark.parametrize("text", ["", "0", "Il", "12D3KooW", "ä", NAME + "=", "/p2p/" + NAME])
def test_a_text_that_is_no_peer_id_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 some of the texts come from base58
        public_key_of(PeerId(text))


def test_the_short_form_is_the_end_in_hex() -> None:
    assert short(bytes(12) + b"\x01\x02\xfe\xff") == "0102feff"
