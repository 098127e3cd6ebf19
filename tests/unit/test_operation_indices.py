"""Indices: the shapes that they give, and what is refused."""

from typing import Any

import numpy as np
import pytest

from p2pgrid.errors import RemoteIndexError, ShapeError, UnsupportedRemoteOpError
from p2pgrid.protocol.arrays import MAX_DIMS
from p2pgrid.protocol.operations import ArrayMeta, Params, infer
from tests.programs import Written
from tests.unit.operations import MATRIX, check_values, meta_of, prepared


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
