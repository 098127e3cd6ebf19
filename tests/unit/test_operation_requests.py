"""Requests as nobody writes them: wrong kinds, names, counts and sizes of things."""

import numpy as np
import pytest
from hypothesis import given, strategies as st

from p2pgrid.errors import (
    P2PGridError,
    RemoteIndexError,
    RemoteProtocolError,
    ShapeError,
    TooLargeError,
    UnsupportedRemoteOpError,
)
from p2pgrid.protocol import shapes
from p2pgrid.protocol.arrays import DTYPES, MAX_DIMS, MAX_ELEMENTS
from p2pgrid.protocol.messages import MAX_INPUTS, Slice
from p2pgrid.protocol.operations import (
    REGISTRY,
    ArrayMeta,
    Operand,
    Params,
    elementwise,
    indexing,
    infer,
    operation_named,
)
from tests.programs import Written, array_shapes, axes, expected_of, numbers
from tests.unit.operations import MATRIX, meta_of, metas_of


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
