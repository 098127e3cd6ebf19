"""The registry agrees with numpy: in shape and dtype beforehand, and in every value."""

import operator
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st

from p2pgrid.errors import (
    DtypeError,
    RemoteIndexError,
    RemoteProtocolError,
    ShapeError,
    UnsupportedRemoteOpError,
)
from p2pgrid.protocol import shapes
from p2pgrid.protocol.arrays import DTYPES, MAX_DIMS, MAX_ELEMENTS, Array
from p2pgrid.protocol.messages import Slice
from p2pgrid.protocol.operations import (
    REGISTRY,
    VIEWS,
    ArrayMeta,
    Operand,
    Params,
    infer,
    operation_named,
)

Value = Array | int | float | bool

REFUSALS = (ShapeError, DtypeError, RemoteIndexError)
NUMPY_ERRORS = (ValueError, TypeError, IndexError, ArithmeticError)
UFUNCS = {"add": np.add, "sub": np.subtract, "mul": np.multiply, "truediv": np.true_divide}
IN_PLACE: dict[str, Callable[[Any, Any], Any]] = {
    "iadd": operator.iadd,
    "isub": operator.isub,
    "imul": operator.imul,
    "itruediv": operator.itruediv,
}
BINARY = sorted({*UFUNCS, *IN_PLACE, "matmul"})
REDUCTIONS = ["mean", "sum"]


def index_of(params: Params) -> tuple[Any, ...]:
    """The Python index that parameters of ``getitem`` stand for."""
    return tuple(
        slice(item.start, item.stop, item.step)
        if isinstance(item, Slice)
        else ...
        if isinstance(item, str)
        else item
        for item in params
    )


def in_place(name: str, left: Any, right: Any) -> Array:
    if not isinstance(left, np.ndarray):
        raise TypeError("a number cannot be changed")
    changed = left.copy()
    IN_PLACE[name](changed, right)
    return np.asarray(changed)


def by_numpy(name: str, values: Sequence[Any], params: Params) -> Array:
    """What numpy itself makes of it, written without the registry."""
    if name in UFUNCS:
        return np.asarray(UFUNCS[name](*values))
    if name in IN_PLACE:
        return in_place(name, *values)
    array = values[0]
    others: dict[str, Callable[[], Any]] = {
        "matmul": lambda: operator.matmul(*values),
        "sum": lambda: array.sum(axis=params[0], keepdims=params[1]),
        "mean": lambda: array.mean(axis=params[0], keepdims=params[1]),
        "getitem": lambda: array[index_of(params)],
        "transpose": lambda: array.T,
        "copy": lambda: np.copy(array),
    }
    return np.asarray(others[name]())


def quietly(function: Callable[..., Array], *args: Any) -> Array:
    """Calls it as the store does: overflow and division by zero are results, not events."""
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Mean of empty slice|invalid value", RuntimeWarning)
        return function(*args)


def compute(name: str, values: Sequence[Value], params: Params) -> Array:
    return quietly(REGISTRY[name].compute, values, params)


def expected_of(name: str, values: Sequence[Value], params: Params) -> Array | None:
    """Numpy's result, or None when numpy refuses."""
    try:
        return quietly(by_numpy, name, values, params)
    except NUMPY_ERRORS:
        return None


def meta_of(value: Value) -> Operand:
    return ArrayMeta(value.shape, value.dtype) if isinstance(value, np.ndarray) else value


def check(name: str, values: Sequence[Value], params: Params = ()) -> Array | None:
    """Compares rule and function of one operation with numpy; its result, if it has one."""
    metas = [meta_of(value) for value in values]
    before = [value.copy() if isinstance(value, np.ndarray) else value for value in values]
    expected = expected_of(name, values, params)
    if expected is None or is_stricter(name, values, params):
        with pytest.raises(REFUSALS):
            infer(name, metas, params)
        return None
    meta = infer(name, metas, params)
    assert (meta.shape, meta.dtype) == (expected.shape, expected.dtype)
    result = compute(name, values, params)
    assert type(result) is np.ndarray
    assert_same(result, expected)
    for value, kept in zip(values, before, strict=True):
        np.testing.assert_array_equal(value, kept)
    return result


def assert_same(got: Array, expected: Array) -> None:
    assert (got.shape, got.dtype) == (expected.shape, expected.dtype)
    np.testing.assert_array_equal(got, expected)
    if got.dtype.kind == "f":  # -0.0 equals 0.0, but is not the same
        number = ~np.isnan(expected)
        np.testing.assert_array_equal(np.signbit(got)[number], np.signbit(expected)[number])


def is_stricter(name: str, values: Sequence[Value], params: Params) -> bool:
    """What numpy lets pass and the registry does not, by a rule in its documentation."""
    if name in REDUCTIONS:
        return np.ndim(values[0]) == 0 and params[0] is not None
    return name == "getitem" and any(isinstance(item, bool) for item in params)


# --- strategies -------------------------------------------------------------------------------

dims = st.integers(0, 3)
array_shapes = st.lists(dims, max_size=4).map(tuple)


@st.composite
def arrays(draw: st.DrawFn, like: Array | None = None) -> Array:
    """Small numbers, or any bits: NaN, infinities, extremes; often of a shape that fits."""
    dtype = DTYPES[draw(st.sampled_from(sorted(DTYPES)))]
    shape = draw(array_shapes) if like is None else draw(fitting(like.shape))
    numbers = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    if draw(st.booleans()):
        return numbers.integers(0 if dtype.kind in "ub" else -3, 4, shape).astype(dtype)
    bits = numbers.integers(0, 256, (*shape, dtype.itemsize), np.uint8)
    array = (bits & 1 if dtype.kind == "b" else bits).view(dtype).reshape(shape)
    return array.T if draw(st.booleans()) else array


def fitting(shape: tuple[int, ...]) -> st.SearchStrategy[tuple[int, ...]]:
    """Shapes that broadcast with this one, those that multiply with it, and any."""
    narrowed = st.tuples(*(st.sampled_from([size, 1]) for size in shape))
    cut = st.integers(0, len(shape)).map(lambda start: shape[start:])
    grown = st.lists(dims, max_size=2).map(lambda more: (*more, *shape))
    product = st.lists(dims, max_size=1).map(lambda more: (*shape[:-2], *shape[-1:], *more))
    return st.one_of(narrowed, cut, grown, product, array_shapes)


BORDERS = [2**bits + off for bits in (7, 8, 15, 16, 31, 32, 63, 64, 1023, 1024) for off in (-1, 0)]
numbers = st.one_of(
    st.integers(-5, 5),
    st.sampled_from([sign * border for border in BORDERS for sign in (1, -1)]),
    st.floats(),
    st.floats(width=16),
    st.booleans(),
)


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Value, Value]:
    left = draw(arrays())
    right: Value = draw(st.one_of(arrays(like=left), numbers))
    return (right, left) if draw(st.booleans()) else (left, right)


steps = st.integers(-3, 3) | st.none()
slices = st.builds(Slice, st.integers(-5, 5) | st.none(), st.integers(-5, 5) | st.none(), steps)
far = st.sampled_from([2**63 - 1, -(2**63), 2**31])
items = st.one_of(
    st.integers(-4, 4), st.none(), st.just("..."), slices, st.builds(Slice, far, far, far), far
)
indices = st.lists(items, max_size=6).map(tuple)
axes = st.none() | st.integers(-5, 5)


# --- one operation against numpy --------------------------------------------------------------


def test_every_operation_is_compared_with_numpy() -> None:
    compared = {*BINARY, *REDUCTIONS, "getitem", "transpose", "copy"}
    assert compared == set(REGISTRY)


@pytest.mark.parametrize("name", BINARY)
@given(values=pairs())
def test_an_operation_on_two_operands_is_numpys(name: str, values: tuple[Value, Value]) -> None:
    check(name, values)


@pytest.mark.parametrize("name", REDUCTIONS)
@given(array=arrays(), axis=axes, keepdims=st.booleans())
def test_a_reduction_is_numpys(name: str, array: Array, axis: int | None, keepdims: bool) -> None:
    check(name, [array], (axis, keepdims))


@given(array=arrays(), params=indices)
def test_an_index_is_numpys(array: Array, params: Params) -> None:
    check("getitem", [array], params)


@given(array=arrays())
def test_transpose_and_copy_are_numpys(array: Array) -> None:
    check("transpose", [array])
    copied = check("copy", [array])
    assert copied is not None
    assert not np.shares_memory(copied, array)


@pytest.mark.parametrize("name", sorted(UFUNCS))
@given(left=numbers, right=numbers)
def test_two_numbers_give_what_numpy_gives(name: str, left: Value, right: Value) -> None:
    check(name, [left, right])


@pytest.mark.parametrize("name", sorted(VIEWS))
def test_a_view_shares_the_memory_of_its_operand(name: str) -> None:
    array = np.arange(6).reshape(2, 3)
    params: Params = (Slice(1),) if name == "getitem" else ()
    assert np.shares_memory(compute(name, [array], params), array)


@pytest.mark.parametrize("name", sorted(set(REGISTRY) - VIEWS))
def test_what_is_no_view_shares_no_memory(name: str) -> None:
    array = np.ones((2, 2))
    values = [array] * REGISTRY[name].arity
    params: Params = (None, False) if name in REDUCTIONS else ()
    assert not np.shares_memory(compute(name, values, params), array)


def test_an_in_place_form_leaves_the_array_of_the_owner_alone() -> None:
    array = np.zeros(3, np.float32)
    array.flags.writeable = False
    result = check("iadd", [array, np.arange(3.0)])
    assert result is not None
    assert result.dtype == np.float32
    assert result.tolist() == [0, 1, 2]
    assert not array.any()


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (np.zeros(1), np.zeros(3)),
        (np.zeros(3, np.int8), np.zeros(3, np.float32)),
        (np.zeros(3, np.uint8), np.zeros(3, np.int8)),
        (np.zeros(3, np.int64), 1.5),
        (3, np.zeros(3)),
        (np.zeros(3, np.uint8), -1),
    ],
)
def test_an_in_place_form_keeps_shape_and_dtype_or_is_refused(left: Value, right: Value) -> None:
    with pytest.raises((ShapeError, DtypeError)):
        infer("iadd", [meta_of(left), meta_of(right)], ())
    assert check("iadd", [left, right]) is None


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
        got = check("add", values)
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
    for name in ("add", "iadd"):
        with pytest.raises(DtypeError, match="out of its range"):
            infer(name, [meta, number], ())
    assert check("mul", [np.ones(2, dtype), number]) is None


def test_an_integer_too_large_for_a_float_is_refused_where_integers_are_divided() -> None:
    assert check("truediv", [np.ones(2, np.int8), 10**400]) is None
    assert check("truediv", [np.ones(2, np.int8), 300]) is not None


# --- indices ----------------------------------------------------------------------------------

MATRIX = np.arange(6).reshape(2, 3)


@pytest.mark.parametrize(
    ("params", "shape"),
    [
        ((), (2, 3)),
        ((0,), (3,)),
        ((-1, -3), ()),
        ((None, "...", None), (1, 2, 3, 1)),
        (("...", 1), (2,)),
        ((0, 1, "..."), ()),
        ((Slice(None, None, -2),), (1, 3)),
        ((Slice(5), Slice(-9, 9)), (0, 3)),
        ((Slice(-(2**63), 2**63 - 1, 2**63 - 1),), (1, 3)),
        ((None,) * (MAX_DIMS - 2), (1,) * (MAX_DIMS - 2) + (2, 3)),
    ],
)
def test_an_index_gives_this_shape(params: Params, shape: tuple[int, ...]) -> None:
    result = check("getitem", [MATRIX], params)
    assert result is not None
    assert result.shape == shape


@pytest.mark.parametrize(
    "params",
    [
        *((2,), (-3,), (0, 3), (0, -4), (0, 0, 0), (0, 0, "...", 0), ("...", "...")),
        *((Slice(None, None, 0),), (True,), (False,), (0, True), (1.0,), ("x",), ("",)),
        *(((0, 1),), ((),), (2**70,), (-(2**70),), (None,) * (MAX_DIMS - 1)),
    ],
)
def test_an_index_that_is_not_there_is_refused(params: Params) -> None:
    with pytest.raises(RemoteIndexError):
        infer("getitem", [meta_of(MATRIX)], params)


@pytest.fixture
def empty_caches() -> None:
    """A cache that is full of one test's entries could hide what another one looks for."""
    for function in (shapes.index, shapes.reduce, shapes.broadcast, shapes.matmul):
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
@pytest.mark.parametrize("name", REDUCTIONS)
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
def test_a_number_and_the_truth_value_that_equals_it_have_their_own_dtypes() -> None:
    meta = ArrayMeta((1,), np.dtype(bool))
    for _ in range(2):
        assert infer("add", [meta, 1], ()).dtype == np.int64
        assert infer("add", [meta, True], ()).dtype == np.bool_
        assert infer("add", [meta, 1.0], ()).dtype == np.float64


@pytest.mark.parametrize("name", REDUCTIONS)
def test_a_number_has_no_axis(name: str) -> None:
    meta = ArrayMeta((), np.dtype("float64"))
    assert infer(name, [meta], (None, True)).shape == ()
    for axis in (0, -1):
        with pytest.raises(RemoteIndexError, match=f"axis {axis}"):
            infer(name, [meta], (axis, False))


# --- requests that are no requests ------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "nearest"),
    [("ad", "add"), ("matmull", "matmul"), ("summ", "sum"), ("transposed", "transpose")],
)
def test_an_unknown_operation_names_the_nearest(name: str, nearest: str) -> None:
    with pytest.raises(UnsupportedRemoteOpError, match=f"nearest one is {nearest}$") as caught:
        operation_named(name)
    assert (caught.value.operation, caught.value.nearest) == (name, nearest)


@pytest.mark.parametrize("name", ["", "__class__", "x" * 1000, "é", "os.system"])
def test_any_other_name_is_refused_too(name: str) -> None:
    with pytest.raises(UnsupportedRemoteOpError) as caught:
        infer(name, [meta_of(MATRIX)], ())
    assert caught.value.nearest in REGISTRY
    assert len(caught.value.operation) <= 40


@pytest.mark.parametrize("name", sorted(REGISTRY))
@pytest.mark.parametrize("count", [0, 1, 2, 3, 8])
def test_a_wrong_number_of_operands_breaks_the_protocol(name: str, count: int) -> None:
    arity = REGISTRY[name].arity
    if count != arity:
        with pytest.raises(RemoteProtocolError, match=f"takes {arity} operands, got {count}"):
            infer(name, [meta_of(MATRIX)] * count, ())


@pytest.mark.parametrize("name", sorted(set(REGISTRY) - {*REDUCTIONS, "getitem"}))
@pytest.mark.parametrize("params", [(None,), (0, True), ("...",)])
def test_parameters_that_it_does_not_take_break_the_protocol(name: str, params: Params) -> None:
    square = ArrayMeta((2, 2), np.dtype("float64"))
    infer(name, [square] * REGISTRY[name].arity, ())
    with pytest.raises(RemoteProtocolError, match="takes no parameters"):
        infer(name, [square] * REGISTRY[name].arity, params)


@pytest.mark.parametrize("name", REDUCTIONS)
@pytest.mark.parametrize(
    "params", [(), (0,), (0, True, 0), ("0", True), (Slice(), True), ((0, 1), True), (0, None)]
)
def test_a_reduction_without_axis_and_keepdims_breaks_the_protocol(
    name: str, params: Params
) -> None:
    with pytest.raises(RemoteProtocolError, match="axis and keepdims"):
        infer(name, [meta_of(MATRIX)], params)


@pytest.mark.parametrize("name", [name for name in REGISTRY if REGISTRY[name].arity == 1])
@pytest.mark.parametrize("number", [1, 1.5, True])
def test_an_operation_on_one_array_takes_no_number(name: str, number: float) -> None:
    params: Params = (None, False) if name in REDUCTIONS else ()
    with pytest.raises(RemoteProtocolError, match="takes an array"):
        infer(name, [number], params)


# --- shapes that nobody has -------------------------------------------------------------------


def huge(*shape: int) -> ArrayMeta:
    return ArrayMeta(shape, np.dtype("float64"))


@pytest.mark.parametrize(
    ("name", "left", "right"),
    [
        ("add", huge(MAX_ELEMENTS, 1, 0), huge(2, 0)),
        ("mul", huge(MAX_ELEMENTS, 1), huge(1, MAX_ELEMENTS)),
        ("matmul", huge(MAX_ELEMENTS, 0), huge(0, 2)),
        ("matmul", huge(2, 1, 0, 0), huge(1, MAX_ELEMENTS, 0, 0)),
    ],
)
def test_empty_operands_cannot_make_a_shape_that_numpy_cannot_hold(
    name: str, left: ArrayMeta, right: ArrayMeta
) -> None:
    with pytest.raises(ShapeError):
        infer(name, [left, right], ())


def test_bytes_of_a_result_are_exact() -> None:
    assert infer("matmul", [huge(MAX_ELEMENTS, 0), huge(0, 1)], ()).nbytes == 8 * MAX_ELEMENTS
    assert infer("add", [huge(MAX_ELEMENTS, 0), 1], ()).nbytes == 0


@given(left=array_shapes, right=array_shapes)
def test_the_rule_of_broadcasting_is_numpys(left: tuple[int, ...], right: tuple[int, ...]) -> None:
    try:
        expected = np.broadcast_shapes(left, right)
    except ValueError:
        with pytest.raises(ShapeError, match="add"):
            shapes.broadcast("add", left, right)
    else:
        assert shapes.broadcast("add", left, right) == expected


@given(shape=array_shapes)
def test_elements_are_counted_as_numpy_counts_them(shape: tuple[int, ...]) -> None:
    assert shapes.elements(shape) == np.empty(shape).size


# --- programs ---------------------------------------------------------------------------------


def params_of(name: str, data: st.DataObject) -> Params:
    if name in REDUCTIONS:
        return data.draw(axes), data.draw(st.booleans())
    return data.draw(indices) if name == "getitem" else ()


@given(data=st.data())
def test_a_program_gives_what_numpy_gives(data: st.DataObject) -> None:
    first = data.draw(arrays())
    values: list[Array] = [first, data.draw(arrays(like=first)), data.draw(arrays(like=first))]
    metas = [ArrayMeta(value.shape, value.dtype) for value in values]
    kept = [value.copy() for value in values]
    for name in data.draw(st.lists(st.sampled_from(sorted(REGISTRY)), min_size=1, max_size=20)):
        params = params_of(name, data)
        picked = [data.draw(st.integers(0, len(values) - 1)) for _ in range(REGISTRY[name].arity)]
        result = check(name, [values[i] for i in picked], params)
        if result is not None and result.size <= 1000:
            metas.append(infer(name, [metas[i] for i in picked], params))
            values.append(result)
            kept.append(result.copy())
    for value, meta, original in zip(values, metas, kept, strict=True):
        assert ArrayMeta(value.shape, value.dtype) == meta
        assert_same(value, original)
