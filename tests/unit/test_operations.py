"""Every operation against numpy, and what each family promises beyond that."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from p2pgrid.errors import DtypeError, ShapeError
from p2pgrid.protocol.arrays import Array
from p2pgrid.protocol.operations import REGISTRY, ArrayMeta, infer
from tests.programs import MASKABLE, Written, a_call, arrays, assert_same, sample
from tests.unit.operations import (
    MATRIX,
    Value,
    check,
    check_values,
    compute,
    meta_of,
    metas_of,
    prepared,
)


@pytest.mark.parametrize("name", sorted(REGISTRY))
@settings(max_examples=settings().max_examples // 8)  # of each; there are many
@given(data=st.data())
def test_an_operation_is_numpys(name: str, data: st.DataObject) -> None:
    check(a_call(data.draw, name, lambda like: data.draw(arrays(like=like))))


def test_a_mask_that_does_not_fit_is_refused_also_where_there_are_no_keys() -> None:
    written = Written(
        "group_sum", (np.zeros(0), np.zeros(0), []), {"where": np.zeros((0, 0), bool)}
    )
    assert check(written) is None


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
