"""What is written is read again, byte for byte as the golden frames say."""

import struct
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec
import pytest
from hypothesis import given, settings, strategies as st
from msgspec import Meta

from p2pgrid.errors import RemoteProtocolError, TooLargeError
from p2pgrid.protocol import messages as m
from p2pgrid.protocol.codec import (
    MAX_BUFFERS,
    MAX_HEADER,
    Envelope,
    Frame,
    Kind,
    decode,
    frame_size,
)
from p2pgrid.protocol.messages import Op, Operate, Slice
from p2pgrid.protocol.queries import Query
from p2pgrid.protocol.schemas import DatasetSchema
from tests.unit.frames import GOLDEN, KEY, LIMIT, MIB, OWN, TYPES, whole
from tests.unit.schemas import dataset_schemas
from tests.unit.searching import queries

# --- golden bytes -----------------------------------------------------------------------------


def test_every_message_has_golden_bytes() -> None:
    assert {type(case[1]) for case in GOLDEN.values()} == {*TYPES, NoneType}


@pytest.mark.parametrize("name", GOLDEN)
def test_a_message_is_written_as_the_golden_bytes(name: str) -> None:
    kind, message, array, golden = GOLDEN[name]
    buffers = (array,) if array else ()
    assert whole(message, *buffers, kind=kind).hex() == golden


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_bytes_are_read_as_the_message(name: str) -> None:
    kind, message, array, golden = GOLDEN[name]
    raw = bytes.fromhex(golden)
    assert frame_size(raw[:4], limit=LIMIT) == len(raw) - 4
    frame = decode(raw[4:])
    assert frame.envelope == Envelope(kind, 7, message, (len(array),) if array else ())
    assert frame.buffers == ((array,) if array else ())


def test_a_frame_is_laid_out_as_the_module_says() -> None:
    header = b"\x94\x00\x07\x81\xa4type\xa4done\x92\x02\x03"
    expected = struct.pack("<II", 4 + len(header) + 5, len(header)) + header + b"abcde"
    assert whole(m.Done(), b"ab", b"cde") == expected


# --- round trips ------------------------------------------------------------------------------


VALID = {Query: queries(), DatasetSchema: dataset_schemas()}
"""Of structs of which most texts and numbers are none."""


@cache
def struct_of(kind: type[msgspec.Struct]) -> st.SearchStrategy[Any]:
    """Instances of a struct; made when they are drawn, because values may hold values."""
    return st.deferred(
        lambda: st.builds(
            kind, **{field.name: strategy_of(field.type) for field in msgspec.structs.fields(kind)}
        )
    )


def strategy_of(kind: Any, meta: Meta | None = None) -> st.SearchStrategy[Any]:
    """Values that an annotation of ``messages.py`` allows."""
    origin, args = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return strategy_of(args[0], args[1])
    if origin is Literal:
        return st.sampled_from(args)
    if origin in (Union, UnionType):
        return st.one_of([strategy_of(arg) for arg in args])
    if kind in VALID:
        return VALID[kind]
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return struct_of(kind)
    return _plain(origin or kind, args, meta or Meta())


def _plain(kind: Any, args: tuple[Any, ...], meta: Meta) -> st.SearchStrategy[Any]:
    shortest, longest = meta.min_length or 0, meta.max_length or 64
    if kind is tuple:
        items = st.lists(strategy_of(args[0]), min_size=shortest, max_size=min(longest, 4))
        return items.map(tuple)
    if kind is dict:
        key, value = map(strategy_of, args)
        return st.dictionaries(key, value, min_size=shortest, max_size=min(longest, 8))
    if kind is bytes:
        return st.binary(min_size=shortest, max_size=min(longest, 64 + shortest))
    if kind is str:
        if meta.pattern:
            return st.from_regex(meta.pattern, fullmatch=True)
        return st.text(min_size=shortest, max_size=min(longest, 64))
    return _number(kind, meta)


def _number(kind: Any, meta: Meta) -> st.SearchStrategy[Any]:
    if kind is int:
        top = meta.le if meta.le is not None else (2**64 if meta.lt is None else meta.lt) - 1
        return st.integers(-(2**63) if meta.ge is None else int(meta.ge), int(top))
    if kind is float and meta.ge is not None:
        return st.floats(meta.ge, meta.le)
    return {float: st.floats(), bool: st.booleans(), NoneType: st.none()}[kind]


@pytest.mark.parametrize("kind", TYPES, ids=lambda kind: kind.__name__)
@settings(max_examples=settings().max_examples // 4)  # of each of twenty messages
@given(data=st.data())
def test_what_is_read_is_what_was_written(kind: type[Any], data: st.DataObject) -> None:
    message = data.draw(strategy_of(kind))
    request = data.draw(st.integers(0, 2**62 - 1))
    buffers = data.draw(st.lists(st.binary(max_size=9), max_size=4))
    raw = whole(message, *buffers, kind=data.draw(st.sampled_from(Kind)), request=request)
    frame = decode(raw[4:])
    assert (type(frame.envelope.message), frame.envelope.request) == (kind, request)
    assert [bytes(buffer) for buffer in frame.buffers] == buffers
    # Bytes tell 1 from 1.0 and from True, and NaN from nothing at all.
    assert whole(frame.envelope.message, *buffers, kind=frame.envelope.kind, request=request) == raw


def test_buffers_are_views_of_what_came() -> None:
    body = bytearray(whole(m.Done(), b"ab", b"", b"cde")[4:])
    frame = decode(memoryview(body))
    assert [bytes(buffer) for buffer in frame.buffers] == [b"ab", b"", b"cde"]
    body[-1] = ord("x")
    assert bytes(frame.buffers[2]) == b"cdx"


# --- sizes ------------------------------------------------------------------------------------


def test_a_frame_of_exactly_the_limit_is_written() -> None:
    size = len(whole(m.Done(), bytes(100))) - 4
    assert len(whole(m.Done(), bytes(100), limit=size)) == size + 4


def test_a_frame_over_the_limit_is_refused_with_both_numbers() -> None:
    size = len(whole(m.Done(), bytes(2 * MIB))) - 4
    with pytest.raises(TooLargeError, match="message") as caught:
        whole(m.Done(), bytes(2 * MIB), limit=size - 1)
    assert (caught.value.size, caught.value.limit) == (size, size - 1)


def test_more_buffers_than_anybody_reads_are_refused_with_both_numbers() -> None:
    assert len(decode(whole(None, *[b""] * MAX_BUFFERS)[4:]).buffers) == MAX_BUFFERS
    with pytest.raises(TooLargeError, match="buffers") as caught:
        whole(None, *[b""] * (MAX_BUFFERS + 1))
    assert (caught.value.size, caught.value.limit) == (MAX_BUFFERS + 1, MAX_BUFFERS)


def test_a_header_over_its_limit_is_refused_with_both_numbers() -> None:
    accounts = m.Accounts((m.Account("n" * 128, KEY, "owner"),) * 10_000)
    with pytest.raises(TooLargeError, match="header") as caught:
        whole(accounts)
    assert caught.value.limit == MAX_HEADER < caught.value.size < LIMIT


@given(size=st.integers(0, 2**32 - 1), limit=st.integers(4, 2**32))
def test_a_claimed_size_is_believed_only_within_the_limit(size: int, limit: int) -> None:
    prefix = struct.pack("<I", size)
    if 4 <= size <= limit:
        assert frame_size(prefix, limit=limit) == size
    else:
        with pytest.raises(RemoteProtocolError, match=f"{size:,} bytes; {limit:,}"):
            frame_size(prefix, limit=limit)


def test_a_frame_says_its_own_size() -> None:
    raw = whole(m.Done(), b"abc")
    assert frame_size(raw[:4], limit=LIMIT) == len(raw) - 4
    assert isinstance(decode(raw[4:]), Frame)


def test_a_slice_is_told_from_its_ends() -> None:
    ends = (Slice(), Slice(0), Slice(None, 0), Slice(1, None, -1))
    sent = Operate((Op("getitem", OWN, (OWN,), ends),))
    assert decode(whole(sent)[4:]).envelope.message == sent
