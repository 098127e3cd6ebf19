"""Operations that make one array of several: products of matrices, choices, joins."""

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from p2pgrid.errors import RemoteProtocolError, TooLargeError
from p2pgrid.protocol import shapes
from p2pgrid.protocol.arrays import Array
from p2pgrid.protocol.messages import MAX_INPUTS
from p2pgrid.protocol.operations.elementwise import resolved
from p2pgrid.protocol.operations.entry import (
    ArrayMeta,
    Call,
    Operand,
    Operation,
    Params,
    as_array_operand,
    check_travels,
    check_weak,
    fits,
    kind_of,
    no_params,
    only_arrays,
    probed_dtype,
    shape_of,
)
from p2pgrid.protocol.operations.reductions import axis_param


def _matmul_rule(operands: Sequence[Operand], params: Params) -> ArrayMeta:
    no_params("matmul", params)
    dtype = resolved(np.matmul, *map(kind_of, operands))[-1]
    left, right = map(shape_of, operands)
    return ArrayMeta(shapes.matmul(left, right), dtype)


def _matmul(values: Sequence[Any], _: Params) -> Array:
    return np.asarray(operator.matmul(*values))


def _bind_matmul(x: Any, y: Any) -> Call:
    """``numpy.matmul``: the product of matrices, or of stacks of them."""
    return Call((x, y))


def _dot_rule(operands: Sequence[Operand], params: Params) -> ArrayMeta:
    no_params("dot", params)
    left, right = only_arrays("dot", operands)
    dtype = probed_dtype("dot", np.dot, left.dtype, right.dtype)
    return ArrayMeta(shapes.dot(left.shape, right.shape), dtype)


def _dot(values: Sequence[Any], _: Params) -> Array:
    return np.asarray(np.dot(*values))


def _bind_dot(x: Any, y: Any) -> Call:
    """``numpy.dot``: the product over the last axis of one and the last but one of the other."""
    return Call((as_array_operand(x), as_array_operand(y)))


def _promoted(name: str, operands: Sequence[Operand]) -> Any:
    """The dtype that holds all operands; Python numbers are weakly typed and have to fit."""
    kinds = map(kind_of, operands)
    dtype = np.result_type(*(kind(1) if isinstance(kind, type) else kind for kind in kinds))
    check_weak(name, operands, dtype)
    return dtype


def _where_rule(operands: Sequence[Operand], params: Params) -> ArrayMeta:
    """As in numpy, but an integer that does not fit is refused, as elsewhere, not wrapped."""
    no_params("where", params)
    dtype = _promoted("where", operands[1:])
    return ArrayMeta(shapes.broadcast("where", *map(shape_of, operands)), dtype)


def _where(values: Sequence[Any], _: Params) -> Array:
    return np.asarray(np.where(*values))


def _bind_where(condition: Any, x: Any, y: Any) -> Call:
    """``numpy.where``: elements of ``x`` where the condition is true, of ``y`` elsewhere."""
    return Call((condition, x, y))


def _clip_bounds(operands: Sequence[Operand], params: Params) -> tuple[Operand, ...]:
    """The lower and the upper bound, as far as they are given."""
    match params:
        case (bool() as has_min, bool() as has_max) if has_min + has_max == len(operands) - 1 > 0:
            return tuple(operands[1:])
        case _:
            raise RemoteProtocolError("clip takes an array and one or two bounds, and says which")


def _clip_rule(operands: Sequence[Operand], params: Params) -> ArrayMeta:
    (array,) = only_arrays("clip", operands[:1])
    bounds = _clip_bounds(operands, params)
    check_travels("clip", operands)
    for number, bound in enumerate(bounds):
        is_lower = params[0] is True and number == 0
        if not _bounds_nothing(bound, array, is_lower=is_lower):
            check_weak("clip", (bound,), _promoted_clip(array, bounds))
    shape = shapes.broadcast("clip", *map(shape_of, operands))
    return ArrayMeta(shape, _promoted_clip(array, bounds))


def _promoted_clip(array: ArrayMeta, bounds: Sequence[Operand]) -> Any:
    return probed_dtype("clip", _probe_clip, array.dtype, *map(kind_of, bounds))


def _probe_clip(x: Any, low: Any, high: Any = None) -> Any:
    return np.clip(x, low, high)


def _bounds_nothing(bound: Operand, array: ArrayMeta, *, is_lower: bool) -> bool:
    """A Python integer beyond the end of an integer dtype is no bound there."""
    if type(bound) is not int or array.dtype.kind not in "iu" or fits(bound, array.dtype):
        return False
    return (bound < 0) == is_lower


def _clip(values: Sequence[Any], params: Params) -> Array:
    bounds = iter(values[1:])
    low, high = (next(bounds) if is_given else None for is_given in params)
    return np.asarray(np.clip(values[0], low, high))


def _bind_clip(
    x: Any,
    a_min: Any = None,
    a_max: Any = None,
    *,
    min: Any = None,  # noqa: A002
    max: Any = None,  # noqa: A002
) -> Call:
    """``numpy.clip``: no less than one bound, no more than the other; one may be None."""
    low, high = (a_min if min is None else min), (a_max if max is None else max)
    bounds = tuple(bound for bound in (low, high) if bound is not None)
    return Call((as_array_operand(x), *bounds), (low is not None, high is not None))


def _torch_clamp(input: Any, min: Any = None, max: Any = None) -> Call:  # noqa: A002
    return _bind_clip(input, min, max)


def _concatenate_rule(operands: Sequence[Operand], params: Params) -> ArrayMeta:
    arrays = only_arrays("concatenate", operands)
    axis = _axis("concatenate", params)
    shape = shapes.concatenate(tuple(array.shape for array in arrays), axis)
    return ArrayMeta(shape, np.result_type(*(array.dtype for array in arrays)))


def _concatenate(values: Sequence[Any], params: Params) -> Array:
    return np.concatenate(values, axis=_axis("concatenate", params))


def _stack_rule(operands: Sequence[Operand], params: Params) -> ArrayMeta:
    arrays = only_arrays("stack", operands)
    axis = _axis("stack", params)
    if axis is None:
        raise RemoteProtocolError("stack takes an axis")
    shape = shapes.stack(tuple(array.shape for array in arrays), axis)
    return ArrayMeta(shape, np.result_type(*(array.dtype for array in arrays)))


def _stack(values: Sequence[Any], params: Params) -> Array:
    return np.stack(values, axis=operator.index(params[0]))  # type: ignore[arg-type]


def _axis(name: str, params: Params) -> int | None:
    match params:
        case (int() | None as axis,) if not isinstance(axis, bool):
            return axis
        case _:
            raise RemoteProtocolError(f"{name} takes one axis")


def _joined(arrays: Sequence[Any], axis: Any) -> Call:
    if len(arrays) > MAX_INPUTS:
        raise TooLargeError(what="number of arrays to join", size=len(arrays), limit=MAX_INPUTS)
    return Call(tuple(map(as_array_operand, arrays)), (axis_param(axis),))


def _bind_concatenate(arrays: Sequence[Any], axis: Any = 0) -> Call:
    """``numpy.concatenate``: arrays joined along an axis, or flat for None."""
    return _joined(arrays, axis)


def _bind_stack(arrays: Sequence[Any], axis: Any = 0) -> Call:
    """``numpy.stack``: equal arrays joined along a new axis."""
    return _joined(arrays, axis)


def _torch_join(tensors: Sequence[Any], dim: Any = 0) -> Call:
    return _joined(tensors, dim)


OPERATIONS = (
    Operation(
        "matmul",
        range(2, 3),
        _matmul_rule,
        _matmul,
        _bind_matmul,
        torch=dict.fromkeys(("matmul", "mm", "mv", "bmm", "dot"), _bind_matmul),
    ),
    Operation("dot", range(2, 3), _dot_rule, _dot, _bind_dot),
    Operation(
        "where",
        range(3, 4),
        _where_rule,
        _where,
        _bind_where,
        torch={"where": _bind_where},
        is_method=False,
    ),
    Operation(
        "clip",
        range(2, 4),
        _clip_rule,
        _clip,
        _bind_clip,
        torch={"clip": _torch_clamp, "clamp": _torch_clamp},
    ),
    Operation(
        "concatenate",
        range(1, MAX_INPUTS + 1),
        _concatenate_rule,
        _concatenate,
        _bind_concatenate,
        aliases=("concat",),
        torch=dict.fromkeys(("cat", "concat", "concatenate"), _torch_join),
        is_method=False,
    ),
    Operation(
        "stack",
        range(1, MAX_INPUTS + 1),
        _stack_rule,
        _stack,
        _bind_stack,
        torch={"stack": _torch_join},
        is_method=False,
    ),
)
