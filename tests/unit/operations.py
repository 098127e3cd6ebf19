"""Operations as tests call them: inferred first, then computed."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from p2pgrid.errors import DtypeError, RemoteIndexError, ShapeError
from p2pgrid.protocol.arrays import Array, dtype_named
from p2pgrid.protocol.operations import REGISTRY, ArrayMeta, Call, Operand, Params, infer
from tests.programs import Written, assert_same, expected_of, is_stricter, sample

Value = Array | int | float | bool

REFUSALS = (ShapeError, DtypeError, RemoteIndexError)
MATRIX = np.arange(6).reshape(2, 3)


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
