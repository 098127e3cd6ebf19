"""The registry of remote operations: the one place that says what can be computed.

An entry holds an operation's name, arity, the rule for shape and dtype of its result, and the
function on values. The client uses the rule to fail before it sends; the domain uses the rule
again and the function to compute. To add an operation, add one entry and its tests.
"""

import difflib
import operator
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from p2pgrid.errors import DtypeError, RemoteProtocolError, ShapeError, UnsupportedRemoteOpError
from p2pgrid.protocol import shapes
from p2pgrid.protocol.arrays import Array, size_bytes
from p2pgrid.protocol.messages import Param, Slice
from p2pgrid.protocol.shapes import Shape

Dtype = np.dtype[Any]
_BOOL: Dtype = np.dtype(bool)  # a truth value is not weak: its dtype is the lowest anyway
Scalar = int | float | bool


class ArrayMeta(NamedTuple):
    """What is public about an array: its shape and its dtype."""

    shape: Shape
    dtype: Dtype

    @property
    def nbytes(self) -> int:
        """Bytes of the values."""
        return size_bytes(self.shape, self.dtype)


Operand = ArrayMeta | Scalar
"""What a rule sees of an operand; a Python number is weakly typed, as in numpy 2."""

Params = tuple[Param, ...]
Rule = Callable[[Sequence[Operand], Params], ArrayMeta]
Compute = Callable[[Sequence[Any], Params], Array]


class Operation(NamedTuple):
    """One entry of the registry; ``infer`` and ``compute`` agree for every input."""

    name: str
    arity: int
    infer: Rule
    compute: Compute


def operation_named(name: str) -> Operation:
    """The entry of this name.

    Raises:
        UnsupportedRemoteOpError: there is none; the error names the nearest.
    """
    try:
        return REGISTRY[name]
    except KeyError:
        near = difflib.get_close_matches(name, REGISTRY, n=1, cutoff=0) or ["none"]
        raise UnsupportedRemoteOpError(operation=name[:40], nearest=near[0]) from None


def infer(name: str, operands: Sequence[Operand], params: Params) -> ArrayMeta:
    """Shape and dtype of the result, from public metadata alone.

    Raises:
        UnsupportedRemoteOpError, ShapeError, DtypeError, RemoteIndexError: it cannot be computed.
        RemoteProtocolError: number or type of operands or parameters do not fit the operation.
    """
    operation = operation_named(name)
    if len(operands) != operation.arity:
        raise RemoteProtocolError(f"{name} takes {operation.arity} operands, got {len(operands)}")
    return operation.infer(operands, params)


def _shape_of(operand: Operand) -> Shape:
    return operand.shape if isinstance(operand, ArrayMeta) else ()


def _kind_of(operand: Operand) -> Any:
    """What numpy's promotion looks at: a dtype, or the type of a Python number."""
    if isinstance(operand, ArrayMeta):
        return operand.dtype
    return _BOOL if isinstance(operand, bool) else type(operand)


@lru_cache(maxsize=1024)
def _ufunc_dtype(ufunc: np.ufunc, *kinds: Any) -> Dtype:
    try:
        return ufunc.resolve_dtypes((*kinds, None))[-1]
    except TypeError:
        names = " and ".join(str(getattr(kind, "name", kind)) for kind in kinds)
        raise DtypeError(operation=ufunc.__name__, dtypes=names) from None


def _check_weak(name: str, operands: Sequence[Operand], result: Dtype) -> None:
    """A Python integer has to fit the dtype that it meets (as numpy demands)."""
    for operand in operands:
        if type(operand) is int and not _fits(operand, result):
            raise DtypeError(
                operation=name, dtypes=f"{result.name} and an integer out of its range"
            )


def _fits(number: int, dtype: Dtype) -> bool:
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        return bool(limits.min <= number <= limits.max)
    return abs(number) <= sys.float_info.max  # numpy makes a float64 of it first


def _elementwise(name: str, ufunc: np.ufunc) -> Operation:
    def rule(operands: Sequence[Operand], params: Params) -> ArrayMeta:
        left, right = operands
        _no_params(name, params)
        dtype = _ufunc_dtype(ufunc, _kind_of(left), _kind_of(right))
        _check_weak(name, operands, dtype)
        return ArrayMeta(shapes.broadcast(name, _shape_of(left), _shape_of(right)), dtype)

    return Operation(name, 2, rule, lambda values, _: np.asarray(ufunc(values[0], values[1])))


def _in_place(name: str, ufunc: np.ufunc) -> Operation:
    """The value that an in-place form leaves in its left operand: same shape, same dtype."""
    out_of_place = _elementwise(name, ufunc)

    def rule(operands: Sequence[Operand], params: Params) -> ArrayMeta:
        left = operands[0]
        result = out_of_place.infer(operands, params)
        if not isinstance(left, ArrayMeta) or result.shape != left.shape:
            raise ShapeError(operation=name, shapes=f"{_shape_of(left)} and {result.shape}")
        if not np.can_cast(result.dtype, left.dtype, "same_kind"):
            raise DtypeError(operation=name, dtypes=f"{left.dtype.name} from {result.dtype.name}")
        return left

    def compute(values: Sequence[Any], params: Params) -> Array:
        return np.asarray(out_of_place.compute(values, params)).astype(values[0].dtype)

    return Operation(name, 2, rule, compute)


def _matmul_rule(operands: Sequence[Operand], params: Params) -> ArrayMeta:
    left, right = operands
    _no_params("matmul", params)
    dtype = _ufunc_dtype(np.matmul, _kind_of(left), _kind_of(right))
    return ArrayMeta(shapes.matmul(_shape_of(left), _shape_of(right)), dtype)


@lru_cache(maxsize=64)
def _reduced_dtype(function: Callable[..., Any], dtype: Dtype) -> Dtype:
    return np.asarray(function(np.zeros(1, dtype))).dtype


def _reduction(name: str, function: Callable[..., Any]) -> Operation:
    def rule(operands: Sequence[Operand], params: Params) -> ArrayMeta:
        array = _only_array(name, operands)
        axis, keepdims = _axis_and_keepdims(name, params)
        shape = shapes.reduce(array.shape, axis, keepdims)
        return ArrayMeta(shape, _reduced_dtype(function, array.dtype))

    def compute(values: Sequence[Any], params: Params) -> Array:
        axis, keepdims = _axis_and_keepdims(name, params)
        return np.asarray(function(values[0], axis=axis, keepdims=keepdims))

    return Operation(name, 1, rule, compute)


def _axis_and_keepdims(name: str, params: Params) -> tuple[int | None, bool]:
    match params:
        case (int() | None as axis, bool() as keepdims) if not isinstance(axis, bool):
            return axis, keepdims
        case _:
            raise RemoteProtocolError(f"{name} takes an axis and keepdims")


def _only_array(name: str, operands: Sequence[Operand]) -> ArrayMeta:
    if not isinstance(operands[0], ArrayMeta):
        raise RemoteProtocolError(f"{name} takes an array")
    return operands[0]


def _no_params(name: str, params: Params) -> None:
    if params:
        raise RemoteProtocolError(f"{name} takes no parameters")


def _index_rule(operands: Sequence[Operand], params: Params) -> ArrayMeta:
    array = _only_array("getitem", operands)
    shapes.check_index(array.shape, params)
    return ArrayMeta(shapes.index(array.shape, params), array.dtype)


def _index(values: Sequence[Any], params: Params) -> Array:
    items = tuple(
        shapes.as_slice(item)
        if isinstance(item, Slice)
        else Ellipsis
        if item == shapes.ELLIPSIS
        else item
        for item in params
    )
    return np.asarray(values[0][items])


def _transpose_rule(operands: Sequence[Operand], params: Params) -> ArrayMeta:
    array = _only_array("transpose", operands)
    _no_params("transpose", params)
    return ArrayMeta(array.shape[::-1], array.dtype)


def _copy_rule(operands: Sequence[Operand], params: Params) -> ArrayMeta:
    _no_params("copy", params)
    return _only_array("copy", operands)


_ENTRIES = (
    _elementwise("add", np.add),
    _elementwise("sub", np.subtract),
    _elementwise("mul", np.multiply),
    _elementwise("truediv", np.true_divide),
    _in_place("iadd", np.add),
    _in_place("isub", np.subtract),
    _in_place("imul", np.multiply),
    _in_place("itruediv", np.true_divide),
    Operation("matmul", 2, _matmul_rule, lambda values, _: np.asarray(operator.matmul(*values))),
    _reduction("sum", np.sum),
    _reduction("mean", np.mean),
    Operation("getitem", 1, _index_rule, _index),
    Operation("transpose", 1, _transpose_rule, lambda values, _: np.transpose(values[0])),
    Operation("copy", 1, _copy_rule, lambda values, _: np.array(values[0])),
)

VIEWS = frozenset({"getitem", "transpose"})
"""Operations whose result shares the memory of their operand."""

REGISTRY: Mapping[str, Operation] = {entry.name: entry for entry in _ENTRIES}
