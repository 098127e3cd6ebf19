"""Operations on each element: numpy's ufuncs of one or two operands.

Operands broadcast; the dtype is what the ufunc itself resolves, with Python numbers weakly typed.
"""

import operator
from collections.abc import Hashable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from p2pgrid.errors import DtypeError
from p2pgrid.protocol import shapes
from p2pgrid.protocol.operations.entry import (
    ArrayMeta,
    Bind,
    Call,
    Dtype,
    Kind,
    Operand,
    Operation,
    Params,
    check_travels,
    check_weak,
    kind_of,
    names_of,
    no_params,
    shape_of,
)

_COMPARISONS = (np.equal, np.not_equal, np.less, np.less_equal, np.greater, np.greater_equal)
_LOGIC = (np.logical_and, np.logical_or, np.logical_xor, np.logical_not)
_LONG: Dtype = np.dtype(np.int64)


@lru_cache(maxsize=4096)
def resolved(ufunc: np.ufunc, *kinds: Kind) -> tuple[Dtype, ...]:
    """The dtypes with which a ufunc computes: one per operand, then the result's.

    Raises:
        DtypeError: the ufunc is not defined for them.
    """
    try:
        return ufunc.resolve_dtypes((*kinds, None))
    except TypeError:
        raise DtypeError(operation=ufunc.__name__, dtypes=names_of(kinds)) from None


@lru_cache(maxsize=4096)
def _meta(ufunc: np.ufunc, *operands: Hashable) -> ArrayMeta:
    """The result for these arrays and types of Python numbers, whose values do not matter."""
    plain: list[Any] = [x(1) if isinstance(x, type) else x for x in operands]
    dtype = resolved(ufunc, *map(kind_of, plain))[-1]
    return ArrayMeta(shapes.broadcast(ufunc.__name__, *map(shape_of, plain)), dtype)


def _check_numbers(ufunc: np.ufunc, operands: Sequence[Operand]) -> None:
    """A Python integer has to fit the dtype that it is taken as.

    Numpy compares an integer array with any integer, and asks for the truth of a C long.
    An integer that no dtype holds is refused beside integers, where numpy would let some pass.
    """
    check_travels(ufunc.__name__, operands)
    kinds = [kind_of(operand) for operand in operands]
    if ufunc in _COMPARISONS and any(isinstance(k, np.dtype) and k.kind in "iu" for k in kinds):
        return
    *dtypes, _ = resolved(ufunc, *kinds)
    for operand, dtype in zip(operands, dtypes, strict=True):
        check_weak(ufunc.__name__, (operand,), _LONG if ufunc in _LOGIC else dtype)


def _elementwise(
    ufunc: np.ufunc, bind: Bind, *, aliases: Sequence[str], torch: Sequence[str] | None
) -> Operation:
    name = ufunc.__name__

    def rule(operands: Sequence[Operand], params: Params) -> ArrayMeta:
        no_params(name, params)
        kinds: list[Any] = [x if isinstance(x, ArrayMeta) else type(x) for x in operands]
        meta = _meta(ufunc, *kinds)
        if int in kinds:
            _check_numbers(ufunc, operands)
        return meta

    def compute(values: Sequence[Any], _: Params) -> Any:
        return np.asarray(ufunc(*values))

    return Operation(
        name,
        range(ufunc.nin, ufunc.nin + 1),
        rule,
        compute,
        bind,
        aliases=tuple(aliases),
        torch=dict.fromkeys((name, *aliases) if torch is None else torch, bind),
    )


def unary(
    ufunc: np.ufunc, *, aliases: Sequence[str] = (), torch: Sequence[str] | None = None
) -> Operation:
    """The entry of a ufunc of one operand; torch's names default to numpy's."""

    def bind(x: Any) -> Call:
        return Call((x,))

    bind.__doc__ = f"``numpy.{ufunc.__name__}`` of each element."
    return _elementwise(ufunc, bind, aliases=aliases, torch=torch)


def binary(
    ufunc: np.ufunc, *, aliases: Sequence[str] = (), torch: Sequence[str] | None = None
) -> Operation:
    """The entry of a ufunc of two operands; torch's names default to numpy's."""

    def bind(x: Any, y: Any) -> Call:
        return Call((x, y))

    bind.__doc__ = f"``numpy.{ufunc.__name__}`` of each pair of elements."
    return _elementwise(ufunc, bind, aliases=aliases, torch=torch)


def _power() -> Operation:
    """``**``; what numpy refuses by value, an integer to a negative power, is refused by dtype."""
    plain = binary(np.power, aliases=("pow",))

    def rule(operands: Sequence[Operand], params: Params) -> ArrayMeta:
        meta = plain.infer(operands, params)
        base, exponent = operands
        if meta.dtype.kind in "iu" and _may_be_negative(exponent):
            raise DtypeError(
                operation="power",
                dtypes="integers to a power that may be negative (make the base float, or the "
                "exponent unsigned)",
            )
        if isinstance(base, ArrayMeta) and not isinstance(exponent, ArrayMeta):
            # The operator has short cuts for numbers, with dtypes of their own.
            kind: Any = type(exponent)
            return meta._replace(dtype=_dtype_to_the_power(base.dtype, kind, exponent))
        return meta

    def compute(values: Sequence[Any], _: Params) -> Any:
        return np.asarray(operator.pow(*values))

    return plain._replace(infer=rule, compute=compute)


def _may_be_negative(exponent: Operand) -> bool:
    if isinstance(exponent, ArrayMeta):
        return exponent.dtype.kind == "i"
    return exponent < 0


@lru_cache(maxsize=1024)
def _dtype_to_the_power(base: Dtype, _: Hashable, exponent: float) -> Dtype:
    with np.errstate(all="ignore"):
        return (np.ones(1, base) ** exponent).dtype


OPERATIONS = (
    binary(np.add),
    binary(np.subtract, torch=("subtract", "sub")),
    binary(np.multiply, torch=("multiply", "mul")),
    binary(np.divide, aliases=("true_divide",), torch=("divide", "div", "true_divide")),
    binary(np.floor_divide, torch=("floor_divide", "__floordiv__")),
    binary(np.remainder, aliases=("mod",)),
    _power(),
    unary(np.negative, torch=("negative", "neg")),
    unary(np.positive),
    unary(np.absolute, aliases=("abs",)),
    binary(np.equal, torch=("eq",)),  # torch.equal is another thing: one truth value
    binary(np.not_equal, torch=("not_equal", "ne")),
    binary(np.less, torch=("less", "lt")),
    binary(np.less_equal, torch=("less_equal", "le")),
    binary(np.greater, torch=("greater", "gt")),
    binary(np.greater_equal, torch=("greater_equal", "ge")),
    binary(np.logical_and),
    binary(np.logical_or),
    binary(np.logical_xor),
    unary(np.logical_not),
    binary(np.bitwise_and, torch=("bitwise_and", "__and__")),
    binary(np.bitwise_or, torch=("bitwise_or", "__or__")),
    binary(np.bitwise_xor, torch=("bitwise_xor", "__xor__")),
    unary(np.invert, aliases=("bitwise_not", "bitwise_invert"), torch=("bitwise_not",)),
    binary(np.maximum),
    binary(np.minimum),
    binary(np.fmax),
    binary(np.fmin),
    binary(np.hypot),
    binary(np.arctan2, aliases=("atan2",)),
    binary(np.logaddexp),
    *map(
        unary,
        (
            *(np.exp, np.exp2, np.expm1, np.log, np.log2, np.log10, np.log1p, np.sqrt, np.square),
            *(np.sin, np.cos, np.tan, np.sinh, np.cosh, np.tanh),
            *(np.sign, np.floor, np.ceil, np.trunc, np.rint, np.isnan, np.isinf, np.isfinite),
        ),
    ),
    unary(np.arcsin, aliases=("asin",)),
    unary(np.arccos, aliases=("acos",)),
    unary(np.arctan, aliases=("atan",)),
    unary(np.arcsinh, aliases=("asinh",)),
    unary(np.arccosh, aliases=("acosh",)),
    unary(np.arctanh, aliases=("atanh",)),
)
