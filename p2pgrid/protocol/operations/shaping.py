"""Operations on one array that change its shape or dtype, or nothing."""

import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from p2pgrid.errors import DtypeError, RemoteProtocolError, TooLargeError
from p2pgrid.protocol import shapes
from p2pgrid.protocol.arrays import DTYPES, Array, dtype_named
from p2pgrid.protocol.operations.entry import (
    ArrayMeta,
    Bind,
    Call,
    Operand,
    Operation,
    Params,
    no_params,
    only_arrays,
    probed_dtype,
)
from p2pgrid.protocol.operations.reductions import axis_param
from p2pgrid.protocol.shapes import Shape

MAX_DECIMALS = 300  # of a float64


def _reshaping(
    name: str,
    shape_after: Callable[[Shape, Params], Shape],
    bind: Bind,
    *,
    aliases: tuple[str, ...] = (),
    torch: dict[str, Bind],
    is_view: bool = False,
) -> Operation:
    """The entry of an operation that gives the elements, in their order, another shape."""

    def rule(operands: Sequence[Operand], params: Params) -> ArrayMeta:
        (array,) = only_arrays(name, operands)
        return ArrayMeta(shape_after(array.shape, params), array.dtype)

    def compute(values: Sequence[Any], params: Params) -> Array:
        return np.reshape(values[0], shape_after(values[0].shape, params))

    return Operation(
        name, range(1, 2), rule, compute, bind, aliases=aliases, torch=torch, is_view=is_view
    )


def _wanted(sizes: tuple[Any, ...], named: Any) -> tuple[int, ...]:
    """Sizes or axes as numpy lets them be written: one after the other, or as a tuple."""
    given = sizes if named is None else (named,)
    if len(given) == 1 and isinstance(given[0], tuple | list):
        given = tuple(given[0])
    return tuple(map(operator.index, given))


def _one_tuple(name: str, params: Params) -> tuple[int, ...]:
    match params:
        case (tuple() as numbers,):
            return numbers
        case _:
            raise RemoteProtocolError(f"{name} takes a tuple of integers")


def _axis(name: str, params: Params) -> shapes.Axis:
    match params:
        case (int() | tuple() | None as axis,) if not isinstance(axis, bool):
            return axis
        case _:
            raise RemoteProtocolError(f"{name} takes an axis")


def _bind_reshape(x: Any, *sizes: Any, shape: Any = None) -> Call:
    """``numpy.reshape`` in C order; one size may be -1."""
    return Call((x,), (_wanted(sizes, shape),))


def _shape_reshaped(shape: Shape, params: Params) -> Shape:
    return shapes.reshape(shape, _one_tuple("reshape", params))


def _bind_ravel(x: Any) -> Call:
    """``numpy.ravel``: flat, in C order."""
    return Call((x,))


def _shape_ravelled(shape: Shape, params: Params) -> Shape:
    no_params("ravel", params)
    return (shapes.elements(shape),)


def _bind_squeeze(x: Any, axis: Any = None) -> Call:
    """``numpy.squeeze``: without axes of length 1."""
    return Call((x,), (axis_param(axis),))


def _torch_squeeze(input: Any, dim: Any = None) -> Call:  # noqa: A002
    return _bind_squeeze(input, dim)


def _shape_squeezed(shape: Shape, params: Params) -> Shape:
    return shapes.squeeze(shape, _axis("squeeze", params))


def _bind_expand(x: Any, axis: Any) -> Call:
    """``numpy.expand_dims``: with new axes of length 1."""
    return Call((x,), (axis_param(axis),))


def _torch_unsqueeze(input: Any, dim: Any) -> Call:  # noqa: A002
    return _bind_expand(input, dim)


def _shape_expanded(shape: Shape, params: Params) -> Shape:
    axis = _axis("expand_dims", params)
    if axis is None:
        raise RemoteProtocolError("expand_dims takes an axis")
    return shapes.expand(shape, axis)


def _transpose_rule(operands: Sequence[Operand], params: Params) -> ArrayMeta:
    (array,) = only_arrays("transpose", operands)
    return ArrayMeta(shapes.transpose(array.shape, _order(params)), array.dtype)


def _transpose(values: Sequence[Any], params: Params) -> Array:
    return np.transpose(values[0], _order(params))


def _order(params: Params) -> tuple[int, ...] | None:
    return None if not params else _one_tuple("transpose", params)


def _bind_transpose(x: Any, *order: Any, axes: Any = None) -> Call:
    """``numpy.transpose``: the axes reversed, or in the order given."""
    if axes is None and order in ((), (None,)):
        return Call((x,))
    return Call((x,), (_wanted(order, axes),))


def _torch_permute(input: Any, dims: Any) -> Call:  # noqa: A002
    return _bind_transpose(input, dims)


def _torch_transpose(input: Any, dim0: int, dim1: int) -> Call:  # noqa: A002
    order = list(range(len(input.shape)))
    order[dim0], order[dim1] = order[dim1], order[dim0]
    return _bind_transpose(input, order)


def _astype_rule(operands: Sequence[Operand], params: Params) -> ArrayMeta:
    (array,) = only_arrays("astype", operands)
    match params:
        case (str() as name,):
            return ArrayMeta(array.shape, dtype_named(name))
        case _:
            raise RemoteProtocolError("astype takes the name of a dtype")


def _astype(values: Sequence[Any], params: Params) -> Array:
    return np.asarray(values[0].astype(DTYPES[str(params[0])]))


def _bind_astype(x: Any, dtype: Any) -> Call:
    """``numpy.astype``: in another dtype, by its name or numpy's object."""
    try:
        name = np.dtype(dtype).name
    except TypeError:
        raise DtypeError(operation="astype", dtypes=str(dtype)[:40]) from None
    return Call((x,), (dtype_named(name).name,))


def _decimals(params: Params) -> int:
    match params:
        case (int() as decimals,) if not isinstance(decimals, bool):
            return decimals
        case _:
            raise RemoteProtocolError("round takes a number of decimals")


def _round_rule(operands: Sequence[Operand], params: Params) -> ArrayMeta:
    (array,) = only_arrays("round", operands)
    decimals = abs(_decimals(params))
    if decimals > MAX_DECIMALS:
        raise TooLargeError(what="decimals of round", size=decimals, limit=MAX_DECIMALS)
    if decimals and array.dtype == np.bool_:
        raise DtypeError(operation=f"round to {params[0]} decimals", dtypes="bool")
    return ArrayMeta(array.shape, probed_dtype("round", np.round, array.dtype))


def _round(values: Sequence[Any], params: Params) -> Array:
    return np.asarray(np.round(values[0], _decimals(params)))


def _bind_round(x: Any, decimals: int = 0) -> Call:
    """``numpy.round``: to a number of decimals, halves to even."""
    return Call((x,), (operator.index(decimals),))


def _torch_round(input: Any, *, decimals: int = 0) -> Call:  # noqa: A002
    return _bind_round(input, decimals)


def _copy_rule(operands: Sequence[Operand], params: Params) -> ArrayMeta:
    no_params("copy", params)
    (array,) = only_arrays("copy", operands)
    return ArrayMeta(array.shape, array.dtype)


def _copy(values: Sequence[Any], _: Params) -> Array:
    return np.array(values[0])


def _bind_copy(x: Any) -> Call:
    """``numpy.copy``, in the domain."""
    return Call((x,))


OPERATIONS = (
    _reshaping("reshape", _shape_reshaped, _bind_reshape, torch={"reshape": _bind_reshape}),
    _reshaping(
        "ravel",
        _shape_ravelled,
        _bind_ravel,
        aliases=("flatten",),
        torch={"ravel": _bind_ravel, "flatten": _bind_ravel},
    ),
    _reshaping(
        "squeeze", _shape_squeezed, _bind_squeeze, torch={"squeeze": _torch_squeeze}, is_view=True
    ),
    _reshaping(
        "expand_dims",
        _shape_expanded,
        _bind_expand,
        torch={"unsqueeze": _torch_unsqueeze},
        is_view=True,
    ),
    Operation(
        "transpose",
        range(1, 2),
        _transpose_rule,
        _transpose,
        _bind_transpose,
        aliases=("permute_dims",),
        torch={"permute": _torch_permute, "transpose": _torch_transpose},
        is_view=True,
    ),
    Operation("astype", range(1, 2), _astype_rule, _astype, _bind_astype),
    Operation(
        "round",
        range(1, 2),
        _round_rule,
        _round,
        _bind_round,
        aliases=("around",),
        torch={"round": _torch_round},
    ),
    Operation("copy", range(1, 2), _copy_rule, _copy, _bind_copy, torch={"clone": _bind_copy}),
)
