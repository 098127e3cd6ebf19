"""An array arrives as it was sent, or is refused; nothing is believed of its header."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st

from p2pgrid.errors import DtypeError, RemoteProtocolError, TooLargeError
from p2pgrid.protocol.arrays import (
    DTYPES,
    MAX_DIMS,
    MAX_ELEMENTS,
    Array,
    ArrayHeader,
    as_array,
    claimed_bytes,
    dtype_named,
    extent,
    header_of,
    raw_bytes,
    read_array,
    size_bytes,
)

shapes = st.lists(st.integers(0, 4), max_size=4).map(tuple)


@st.composite
def arrays(draw: st.DrawFn, shape: tuple[int, ...] | None = None) -> Array:
    """Any bits of any allowed dtype: NaN, infinities and numbers next to 0 are among them."""
    dtype = DTYPES[draw(st.sampled_from(sorted(DTYPES)))]
    shape = draw(shapes) if shape is None else shape
    size = math.prod(shape) * dtype.itemsize
    bits = np.frombuffer(draw(st.binary(min_size=size, max_size=size)), np.uint8)
    return (bits & 1 if dtype.kind == "b" else bits).view(dtype).reshape(shape)


def sent(array: Array) -> Array:
    """The array as the other side reads it."""
    return read_array(header_of(array, buffer=0), memoryview(bytes(raw_bytes(array))))


def assert_same(got: Array, expected: Array) -> None:
    assert got.dtype == expected.dtype.newbyteorder("<")
    assert got.shape == expected.shape
    assert got.tobytes() == expected.astype(got.dtype).tobytes()


@given(array=arrays())
def test_an_array_arrives_bit_for_bit(array: Array) -> None:
    assert_same(sent(array), array)


@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 0, 3), (2, 3, 4), (1,) * MAX_DIMS])
@pytest.mark.parametrize("dtype", DTYPES)
def test_every_dtype_arrives_in_every_kind_of_shape(dtype: str, shape: tuple[int, ...]) -> None:
    assert_same(sent(np.ones(shape, dtype)), np.ones(shape, dtype))


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_big_endian_array_arrives_with_its_values(dtype: str) -> None:
    array = np.arange(6).reshape(2, 3).astype(dtype).astype(np.dtype(dtype).newbyteorder(">"))
    assert_same(sent(array), array)
    assert raw_bytes(np.array([1], ">u4")).tobytes() == b"\x01\0\0\0"


@given(array=arrays(shape=(3, 4)), data=st.data())
def test_a_view_with_gaps_arrives_as_what_it_shows(array: Array, data: st.DataObject) -> None:
    steps = st.sampled_from([-2, -1, 1, 2])
    view = array[:: data.draw(steps), :: data.draw(steps)]
    view = view.T if data.draw(st.booleans()) else view
    assert_same(sent(view), view)


def test_bytes_of_a_plain_array_are_not_copied() -> None:
    array = np.arange(4, dtype=np.float32)
    assert np.shares_memory(np.frombuffer(raw_bytes(array), np.float32), array)


@given(array=arrays())
def test_an_array_that_was_read_cannot_be_written(array: Array) -> None:
    buffer = bytearray(raw_bytes(array))
    got: Any = read_array(header_of(array, buffer=0), memoryview(buffer))
    with pytest.raises(ValueError, match="read-only"):
        got[...] = 0
    assert np.shares_memory(got, np.frombuffer(buffer, np.uint8)) or not got.size


DISALLOWED = [
    np.array([object()]),
    np.array([1j]),
    np.array([1j], np.complex64),
    np.array(["text"]),
    np.array([b"bytes"]),
    np.array([(1, 2.0)], [("a", "i4"), ("b", "f8")]),
    np.array([b"xx"], "V2"),
    np.array([1], np.longdouble),
    np.array(["2020-01-01"], "M8[D]"),
    np.array([1], "m8[s]"),
    np.array(["text"], np.dtypes.StringDType()),
]


@pytest.mark.parametrize("array", DISALLOWED, ids=lambda array: array.dtype.name)
def test_another_dtype_does_not_leave(array: Any) -> None:
    for refuse in (
        lambda: header_of(array, buffer=0),
        lambda: raw_bytes(array),
        lambda: as_array(array, limit=1000),
    ):
        with pytest.raises(DtypeError):
            refuse()


@pytest.mark.parametrize(
    "name",
    ["object", "O", "complex64", "str", "S8", "V8", "<f8", "float", "int", "f8,f8", "", "float128"],
)
def test_another_dtype_does_not_come_in(name: str) -> None:
    with pytest.raises(DtypeError):
        dtype_named(name)
    with pytest.raises(DtypeError):
        read_array(ArrayHeader(name, (1,), 0), memoryview(bytes(8)))


def test_a_long_name_of_a_dtype_is_not_repeated_in_full() -> None:
    with pytest.raises(DtypeError) as caught:
        dtype_named("x" * 1000)
    assert len(str(caught.value)) < 200


@given(array=arrays(), extra=st.integers(-9, 9).filter(bool))
def test_a_header_that_claims_another_size_is_refused(array: Array, extra: int) -> None:
    raw = bytes(raw_bytes(array))
    other = raw + bytes(extra) if extra > 0 else raw[:extra]
    if len(other) == len(raw):
        return
    with pytest.raises(RemoteProtocolError, match=f"{len(raw):,} bytes, but {len(other):,} came"):
        read_array(header_of(array, buffer=0), memoryview(other))


@pytest.mark.parametrize(
    "shape",
    [
        (MAX_ELEMENTS, MAX_ELEMENTS),
        (1 << 32, 1 << 32),  # 0 in 64 bits
        (MAX_ELEMENTS,) * MAX_DIMS,
        (0, MAX_ELEMENTS, MAX_ELEMENTS),  # empty, and still more than numpy can address
        (MAX_ELEMENTS, 2, 0),
    ],
)
@pytest.mark.parametrize("dtype", ["bool", "float64"])
def test_a_shape_that_no_array_has_is_refused(shape: tuple[int, ...], dtype: str) -> None:
    header = ArrayHeader(dtype, shape, 0)
    with pytest.raises(RemoteProtocolError):
        read_array(header, memoryview(b""))
    with pytest.raises(RemoteProtocolError):
        claimed_bytes(header)


def test_the_widest_empty_array_is_read() -> None:
    header = ArrayHeader("float64", (MAX_ELEMENTS, 0), 0)
    assert read_array(header, memoryview(b"")).shape == (MAX_ELEMENTS, 0)


@pytest.mark.parametrize("power", [8, 16, 31, 32, 40, 63, 64, 1000])
def test_sizes_are_exact_whatever_they_are(power: int) -> None:
    shape = (1 << power, 3, 1 << power)
    assert size_bytes(shape, np.dtype("float64")) == 24 << 2 * power
    assert size_bytes((*shape, 0), np.dtype("float64")) == 0
    assert extent((*shape, 0)) == extent(shape) == 3 << 2 * power


@given(array=arrays())
def test_a_header_claims_the_bytes_that_go_with_it(array: Array) -> None:
    assert claimed_bytes(header_of(array, buffer=3)) == len(raw_bytes(array)) == array.nbytes
    assert header_of(array, buffer=3).buffer == 3


@pytest.mark.parametrize("value", [[1, 2], [[1.5], [2]], True, 7, 2.5, (1, 2), np.float32(3)])
def test_what_is_like_an_array_becomes_one(value: object) -> None:
    np.testing.assert_array_equal(as_array(value, limit=16), np.asarray(value))


def test_an_array_of_the_limit_is_taken_and_one_more_byte_refused() -> None:
    assert as_array(np.zeros(10, np.int8), limit=10).nbytes == 10
    with pytest.raises(TooLargeError) as caught:
        as_array(np.zeros(11, np.int8), limit=10)
    assert (caught.value.size, caught.value.limit) == (11, 10)


def test_an_array_of_too_many_dimensions_is_refused_before_it_is_sent() -> None:
    assert as_array(np.zeros((1,) * MAX_DIMS), limit=8).ndim == MAX_DIMS
    with pytest.raises(TooLargeError) as caught:
        as_array(np.zeros((1,) * (MAX_DIMS + 1)), limit=8)
    assert (caught.value.size, caught.value.limit) == (MAX_DIMS + 1, MAX_DIMS)


def test_an_empty_array_that_the_other_side_would_refuse_is_not_sent() -> None:
    with pytest.raises(TooLargeError) as caught:
        as_array(np.empty((0, 1 << 21, 1 << 21), np.int8), limit=8)
    assert (caught.value.size, caught.value.limit) == (1 << 42, MAX_ELEMENTS)


def test_a_list_of_rows_of_different_lengths_is_no_array() -> None:
    with pytest.raises((DtypeError, ValueError)):
        as_array([[1], [1, 2]], limit=100)
