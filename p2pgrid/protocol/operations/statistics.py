"""Means, variances and quantiles.

The formulas of mean and variance are numpy's, step by step. Numpy's own functions would also write
a warning where nothing is left to average; with a private mask that warning, in the log of the
node, would depend on values.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from p2pgrid.errors import RemoteProtocolError, ShapeError
from p2pgrid.protocol import shapes
from p2pgrid.protocol.arrays import Array
from p2pgrid.protocol.operations.entry import (
    ArrayMeta,
    Call,
    Dtype,
    Operand,
    Operation,
    Params,
    only_arrays,
    probed_dtype,
)
from p2pgrid.protocol.operations.reductions import (
    axis_and_keepdims,
    axis_param,
    check_mask,
    reduction,
    torch_reduction,
    with_mask,
)
from p2pgrid.protocol.shapes import Axis

_sum: Callable[..., Any] = np.add.reduce
_HALF, _SINGLE, _DOUBLE = map(np.dtype, ("float16", "float32", "float64"))


def _dtypes(dtype: Dtype) -> tuple[Dtype, Dtype]:
    """The dtype to add up in, and that of the result."""
    if dtype.kind != "f":
        return _DOUBLE, _DOUBLE
    return (_SINGLE if dtype == _HALF else dtype), dtype


def _count(x: Array, axis: Axis, where: Any, *, keepdims: bool) -> Any:
    """How many elements each result is made of."""
    if where is True:
        return shapes.elements(x.shape[each] for each in shapes.axes(x.shape, axis))
    return np.sum(np.broadcast_to(where, x.shape), axis=axis, dtype=np.intp, keepdims=keepdims)


def _mean(x: Array, *, axis: Axis = None, keepdims: bool = False, where: Any = True) -> Array:
    wide, result = _dtypes(x.dtype)
    total = _sum(x, axis=axis, dtype=wide, keepdims=keepdims, where=where)
    count = _count(x, axis, where, keepdims=keepdims)
    return np.asarray(np.true_divide(total, count)).astype(wide).astype(result)


def _var(x: Array, axis: Axis, keepdims: bool, ddof: float, where: Any) -> Array:
    wide, result = _dtypes(x.dtype)
    total = _sum(x, axis=axis, dtype=wide, keepdims=True, where=where)
    mean = np.true_divide(total, _count(x, axis, where, keepdims=True)).astype(wide)
    squares = np.square(x - mean)
    spread = _sum(squares, axis=axis, dtype=wide, keepdims=keepdims, where=where)
    freedom = np.maximum(_count(x, axis, where, keepdims=keepdims) - ddof, 0)
    return np.asarray(np.true_divide(spread, freedom)).astype(wide).astype(result)


def _std(x: Array, axis: Axis, keepdims: bool, ddof: float, where: Any) -> Array:
    return np.asarray(np.sqrt(_var(x, axis, keepdims, ddof, where)))


def _spread(name: str, function: Callable[[Array, Axis, bool, float, Any], Array]) -> Operation:
    """The entry of ``var`` or ``std``."""

    def bind(
        x: Any, axis: Any = None, *, ddof: float = 0, keepdims: bool = False, where: Any = True
    ) -> Call:
        return with_mask(x, where, (axis_param(axis), bool(keepdims), ddof))

    def torch_bind(
        input: Any,  # noqa: A002
        dim: Any = None,
        *,
        correction: float = 1,
        keepdim: bool = False,
    ) -> Call:
        return bind(input, dim, ddof=correction, keepdims=keepdim)

    def rule(operands: Sequence[Operand], params: Params) -> ArrayMeta:
        (array,) = only_arrays(name, operands[:1])
        axis, keepdims, _ = _with_number(name, params)
        if len(operands) > 1:
            check_mask(name, array, operands[1])
        return ArrayMeta(shapes.reduce(array.shape, axis, keepdims), _dtypes(array.dtype)[1])

    def compute(values: Sequence[Any], params: Params) -> Array:
        axis, keepdims, ddof = _with_number(name, params)
        where = values[1] if len(values) > 1 else True
        return function(values[0], axis, keepdims, ddof, where)

    bind.__doc__ = f"``numpy.{name}``; divides by the number of elements less ``ddof``."
    return Operation(name, range(1, 3), rule, compute, bind, torch={name: torch_bind})


def _with_number(name: str, params: Params) -> tuple[Axis, bool, float]:
    match params:
        case (*first, int() | float() as number) if not isinstance(number, bool):
            return *axis_and_keepdims(name, tuple(first)), number
        case _:
            raise RemoteProtocolError(f"{name} takes an axis, keepdims and a number")


def _check_chosen(name: str, operands: Sequence[Operand], axis: Axis) -> ArrayMeta:
    """The array of a median or a quantile; with a mask, that of all its elements only.

    Raises:
        ShapeError: there is no element, or a mask and an axis.
        DtypeError: the mask is not of truth values.
    """
    array = only_arrays(name, operands[:1])[0]
    for mask in operands[1:]:
        check_mask(name, array, mask)
        if axis is not None:
            raise ShapeError(operation=f"{name} with where=", shapes=f"{array.shape} along an axis")
    if 0 in array.shape and len(operands) == 1:
        raise ShapeError(operation=f"{name} of no elements:", shapes=f"{array.shape}")
    return array


def _of_chosen(function: Callable[[Array], Any], x: Array, mask: Any, keepdims: bool) -> Array:
    """A function of the elements where the mask is True; NaN where there are none."""
    chosen = x[np.broadcast_to(mask, x.shape)]
    result = np.asarray(function(chosen) if chosen.size else function(np.ones(1, x.dtype)) * np.nan)
    return result.reshape((1,) * x.ndim if keepdims else ())


def _quantile_rule(operands: Sequence[Operand], params: Params) -> ArrayMeta:
    axis, keepdims, q = _with_number("quantile", params)
    array = _check_chosen("quantile", operands, axis)
    shape = shapes.reduce(array.shape, axis, keepdims)
    if not 0 <= q <= 1:
        raise ShapeError(operation="quantile", shapes=f"of q={q:g}, outside of 0 to 1,")
    return ArrayMeta(shape, probed_dtype("quantile", _half, array.dtype))


def _half(x: Array) -> Any:
    return np.quantile(x, 0.5)


def _quantile(values: Sequence[Any], params: Params) -> Array:
    axis, keepdims, q = _with_number("quantile", params)
    if len(values) > 1:
        return _of_chosen(lambda x: np.quantile(x, q), values[0], values[1], keepdims)
    return np.asarray(np.quantile(values[0], q, axis=axis, keepdims=keepdims))


def _bind_quantile(
    x: Any, q: float, axis: Any = None, *, keepdims: bool = False, where: Any = True
) -> Call:
    """``numpy.quantile`` for one public ``q``, linear; a mask is ours, and only without an axis."""
    return with_mask(x, where, (axis_param(axis), bool(keepdims), float(q)))


def _median_rule(operands: Sequence[Operand], params: Params) -> ArrayMeta:
    axis, keepdims = axis_and_keepdims("median", params)
    array = _check_chosen("median", operands, axis)
    return ArrayMeta(
        shapes.reduce(array.shape, axis, keepdims), probed_dtype("median", np.median, array.dtype)
    )


def _median(values: Sequence[Any], params: Params) -> Array:
    axis, keepdims = axis_and_keepdims("median", params)
    if len(values) > 1:
        return _of_chosen(np.median, values[0], values[1], keepdims)
    return np.asarray(np.median(values[0], axis=axis, keepdims=keepdims))


def _bind_median(x: Any, axis: Any = None, *, keepdims: bool = False, where: Any = True) -> Call:
    """``numpy.median``, not torch's lower one of two; a mask is ours, and only without an axis."""
    return with_mask(x, where, (axis_param(axis), bool(keepdims)))


OPERATIONS = (
    reduction("mean", _mean, torch={"mean": torch_reduction}),
    _spread("var", _var),
    _spread("std", _std),
    Operation("quantile", range(1, 3), _quantile_rule, _quantile, _bind_quantile),
    Operation("median", range(1, 3), _median_rule, _median, _bind_median),
)
