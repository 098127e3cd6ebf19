"""Operations that fold axes away: sums, products, extremes, truth, places of extremes.

With ``where=`` only the elements count at which the mask, public or private, is True. Of none,
``min`` gives the largest number of the dtype and ``max`` the smallest (numpy's ``initial``): which
elements count may be private, so it must not decide about an error.
"""

import operator
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np

from p2pgrid.errors import DtypeError, RemoteProtocolError, ShapeError
from p2pgrid.protocol import shapes
from p2pgrid.protocol.arrays import Array
from p2pgrid.protocol.operations.entry import (
    ArrayMeta,
    Bind,
    Call,
    Dtype,
    Operand,
    Operation,
    Params,
    as_array_operand,
    kind_of,
    only_arrays,
    probed_dtype,
    shape_of,
)
from p2pgrid.protocol.shapes import Axis

Fold = Callable[..., Any]
"""Of an array, with ``axis``, ``keepdims`` and ``where``."""


def axis_param(axis: Any) -> Axis:
    """An axis, several, or None for all, as they travel."""
    if axis is None:
        return None
    if isinstance(axis, tuple | list):
        return tuple(map(operator.index, axis))
    return operator.index(axis)


def axis_and_keepdims(name: str, params: Params) -> tuple[Axis, bool]:
    """The parameters of a reduction.

    Raises:
        RemoteProtocolError: they are others.
    """
    match params:
        case (int() | tuple() | None as axis, bool() as keepdims) if not isinstance(axis, bool):
            return axis, keepdims
        case _:
            raise RemoteProtocolError(f"{name} takes an axis and keepdims")


def check_mask(name: str, array: ArrayMeta, mask: Operand) -> None:
    """A mask is of truth values and of a shape that broadcasts to the array's.

    Raises:
        DtypeError, ShapeError: it is not.
    """
    if kind_of(mask) != np.bool_:
        raise DtypeError(operation=f"where= of {name}", dtypes="other than bool")
    if shapes.broadcast(name, array.shape, shape_of(mask)) != array.shape:
        raise ShapeError(operation=name, shapes=f"{array.shape} and where={shape_of(mask)}")


def with_mask(x: Any, where: Any, params: Params) -> Call:
    """The call of a reduction; a mask that is simply True is left out."""
    return Call((x,) if where is True else (as_array_operand(x), where), params)


def reduction(
    name: str,
    fold: Fold,
    *,
    aliases: Sequence[str] = (),
    torch: Mapping[str, Bind] = MappingProxyType({}),
    check: Callable[[str, ArrayMeta, Axis], None] | None = None,
) -> Operation:
    """The entry of a reduction; ``check`` is asked where no mask is given."""

    def bind(x: Any, axis: Any = None, *, keepdims: bool = False, where: Any = True) -> Call:
        return with_mask(x, where, (axis_param(axis), bool(keepdims)))

    def rule(operands: Sequence[Operand], params: Params) -> ArrayMeta:
        array = only_arrays(name, operands[:1])[0]
        axis, keepdims = axis_and_keepdims(name, params)
        shape = shapes.reduce(array.shape, axis, keepdims)
        if len(operands) > 1:
            check_mask(name, array, operands[1])
        elif check is not None:
            check(name, array, axis)
        return ArrayMeta(shape, probed_dtype(name, fold, array.dtype))

    def compute(values: Sequence[Any], params: Params) -> Array:
        axis, keepdims = axis_and_keepdims(name, params)
        masked = {} if len(values) == 1 else {"where": values[1]}
        return np.asarray(fold(values[0], axis=axis, keepdims=keepdims, **masked))

    bind.__doc__ = f"``numpy.{name}`` over an axis, several, or all; where the mask is True."
    return Operation(
        name,
        range(1, 3),
        rule,
        compute,
        bind,
        aliases=tuple(aliases),
        torch=torch,
    )


def torch_reduction(input: Any, dim: Any = None, keepdim: bool = False) -> Call:  # noqa: A002
    """Torch's names for the parameters of a reduction."""
    return Call((input,), (axis_param(dim), bool(keepdim)))


def torch_of_all(input: Any) -> Call:  # noqa: A002
    """Torch's ``min`` and ``max`` of a whole tensor; along a dimension they give two tensors."""
    return torch_reduction(input)


def _not_empty(name: str, array: ArrayMeta, axis: Axis) -> None:
    """Numpy has no extreme of nothing; nothing is a matter of shape, so this is public."""
    if 0 in [array.shape[each] for each in shapes.axes(array.shape, axis)]:
        raise ShapeError(operation=f"{name} of no elements:", shapes=f"{array.shape}")


def _lowest(dtype: Dtype) -> Any:
    if dtype.kind == "f":
        return -np.inf
    return False if dtype.kind == "b" else np.iinfo(dtype).min


def _highest(dtype: Dtype) -> Any:
    if dtype.kind == "f":
        return np.inf
    return True if dtype.kind == "b" else np.iinfo(dtype).max


def _min(x: Any, **how: Any) -> Any:
    return np.min(x, **how, **({"initial": _highest(x.dtype)} if "where" in how else {}))


def _max(x: Any, **how: Any) -> Any:
    return np.max(x, **how, **({"initial": _lowest(x.dtype)} if "where" in how else {}))


def _place(name: str, function: Callable[..., Any]) -> Operation:
    """The entry of ``argmin`` or ``argmax``."""

    def bind(x: Any, axis: Any = None, *, keepdims: bool = False) -> Call:
        return Call((x,), (axis_param(axis), bool(keepdims)))

    def rule(operands: Sequence[Operand], params: Params) -> ArrayMeta:
        (array,) = only_arrays(name, operands)
        axis, keepdims = axis_and_keepdims(name, params)
        if isinstance(axis, tuple):
            raise RemoteProtocolError(f"{name} takes one axis")
        shape = shapes.reduce(array.shape, axis, keepdims)
        _not_empty(name, array, axis)
        return ArrayMeta(shape, np.dtype(np.intp))

    def compute(values: Sequence[Any], params: Params) -> Array:
        return np.asarray(function(values[0], axis=params[0], keepdims=params[1]))

    bind.__doc__ = f"``numpy.{name}`` along an axis, or of the flat array."
    return Operation(name, range(1, 2), rule, compute, bind, torch={name: torch_reduction})


def _running(name: str, function: Callable[..., Any]) -> Operation:
    """The entry of ``cumsum`` or ``cumprod``."""

    def bind(x: Any, axis: Any = None) -> Call:
        return Call((x,), (axis_param(axis),))

    def rule(operands: Sequence[Operand], params: Params) -> ArrayMeta:
        (array,) = only_arrays(name, operands)
        axis = _one_axis(name, params)
        shapes.axes(array.shape, axis)
        shape = (shapes.elements(array.shape),) if axis is None else array.shape
        return ArrayMeta(shape, probed_dtype(name, function, array.dtype))

    def compute(values: Sequence[Any], params: Params) -> Array:
        return np.asarray(function(values[0], axis=_one_axis(name, params)))

    def torch_bind(input: Any, dim: Any) -> Call:  # noqa: A002
        return Call((input,), (axis_param(dim),))

    bind.__doc__ = f"``numpy.{name}`` along an axis, or of the flat array."
    return Operation(name, range(1, 2), rule, compute, bind, torch={name: torch_bind})


def _one_axis(name: str, params: Params) -> int | None:
    match params:
        case (int() | None as axis,) if not isinstance(axis, bool):
            return axis
        case _:
            raise RemoteProtocolError(f"{name} takes one axis")


OPERATIONS = (
    reduction("sum", np.sum, torch={"sum": torch_reduction}),
    reduction("prod", np.prod, torch={"prod": torch_reduction}),
    reduction(
        "min",
        _min,
        aliases=("amin",),
        torch={"amin": torch_reduction, "min": torch_of_all},
        check=_not_empty,
    ),
    reduction(
        "max",
        _max,
        aliases=("amax",),
        torch={"amax": torch_reduction, "max": torch_of_all},
        check=_not_empty,
    ),
    reduction("any", np.any, torch={"any": torch_reduction}),
    reduction("all", np.all, torch={"all": torch_reduction}),
    _place("argmin", np.argmin),
    _place("argmax", np.argmax),
    _running("cumsum", np.cumsum),
    _running("cumprod", np.cumprod),
)
