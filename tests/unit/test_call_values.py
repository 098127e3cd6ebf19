"""Values of calls: what is packed is unpacked, and nothing else crosses a border."""

import enum
from typing import Any, cast

import msgspec
import numpy as np
import pytest
from hypothesis import given, strategies as st
from hypothesis.extra import numpy as hnp
from typing_extensions import override

from p2pgrid.errors import (
    DtypeError,
    P2PGridError,
    RemoteProtocolError,
    TooLargeError,
    ValueTypeError,
)
from p2pgrid.ids import ObjectId
from p2pgrid.protocol.arrays import DTYPES, ArrayHeader
from p2pgrid.protocol.values import (
    MAX_DEPTH,
    MAX_ITEMS,
    MAX_TEXT,
    ArrayValue,
    Arriving,
    ListValue,
    Packer,
    Ref,
    Reference,
    Value,
    arrays_in,
    check_bounds,
    kept,
    no_references,
    object_id_of,
    references_in,
    transfer,
    unpack,
)

MIB = 1 << 20


class Handle:
    """A pointer of a test."""

    def __init__(self, object_id: bytes) -> None:
        self.object_id = object_id


def ref_of(value: object) -> Reference | None:
    return Ref(value.object_id) if isinstance(value, Handle) else None


def resolve(reference: Reference) -> object:
    return object_id_of(reference)


def packed(value: object, buffers: list[bytes] | None = None, *, limit: int = MIB) -> Value:
    packer = Packer([] if buffers is None else buffers, ref_of=ref_of, array_limit=limit)
    return packer.pack(value)


def crossed(value: Value) -> Value:
    """The value as it arrives."""
    return cast("Value", msgspec.msgpack.decode(msgspec.msgpack.encode(value), type=Value))


def there(value: object) -> object:
    """The value at the other side."""
    buffers: list[bytes] = []
    sent = packed(value, buffers)
    check_bounds(sent)
    return unpack(crossed(sent), buffers, resolve=resolve)


scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | st.text(max_size=20)
    | st.binary(max_size=20)
)
containers = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=20,
)


def nested(levels: int, inner: Any = None) -> Any:
    """A value in so many lists."""
    for _ in range(levels):
        inner = [inner]
    return inner


# --- round trips ------------------------------------------------------------------------------


@given(containers)
def test_what_is_packed_is_unpacked_with_its_types(value: object) -> None:
    assert repr(there(value)) == repr(value)


@given(hnp.arrays(st.sampled_from(list(DTYPES.values())), hnp.array_shapes(min_dims=0)))
def test_an_array_arrives_with_dtype_shape_and_bytes(array: np.ndarray[Any, Any]) -> None:
    got = there({"x": (array,)})
    assert isinstance(got, dict)
    (arrived,) = got["x"]
    assert (arrived.dtype, arrived.shape) == (array.dtype, array.shape)
    assert arrived.tobytes() == array.tobytes()
    assert not arrived.flags.writeable


def test_arrays_are_copied_as_they_are_when_they_are_packed() -> None:
    array, buffers = np.zeros(2), list[bytes]()
    sent = packed(array, buffers)
    array += 1
    assert np.array_equal(np.zeros(2), unpack(sent, buffers, resolve=resolve))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("number", "plain"),
    [(np.float64(0.5), 0.5), (np.int64(3), 3), (np.bool_(True), True)],
    ids=["float64", "int64", "bool"],
)
def test_numbers_of_numpy_are_those_of_python_where_they_are_the_same(
    number: object, plain: object
) -> None:
    got = there(number)
    assert (type(got), got) == (type(plain), plain)
    assert isinstance(packed(np.float32(0.5), []), ArrayValue)


def test_a_pointer_travels_as_a_reference() -> None:
    value = packed([Handle(b"a" * 16), {"k": (Handle(b"b" * 16),)}])
    assert list(references_in(value)) == [Ref(b"a" * 16), Ref(b"b" * 16)]
    got = unpack(crossed(value), (), resolve=resolve)
    assert got == [ObjectId(b"a" * 16), {"k": (ObjectId(b"b" * 16),)}]
    assert unpack(Arriving(b"c" * 16), (), resolve=resolve) == ObjectId(b"c" * 16)


# --- what cannot travel -----------------------------------------------------------------------


class Colour(enum.IntEnum):
    RED = 1


class Shout(str):
    __slots__ = ()


@pytest.mark.parametrize(
    "value",
    [
        *(object(), {1}, 1j, Ellipsis, slice(1), len, int, bytearray(b"x"), range(3)),
        *(Colour.RED, Shout("x"), "\ud800", {1: 2}, {Shout("x"): 1}, {"\ud800": 1}),
    ],
    ids=repr,
)
def test_what_could_only_be_pickled_is_refused_wherever_it_is(value: object) -> None:
    for outer in (value, [value], ({"k": value},)):
        with pytest.raises(ValueTypeError, match="cannot travel"):
            packed(outer)


@pytest.mark.parametrize("value", [np.str_("x"), np.array(["x"]), np.array([object()])], ids=repr)
def test_arrays_of_other_things_than_numbers_are_refused(value: object) -> None:
    with pytest.raises(DtypeError):
        packed(value)


def test_the_error_names_the_type_and_never_the_value() -> None:
    class Patient:
        @override
        def __repr__(self) -> str:
            return "row 7: 140 mmHg"

    with pytest.raises(ValueTypeError) as caught:
        packed([Patient()])
    assert "Patient" in str(caught.value)
    assert "mmHg" not in str(caught.value)


@given(st.one_of(st.integers(min_value=2**63), st.integers(max_value=-(2**63) - 1)))
def test_an_int_that_needs_more_than_64_bits_is_refused(number: int) -> None:
    with pytest.raises(TooLargeError, match="bits") as caught:
        packed([number])
    assert caught.value.size > caught.value.limit == 64


@pytest.mark.parametrize(
    ("fits", "too_large"),
    [
        (nested(MAX_DEPTH - 1), nested(MAX_DEPTH)),
        ([None] * MAX_ITEMS, [None] * (MAX_ITEMS + 1)),
        ([[None] * (MAX_ITEMS - 1)], [[None] * MAX_ITEMS]),
        ("x" * MAX_TEXT, "x" * (MAX_TEXT + 1)),
        (bytes(MAX_TEXT), bytes(MAX_TEXT + 1)),
        ({"x" * MAX_TEXT: 1}, {"x" * (MAX_TEXT + 1): 1}),
        (np.zeros(MIB // 8), np.zeros(MIB // 8 + 1)),
    ],
    ids=["levels", "items", "items of all", "text", "bytes", "key", "array"],
)
def test_a_limit_is_kept_exactly(fits: object, too_large: object) -> None:
    there(fits)
    with pytest.raises(TooLargeError) as caught:
        packed(too_large)
    assert caught.value.size > caught.value.limit


# --- what a peer may claim --------------------------------------------------------------------


@pytest.mark.parametrize(
    "value", [nested(MAX_DEPTH), [[None] * MAX_ITEMS], [[None] * 5000] * 2], ids=["deep", "a", "b"]
)
def test_bounds_hold_for_what_others_packed(value: Any) -> None:
    def unchecked(item: Any) -> Value:
        if isinstance(item, list):
            return ListValue(tuple(unchecked(each) for each in item))
        return None

    with pytest.raises(RemoteProtocolError, match="nested"):
        check_bounds(unchecked(value))


@given(containers)
def test_what_is_packed_is_within_the_bounds(value: object) -> None:
    check_bounds(packed(value))


@given(st.integers(0, 3), st.binary(max_size=20))
def test_a_header_that_lies_about_its_buffer_is_refused(number: int, data: bytes) -> None:
    claimed = ArrayValue(ArrayHeader("float64", (2,), number))
    buffers = [b"", data]
    if number == 1 and len(data) == 16:
        unpack(claimed, buffers, resolve=resolve)
        return
    with pytest.raises(RemoteProtocolError):
        unpack(ListValue((claimed,)), buffers, resolve=resolve)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_value_or_a_typed_error(data: bytes) -> None:
    try:
        value = msgspec.msgpack.decode(data, type=Value)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return
    try:
        check_bounds(value)
        unpack(value, [data], resolve=resolve)
    except P2PGridError:
        return
    assert len(list(arrays_in(value))) + len(list(references_in(value))) <= len(data)


def test_a_value_nested_beyond_all_bounds_is_refused_when_it_is_read() -> None:
    deep = b"\x92\xa1l\x91" * 100_000 + b"\xc0"
    with pytest.raises((msgspec.MsgspecError, RecursionError)):
        msgspec.msgpack.decode(deep, type=Value)


# --- several values in one frame --------------------------------------------------------------


@given(
    st.lists(st.lists(st.integers(0, 9).map(np.arange), max_size=3), max_size=4),
)
def test_values_packed_apart_share_a_frame(groups: list[list[np.ndarray[Any, Any]]]) -> None:
    frame: list[bytes] = []
    sent = []
    for group in groups:
        buffers: list[bytes] = []
        value = packed({"x": (group, 1)}, buffers)
        sent.append(transfer(value, buffers, frame, resolve=kept))
    for group, value in zip(groups, sent, strict=True):
        got: Any = unpack(value, frame, resolve=resolve)
        assert [it.tolist() for it in got["x"][0]] == [it.tolist() for it in group]
        assert got["x"][1] == 1


def test_references_are_substituted_with_what_they_stand_for() -> None:
    arrays = [b""]
    value = packed([Handle(b"a" * 16), {"k": (Handle(b"b" * 16),)}])

    def resolve_here(reference: Reference, into: list[Any]) -> Value:
        return packed(np.frombuffer(reference.object_id), into)

    assert transfer(value, (), [], resolve=kept) == value
    got: Any = unpack(transfer(value, (), arrays, resolve=resolve_here), arrays, resolve=resolve)
    assert [got[0].tobytes(), got[1]["k"][0].tobytes()] == [b"a" * 16, b"b" * 16]


def test_a_buffer_that_is_missing_is_not_passed_on() -> None:
    claimed = ArrayValue(ArrayHeader("float64", (2,), 0))
    for buffers in ([], [bytes(15)]):
        with pytest.raises(RemoteProtocolError, match="16"):
            transfer(claimed, buffers, [], resolve=kept)


def test_values_without_pointers_say_so() -> None:
    with pytest.raises(ValueTypeError, match="Handle"):
        Packer([], ref_of=no_references, array_limit=MIB).pack(Handle(b""))
