"""Hostile bytes are refused with ``RemoteProtocolError``, in little memory."""

import tracemalloc
from collections.abc import Callable, Iterator

import msgspec
import pytest
from hypothesis import given, strategies as st

from p2pgrid.errors import RemoteProtocolError
from p2pgrid.protocol import messages as m
from p2pgrid.protocol.codec import MAX_BUFFERS, MAX_HEADER, Envelope, Kind, decode
from tests.unit.frames import EVERY_FRAME, GOLDEN, KEY, MIB, body_of, is_refused


@pytest.mark.parametrize("golden", EVERY_FRAME)
def test_a_frame_cut_short_anywhere_is_refused(golden: bytes) -> None:
    assert all(is_refused(golden[4:end]) for end in range(4, len(golden)))


@pytest.mark.parametrize("golden", EVERY_FRAME)
def test_a_longer_frame_is_refused(golden: bytes) -> None:
    assert is_refused(golden[4:] + b"\0")


@pytest.mark.parametrize("golden", EVERY_FRAME)
def test_a_flipped_bit_gives_another_frame_or_is_refused(golden: bytes) -> None:
    refused = 0
    for bit in range(8 * 4, 8 * len(golden)):
        broken = bytearray(golden)
        broken[bit // 8] ^= 1 << bit % 8
        refused += is_refused(bytes(broken[4:]))
    assert refused


@given(body=st.binary(max_size=100))
def test_any_bytes_are_a_frame_or_refused(body: bytes) -> None:
    is_refused(body)
    is_refused(body_of(body))
    is_refused(body_of(b"\x93\x00\x01" + body))


@given(
    golden=st.sampled_from([bytes.fromhex(case[3]) for case in GOLDEN.values()]),
    at=st.floats(0, 1),
    drop=st.integers(0, 8),
    put=st.binary(max_size=8),
)
def test_a_frame_with_other_bytes_inside_is_a_frame_or_refused(
    golden: bytes, at: float, drop: int, put: bytes
) -> None:
    start = 8 + int(at * (len(golden) - 8))
    is_refused(body_of(golden[8:start] + put + golden[start + drop :]))


NESTS = {"arrays": b"\x91", "maps": b"\x81\xa1x", "keys": b"\x81", "mixed": b"\x91\x81\xa1x"}
PLACES = {
    "the header": b"",
    "the message": b"\x93\x00\x01",
    "an unknown field": b"\x93\x00\x01\x82\xa1x",
    "a known field": b"\x93\x00\x01\x82\xa4type\xa7operate\xa3ops",
    "a field before the tag": b"\x93\x00\x01\x82\xa3ops",
    "a parameter": b"\x93\x00\x01\x82\xa4type\xa7operate\xa3ops\x91\x94\xa3add\xc4\x10"
    + bytes(16)
    + b"\x90\x91",
}


@pytest.mark.parametrize("nest", NESTS)
@pytest.mark.parametrize("place", PLACES)
def test_a_hundred_thousand_nested_values_are_refused(place: str, nest: str) -> None:
    deep = PLACES[place] + NESTS[nest] * 100_000
    assert is_refused(body_of(deep + b"\xc0"))
    assert is_refused(body_of(deep + b"\xc0\xa4type\xa4done"))


CLAIMS = {
    "array32": b"\xdd\xff\xff\xff\xff",
    "map32": b"\xdf\xff\xff\xff\xff",
    "bin32": b"\xc6\xff\xff\xff\xff",
    "str32": b"\xdb\xff\xff\xff\xff",
    "ext32": b"\xc9\xff\xff\xff\xff\x01",
}


@pytest.fixture
def memory() -> Iterator[Callable[[], int]]:
    """Says how many bytes were taken at most since the start of the test."""
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    yield lambda: tracemalloc.get_traced_memory()[1] - before
    tracemalloc.stop()


@pytest.mark.parametrize("claim", CLAIMS)
@pytest.mark.parametrize("golden", EVERY_FRAME)
def test_a_huge_claim_anywhere_is_refused_and_takes_no_memory(
    golden: bytes, claim: str, memory: Callable[[], int]
) -> None:
    header = golden[8:]
    for start in range(len(header)):
        assert is_refused(body_of(header[:start] + CLAIMS[claim] + header[start + 1 :]))
        assert is_refused(body_of(header[:start] + CLAIMS[claim]))
    assert memory() < 8 * MIB


@pytest.mark.parametrize("claimed", [1, MAX_HEADER, MAX_HEADER + 1, 4_000_000_000, 2**32 - 1])
def test_a_header_size_that_is_not_there_is_refused(
    claimed: int, memory: Callable[[], int]
) -> None:
    with pytest.raises(RemoteProtocolError, match=f"{claimed:,}"):
        decode(body_of(b"", claimed=claimed))
    assert memory() < 8 * MIB


def test_a_header_over_its_limit_is_refused_even_when_it_came() -> None:
    accounts = m.Accounts((m.Account("n" * 128, KEY, "owner"),) * 10_000)
    header = msgspec.msgpack.encode(Envelope(Kind.ANSWER, 1, accounts))
    with pytest.raises(RemoteProtocolError, match=f"claims {len(header):,} of"):
        decode(body_of(header))


@pytest.mark.parametrize("size", range(4))
def test_a_frame_too_short_for_a_header_is_refused(size: int) -> None:
    with pytest.raises(RemoteProtocolError, match=f"{size} bytes"):
        decode(bytes(size))


@pytest.mark.parametrize("sizes", [(1,), (2**32 - 1,), (2**32 - 1,) * MAX_BUFFERS, (3, 1)])
def test_buffers_that_were_announced_have_to_come(
    sizes: tuple[int, ...], memory: Callable[[], int]
) -> None:
    header = msgspec.msgpack.encode(Envelope(Kind.REQUEST, 1, None, sizes))
    with pytest.raises(RemoteProtocolError, match="announced"):
        decode(body_of(header, rest=b"abc" if sum(sizes) != 3 else b""))
    assert memory() < 8 * MIB
