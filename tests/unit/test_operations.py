"""The registry agrees with numpy: in shape and dtype beforehand, and in every value."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from p2pgrid.errors import (
    DtypeError,
    P2PGridError,
    RemoteIndexError,
    RemoteProtocolError,
    ShapeError,
    TooLargeError,
    UnsupportedRemoteOpError,
)
from p2pgrid.protocol import shapes
from p2pgrid.protocol.arrays import DTYPES, MAX_DIMS, MAX_ELEMENTS, Array, dtype_named
from p2pgrid.protocol.messages import MAX_INPUTS, Slice
from p2pgrid.protocol.operations import (
    REGISTRY,
    ArrayMeta,
    Call,
    Operand,
    Params,
    elementwise,
    indexing,
    infer,
    operation_named,
)
from tests.programs import (
    MASKABLE,
    Written,
    a_call,
    array_shapes,
    arrays,
    assert_same,
    axes,
    expected_of,
    is_stricter,
    numbers,
    sample,
)

Value = Array | int | float | bool

REFUSALS = (ShapeError, DtypeError, RemoteIndexError)


def meta_of(value: Value, *, is_literal: bool = False) -> Operand:
    if isinstance(value, np.ndarray):
        return ArrayMeta(value.shape, dtype_named(value.dtype.name), is_literal)
    return value


def metas_of(call: Call) -> list[Operand]:
    """The first operand is private, the others came with the operation."""
    return [meta_of(value, is_literal=n > 0) for n, value in enumerate(call.operands)]


def compute(name: str, values: Sequence[Value], params: Params) -> Array:
    """Computes as the store does: overflow and division by zero are results, not events."""
    with np.errstate(all="ignore"):
        return REGISTRY[name].compute(values, params)


def prepared(written: Written) -> tuple[Call, ArrayMeta]:
    """What happens at the client: the call, and what is known of its result."""
    call = REGISTRY[written.name].bind(*written.args, **written.kwargs)
    return call, infer(written.name, metas_of(call), call.params)


def check(written: Written) -> Array | None:
    """Compares rule and function of one operation with numpy; its result, if it has one."""
    expected = expected_of(written)
    if expected is None or is_stricter(written):
        with pytest.raises(REFUSALS):
            prepared(written)
        return None
    call, meta = prepared(written)
    assert meta == ArrayMeta(expected.shape, expected.dtype)
    before = sample(call.operands)
    result = compute(written.name, call.operands, call.params)
    assert type(result) is np.ndarray
    assert_same(result, expected)
    for value, kept in zip(call.operands, before, strict=True):
        np.testing.assert_array_equal(value, kept)
    return result


def check_values(name: str, *values: Any) -> Array | None:
    return check(Written(name, values))


# --- every operation against numpy ------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(REGISTRY))
@settings(max_examples=settings().max_examples // 8)  # of each; there are many
@given(data=st.data())
def test_an_operation_is_numpys(name: str, data: st.DataObject) -> None:
    check(a_call(data.draw, name, lambda like: data.draw(arrays(like=like))))


@given(data=st.data())
def test_a_program_gives_what_numpy_gives(data: st.DataObject) -> None:
    first = data.draw(arrays())
    values = [first, data.draw(arrays(like=first)), data.draw(arrays(like=first))]
    kept = sample(values)
    for name in data.draw(st.lists(st.sampled_from(sorted(REGISTRY)), min_size=1, max_size=20)):
        result = check(a_call(data.draw, name, lambda _: data.draw(st.sampled_from(values))))
        if result is not None and result.size <= 1000:
            values.append(result)
            kept.append(result.copy())
    for value, original in zip(values, kept, strict=True):
        assert_same(value, original)


# --- what each family promises beyond that ----------------------------------------------------


@pytest.mark.parametrize("name", ["getitem", "transpose", "squeeze", "expand_dims"])
def test_a_view_lies_in_the_memory_of_its_operand(name: str) -> None:
    array = np.arange(6).reshape(1, 2, 3)
    more: dict[str, tuple[Any, ...]] = {"getitem": (slice(1),), "expand_dims": (0,)}
    call = REGISTRY[name].bind(array, *more.get(name, ()))
    assert REGISTRY[name].is_view_of(len(call.operands))
    assert np.shares_memory(compute(name, call.operands, call.params), array)


def test_what_positions_pick_is_no_view() -> None:
    call = REGISTRY["getitem"].bind(MATRIX, [0, 1])
    assert not REGISTRY["getitem"].is_view_of(len(call.operands))


def test_only_four_operations_are_views() -> None:
    views = {name for name, entry in REGISTRY.items() if entry.is_view}
    assert views == {"getitem", "transpose", "squeeze", "expand_dims"}


WEAK = [
    ("float32", 1.5, "float32"),
    ("float16", 2, "float16"),
    ("int8", 1, "int8"),
    ("int8", 1.5, "float64"),
    ("uint8", 255, "uint8"),
    ("bool", 1, "int64"),
    ("bool", True, "bool"),
    ("int8", True, "int8"),
    ("float32", True, "float32"),
    ("float32", 2**64, "float32"),
]


@pytest.mark.parametrize(("dtype", "number", "result"), WEAK)
def test_a_python_number_takes_the_dtype_that_it_meets(
    dtype: str, number: Value, result: str
) -> None:
    array = np.ones(2, dtype)
    for values in ([array, number], [number, array]):
        got = check_values("add", *values)
        assert got is not None
        assert got.dtype.name == result


@pytest.mark.parametrize(
    ("dtype", "number"),
    [
        *(("int8", 128), ("int8", -129), ("uint8", 256), ("uint64", -1), ("uint64", 2**64)),
        *(("int64", 2**63), ("bool", 2**63), ("float64", 10**400), ("float16", -(10**400))),
    ],
)
def test_a_python_integer_out_of_range_is_refused(dtype: str, number: int) -> None:
    meta = ArrayMeta((2,), np.dtype(dtype))
    with pytest.raises(DtypeError, match="out of its range"):
        infer("add", [meta, number], ())
    assert check_values("multiply", np.ones(2, dtype), number) is None


def test_an_integer_too_large_for_a_float_is_refused_where_integers_are_divided() -> None:
    assert check_values("divide", np.ones(2, np.int8), 10**400) is None
    assert check_values("divide", np.ones(2, np.int8), 300) is not None


@pytest.mark.parametrize("number", [300, -1, 2**63, 2**64 - 1, -(2**63)])
def test_an_integer_array_is_compared_with_any_integer(number: int) -> None:
    got = check_values("less", np.array([0, 255], np.uint8), number)
    assert got is not None
    assert got.tolist() == [number > 0] * 2


@pytest.mark.parametrize("number", [2**64, -(2**63) - 1, 10**400])
@pytest.mark.parametrize("name", ["less", "arctan2", "divide", "clip"])
def test_an_integer_that_no_dtype_holds_is_refused_beside_integers(name: str, number: int) -> None:
    with pytest.raises(DtypeError):
        prepared(Written(name, (np.ones(2, np.int8), number)))


def test_an_integer_that_no_dtype_holds_is_a_float_beside_floats() -> None:
    for name in ("less", "arctan2", "divide", "clip"):
        x = np.ones(2, np.float32)
        as_float = prepared(Written(name, (x, float(2**70))))
        assert prepared(Written(name, (x, 2**70)))[1] == as_float[1]


@pytest.mark.parametrize(
    ("base", "exponent"),
    [
        (np.ones(2, np.int64), np.ones(2, np.int64)),
        (np.ones(2, np.uint8), np.ones(2, np.int8)),
        (np.ones(2, np.int64), -1),
        (2, np.ones(2, np.int32)),
        (True, np.ones(2, np.int32)),
    ],
)
def test_an_integer_to_a_power_that_may_be_negative_is_refused_by_dtype(
    base: Value, exponent: Value
) -> None:
    with pytest.raises(DtypeError, match="make the base float, or the exponent unsigned"):
        infer("power", [meta_of(base), meta_of(exponent)], ())


@pytest.mark.parametrize(
    ("base", "exponent", "dtype"),
    [
        (np.array([2, 3]), 3, "int64"),
        (np.array([2, 3]), -1.0, "float64"),
        (np.array([2, 3]), np.array([2, 0], np.uint8), "int64"),
        (np.array([True]), 2, "int8"),
        (np.array([True]), np.array([False]), "int8"),
        (np.array([4, 9], np.float32), -2, "float32"),
        (np.array([4.0, -np.inf]), 0.5, "float64"),
    ],
)
def test_other_powers_are_numpys(base: Array, exponent: Value, dtype: str) -> None:
    got = check_values("power", base, exponent)
    assert got is not None
    assert got.dtype.name == dtype


@pytest.mark.parametrize("name", ["min", "max", "argmin", "argmax", "median", "quantile"])
def test_an_extreme_of_no_elements_is_an_error_of_shape(name: str) -> None:
    call = REGISTRY[name].bind(np.ones((0, 3)), *([0.5] if name == "quantile" else []))
    with pytest.raises(ShapeError, match="no elements"):
        infer(name, metas_of(call), call.params)


@pytest.mark.parametrize(
    ("dtype", "least", "most"),
    [("float32", -np.inf, np.inf), ("int8", -128, 127), ("uint8", 0, 255), ("bool", False, True)],
)
def test_an_extreme_where_nothing_counts_is_the_end_of_the_dtype(
    dtype: str, least: float, most: float
) -> None:
    x, nothing = np.ones(3, dtype), np.zeros(3, bool)
    for name, end in (("min", most), ("max", least)):
        got = check(Written(name, (x,), {"where": nothing}))
        assert got == end


@pytest.mark.parametrize("name", MASKABLE)
def test_a_mask_is_of_truth_values_and_broadcasts_to_the_array(name: str) -> None:
    array = ArrayMeta((3,), np.dtype("float64"))
    params = REGISTRY[name].bind(np.ones(3)).params
    with pytest.raises(DtypeError, match="where="):
        infer(name, [array, ArrayMeta((3,), np.dtype("int64"))], params)
    with pytest.raises(ShapeError):
        infer(name, [array, ArrayMeta((2, 3), np.dtype("bool"))], params)


@pytest.mark.parametrize("name", ["mean", "var", "std"])
def test_an_average_of_nothing_warns_nobody(name: str) -> None:
    x, nothing = np.ones(3), np.zeros(3, bool)
    call = REGISTRY[name].bind(x, where=nothing)
    assert np.isnan(compute(name, call.operands, call.params))  # warnings are errors here


# --- indices ----------------------------------------------------------------------------------

MATRIX = np.arange(6).reshape(2, 3)


@pytest.mark.parametrize(
    ("index", "shape"),
    [
        ((), (2, 3)),
        ((0,), (3,)),
        ((-1, -3), ()),
        ((None, ..., None), (1, 2, 3, 1)),
        ((..., 1), (2,)),
        ((0, 1, ...), ()),
        (slice(None, None, -2), (1, 3)),
        ((slice(5, None), slice(-9, 9)), (0, 3)),
        (slice(-(2**63), 2**63 - 1, 2**63 - 1), (1, 3)),
        ((None,) * (MAX_DIMS - 2), (1,) * (MAX_DIMS - 2) + (2, 3)),
        ([1, 1, 0, -1], (4, 3)),
        ([], (0, 3)),
        ((slice(None), [2, 0]), (2, 2)),
        (([0, 1], [2, 2]), (2,)),
        (([[0], [1]], [0, 2]), (2, 2)),
        ((None, [0], slice(None), 0), None),
        ((0, slice(1), [1]), None),
        ((np.array([1], np.uint8), None, 0), (1, 1)),
        (np.array([[True, False, True], [False, False, True]]), (3,)),
        ((slice(None), np.array([True, False, True])), (2, 2)),
        (np.array([False, False]), (0, 3)),
        (np.int8(1), (3,)),
    ],
)
def test_an_index_gives_this_shape(index: Any, shape: tuple[int, ...] | None) -> None:
    result = check_values("getitem", MATRIX, index)
    assert shape is None or (result is not None and result.shape == shape)


@pytest.mark.parametrize(
    "index",
    [
        *((2,), (-3,), (0, 3), (0, -4), (0, 0, 0), (0, 0, ..., 0), (..., ...)),
        *(slice(None, None, 0), True, False, (0, True), 1.0, "x", "", "...", 2**70, -(2**70)),
        *((None,) * (MAX_DIMS - 1), [2], [-3], ([0], [3]), [0.0], ["a"], [[0], [2]]),
        *(np.array([True]), np.ones((2, 2), bool), np.ones((2, 3, 1), bool), np.True_),
        *(([0, 1], [0, 1, 2]), ([0], [0], [0]), np.zeros(1), {1}),
    ],
)
def test_an_index_that_is_not_there_is_refused(index: Any) -> None:
    with pytest.raises((RemoteIndexError, ShapeError)):
        prepared(Written("getitem", (MATRIX, index)))


@pytest.mark.parametrize(
    "params",
    [(True,), (1.0,), ("x",), ((0, 1),), ((),), ("positions",), ("...", "...")],
)
def test_an_index_that_no_client_writes_is_refused(params: Params) -> None:
    with pytest.raises(RemoteIndexError):
        infer("getitem", [meta_of(MATRIX)], params)


def test_positions_are_public_and_of_integers() -> None:
    array = ArrayMeta((3,), np.dtype("float64"))
    index = ArrayMeta((2,), np.dtype("int64"))
    public = index._replace(is_literal=True)
    assert infer("getitem", [array, public], ("positions",)).shape == (2,)
    with pytest.raises(UnsupportedRemoteOpError, match=r"make the shape private.*where"):
        infer("getitem", [array, index], ("positions",))
    for dtype in ("bool", "float64"):
        with pytest.raises(RemoteIndexError, match=dtype):
            infer("getitem", [array, public._replace(dtype=np.dtype(dtype))], ("positions",))


def test_positions_without_a_place_in_the_index_are_refused() -> None:
    public = ArrayMeta((2,), np.dtype("int64"), is_literal=True)
    with pytest.raises(RemoteIndexError, match="missing"):
        infer("getitem", [meta_of(MATRIX), public], (0,))


def test_a_result_is_private_whatever_it_is_made_of() -> None:
    private = ArrayMeta((2,), np.dtype("int64"))
    public = private._replace(is_literal=True)
    assert not infer("add", [private, public], ()).is_literal
    assert not infer("add", [public, private], ()).is_literal
    for name in ("copy", "ravel"):
        assert not infer(name, [public], ()).is_literal


@pytest.fixture
def empty_caches() -> None:
    """A cache that is full of one test's entries could hide what another one looks for."""
    for function in (
        *(shapes.reduce, shapes.axes, shapes.broadcast, shapes.matmul),
        *(indexing._shape_after, elementwise._meta, elementwise._dtype_to_the_power),
    ):
        function.cache_clear()


@pytest.mark.usefixtures("empty_caches")
@pytest.mark.parametrize("order", [1, -1])
def test_true_is_not_one_whichever_was_asked_first(order: int) -> None:
    for item in [1, True, 1.0, 0, False, 0.0][::order]:
        if type(item) is int:
            assert infer("getitem", [meta_of(MATRIX)], (item,)).shape == (3,)
        else:
            with pytest.raises(RemoteIndexError):
                infer("getitem", [meta_of(MATRIX)], (item,))


@pytest.mark.usefixtures("empty_caches")
@pytest.mark.parametrize("name", ["sum", "mean", "argmax"])
@pytest.mark.parametrize("order", [1, -1])
def test_an_axis_is_a_number_and_keepdims_a_truth_value(name: str, order: int) -> None:
    cases: list[tuple[Params, bool]] = [
        ((1, True), True),
        ((1, 1), False),
        ((True, True), False),
        ((1.0, True), False),
        ((0, False), True),
        ((0, 0), False),
        ((False, False), False),
    ]
    for params, is_right in cases[::order]:
        if is_right:
            assert len(infer(name, [meta_of(MATRIX)], params).shape) == 1 + bool(params[1])
        else:
            with pytest.raises(RemoteProtocolError):
                infer(name, [meta_of(MATRIX)], params)


@pytest.mark.usefixtures("empty_caches")
@pytest.mark.parametrize("order", [1, -1])
def test_a_number_and_the_truth_value_that_equals_it_have_their_own_dtypes(order: int) -> None:
    meta = ArrayMeta((1,), np.dtype(bool))
    cases = [("add", 1, "int64"), ("add", True, "bool"), ("add", 1.0, "float64")]
    cases += [("power", 1, "bool"), ("power", 1.0, "float64")]
    for name, number, _ in cases[::order]:
        expected = expected_of(Written(name, (np.ones(1, bool), number)))
        assert expected is not None
        assert infer(name, [meta, number], ()).dtype == expected.dtype


@pytest.mark.parametrize("name", ["sum", "mean", "var", "min", "argmin", "cumsum"])
def test_a_number_has_no_axis(name: str) -> None:
    for axis in (0, -1):
        call = REGISTRY[name].bind(np.ones(()), axis)
        with pytest.raises(RemoteIndexError, match=f"axis {axis}"):
            infer(name, metas_of(call), call.params)


# --- requests that are no requests ------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "nearest"),
    [("ad", "add"), ("matmull", "matmul"), ("summ", "sum"), ("transposed", "transpose")],
)
def test_an_unknown_operation_names_the_nearest(name: str, nearest: str) -> None:
    with pytest.raises(UnsupportedRemoteOpError, match=f"nearest one is {nearest}$") as caught:
        operation_named(name)
    assert (caught.value.operation, caught.value.nearest) == (name, nearest)


@pytest.mark.parametrize("name", ["", "__class__", "x" * 1000, "é", "os.system", "mod"])
def test_any_other_name_is_refused_too(name: str) -> None:
    with pytest.raises(UnsupportedRemoteOpError) as caught:
        infer(name, [meta_of(MATRIX)], ())
    assert caught.value.nearest
    assert len(caught.value.operation) <= 40


@pytest.mark.parametrize("name", sorted(REGISTRY))
@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, MAX_INPUTS + 1])
def test_a_wrong_number_of_operands_breaks_the_protocol(name: str, count: int) -> None:
    if count not in REGISTRY[name].arity:
        with pytest.raises(RemoteProtocolError, match=f"does not take {count} operands"):
            infer(name, [meta_of(MATRIX)] * count, ())


Anything = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**64 - 1),
    st.floats(),
    st.sampled_from(["...", "positions", "float32", "object", "", "x" * 16]),
    st.builds(
        Slice, st.integers() | st.none(), st.integers() | st.none(), st.integers() | st.none()
    ),
    st.lists(st.integers(-(2**40), 2**40), max_size=4).map(tuple),
)

Likely = st.one_of(
    st.just(()),
    st.tuples(axes),
    st.tuples(axes, st.booleans()),
    st.tuples(axes, st.booleans(), st.integers(-1, 2) | st.floats()),
    st.tuples(st.booleans(), st.booleans()),
    st.tuples(st.sampled_from(sorted(DTYPES))),
)


@st.composite
def claimed(draw: st.DrawFn) -> Operand:
    """Operands as a hostile client may claim them: of any shape that a header may have."""
    if draw(st.booleans()):
        return draw(numbers)
    sizes = st.sampled_from([0, 1, 2, 3, 2**20, MAX_ELEMENTS])
    shape = tuple(draw(st.lists(sizes, max_size=4)))
    return ArrayMeta(shape, DTYPES[draw(st.sampled_from(sorted(DTYPES)))], draw(st.booleans()))


@given(name=st.sampled_from(sorted(REGISTRY)), data=st.data())
def test_whatever_a_hostile_client_sends_is_refused_or_has_a_shape(
    name: str, data: st.DataObject
) -> None:
    arity = REGISTRY[name].arity
    count = data.draw(st.integers(0, 5) | st.integers(arity.start, min(arity.stop - 1, 5)))
    operands = [data.draw(claimed()) for _ in range(count)]
    params = data.draw(Likely | st.lists(Anything, max_size=4).map(tuple))
    try:
        meta = infer(name, operands, params)
    except P2PGridError:
        return
    assert len(meta.shape) <= MAX_DIMS
    assert meta.dtype.name in DTYPES
    assert not meta.is_literal
    assert meta.nbytes >= 0


# --- shapes that nobody has -------------------------------------------------------------------


def huge(*shape: int) -> ArrayMeta:
    return ArrayMeta(shape, np.dtype("float64"))


@pytest.mark.parametrize(
    ("name", "operands", "params"),
    [
        ("add", [huge(MAX_ELEMENTS, 1, 0), huge(2, 0)], ()),
        ("multiply", [huge(MAX_ELEMENTS, 1), huge(1, MAX_ELEMENTS)], ()),
        ("where", [huge(MAX_ELEMENTS, 1, 1), huge(1, MAX_ELEMENTS, 1), 0], ()),
        ("matmul", [huge(MAX_ELEMENTS, 0), huge(0, 2)], ()),
        ("matmul", [huge(2, 1, 0, 0), huge(1, MAX_ELEMENTS, 0, 0)], ()),
        ("dot", [huge(MAX_ELEMENTS, 0), huge(0, MAX_ELEMENTS)], ()),
        ("reshape", [huge(2, 0)], ((0, MAX_ELEMENTS, 2),)),
        ("reshape", [huge(1)], ((1,) * (MAX_DIMS + 1),)),
        ("reshape", [huge(4)], ((2**32, 2**32),)),
        ("reshape", [huge(0)], ((-1, 0),)),
        ("reshape", [huge(4)], ((-2, -2),)),
        ("reshape", [huge(4)], ((-1, -1),)),
        ("expand_dims", [huge(*(1,) * MAX_DIMS)], (0,)),
        ("stack", [huge(*(1,) * MAX_DIMS)] * 2, (0,)),
        ("stack", [huge(MAX_ELEMENTS, 0)] * 2, (0,)),
        ("concatenate", [huge(MAX_ELEMENTS, 0)] * 2, (0,)),
        ("concatenate", [huge(2), huge()], (0,)),
        ("concatenate", [huge(2, 2), huge(2)], (1,)),
        ("concatenate", [huge(MAX_ELEMENTS)] * 2, (None,)),
    ],
)
def test_a_shape_that_numpy_cannot_hold_is_refused(
    name: str, operands: list[Operand], params: Params
) -> None:
    with pytest.raises(ShapeError):
        infer(name, operands, params)


def test_positions_cannot_make_a_shape_that_numpy_cannot_hold() -> None:
    many = ArrayMeta((2**20, 2**20), np.dtype("int8"), is_literal=True)
    with pytest.raises(ShapeError):
        infer("getitem", [huge(2, 2), many], ("positions",))


def test_more_arrays_than_a_message_carries_are_not_joined() -> None:
    with pytest.raises(TooLargeError, match="64"):
        REGISTRY["concatenate"].bind([MATRIX] * (MAX_INPUTS + 1))


def test_bytes_of_a_result_are_exact() -> None:
    assert infer("matmul", [huge(MAX_ELEMENTS, 0), huge(0, 1)], ()).nbytes == 8 * MAX_ELEMENTS
    assert infer("add", [huge(MAX_ELEMENTS, 0), 1], ()).nbytes == 0


@given(given_shapes=st.lists(array_shapes, min_size=1, max_size=4))
def test_the_rule_of_broadcasting_is_numpys(given_shapes: list[tuple[int, ...]]) -> None:
    try:
        expected = np.broadcast_shapes(*given_shapes)
    except ValueError:
        with pytest.raises(ShapeError, match="add"):
            shapes.broadcast("add", *given_shapes)
    else:
        assert shapes.broadcast("add", *given_shapes) == expected


@given(shape=array_shapes)
def test_elements_are_counted_as_numpy_counts_them(shape: tuple[int, ...]) -> None:
    assert shapes.elements(shape) == np.empty(shape).size
