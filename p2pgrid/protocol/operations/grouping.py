"""Operations that fold the elements of each group: ``group_sum``, ``group_mean`` and so on.

Element ``n`` belongs to the group that ``groups[n]`` names. ``keys`` are public and come with the
operation: there is one result per key, in the order of the keys, so neither the shape nor the order
tells which groups there are. A key that does not occur has the result of the operation where
nothing counts; elements of other groups are left out. Each result is that of the operation of the
same name on the elements of its group.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from p2pgrid.errors import (
    DtypeError,
    ShapeError,
    TooLargeError,
    UnsupportedRemoteOpError,
)
from p2pgrid.protocol.arrays import Array
from p2pgrid.protocol.operations import reductions, statistics
from p2pgrid.protocol.operations.entry import (
    ArrayMeta,
    Bind,
    Call,
    Dtype,
    Operand,
    Operation,
    Params,
    as_array_operand,
    only_arrays,
)
from p2pgrid.protocol.operations.reductions import check_mask

MAX_KEYS = 1 << 12
"""Most groups of one operation: the domain computes them one by one."""

_EVERY = (None, False)  # the axis and keepdims of a fold of all elements


def keys_for(dtype: Any, keys: Any) -> Array:
    """Public keys as an array of the dtype of the groups that they name.

    Raises:
        DtypeError: a key is no number of that dtype.
        ShapeError: the keys are not a flat list.
    """
    given = np.asarray(keys)
    if given.ndim != 1:
        raise ShapeError(operation="keys of groups", shapes=f"{given.shape}")
    if given.size == 0:
        return given.astype(dtype)  # of an empty list numpy does not know the dtype
    if given.dtype.kind not in "biuf":
        raise DtypeError(operation="grouping by keys", dtypes=given.dtype.name)
    with np.errstate(all="ignore"):
        named = given.astype(dtype)
    if dtype.kind != "f" and not np.array_equal(named, given):
        what = f"{dtype.name} by keys that it does not hold"
        raise DtypeError(operation="grouping", dtypes=what)
    return named


def _check(name: str, operands: Sequence[Operand]) -> tuple[ArrayMeta, int]:
    """What is folded, and how many groups there are.

    Raises:
        UnsupportedRemoteOpError: the keys are private.
        ShapeError, DtypeError, TooLargeError: the operands do not fit each other.
    """
    x, groups, keys = only_arrays(name, operands[:3])
    if not keys.is_literal:
        what = f"{name} by private keys, which would be told by the result,"
        raise UnsupportedRemoteOpError(operation=what, nearest=f"{name} with keys=[...]")
    if len(x.shape) != 1 or groups.shape != x.shape or len(keys.shape) != 1:
        found = f"{x.shape}, groups {groups.shape} and keys {keys.shape}"
        raise ShapeError(operation=name, shapes=found)
    if groups.dtype != keys.dtype:
        found = f"{groups.dtype.name} of groups and {keys.dtype.name} of keys"
        raise DtypeError(operation=name, dtypes=found)
    if keys.shape[0] > MAX_KEYS:
        raise TooLargeError(what="number of keys", size=keys.shape[0], limit=MAX_KEYS)
    for mask in operands[3:]:
        check_mask(name, x, mask)
    return x, keys.shape[0]


def _members(groups: Array, keys: Array, mask: Any = True) -> list[Array]:
    """Where the elements of each key are, in their order."""
    known, number_of = np.unique(keys, return_inverse=True)
    none = len(known)
    numbers = np.searchsorted(known, groups).astype(np.uint16)
    counts = numbers < none
    counts[counts] = known[numbers[counts]] == groups[counts]  # never so for NaN
    numbers[~(counts & mask)] = none
    order = np.argsort(numbers, kind="stable")
    ends = np.cumsum(np.bincount(numbers, minlength=none + 1))
    each = np.split(order, ends[:-1])
    return [each[number] for number in number_of]


def _grouped(fold: Operation, bind: Bind) -> Operation:
    """The entry that does for each group what ``fold`` does for an array."""
    name = f"group_{fold.name}"

    def dtype_of(x: ArrayMeta | Array, params: Params) -> Dtype:
        metas = (ArrayMeta(x.shape, x.dtype), ArrayMeta(x.shape, np.dtype(bool)))
        return fold.infer(metas, (*_EVERY, *params)).dtype

    def rule(operands: Sequence[Operand], params: Params) -> ArrayMeta:
        x, count = _check(name, operands)
        return ArrayMeta((count,), dtype_of(x, params))

    def compute(values: Sequence[Any], params: Params) -> Array:
        x, groups, keys, *masks = values
        result = np.empty(keys.shape, dtype_of(x, params))
        for number, members in enumerate(_members(groups, keys, *masks)):
            result[number] = fold.compute((x[members], np.True_), (*_EVERY, *params))
        return result

    bind.__doc__ = f"``{fold.name}`` of the elements of each group, one result per public key."
    return Operation(name, range(3, 5), rule, compute, bind)


def _call(x: Any, groups: Any, keys: Any, where: Any, params: Params = ()) -> Call:
    """A mask that is simply True is left out."""
    arrays = (x, groups, keys_for(groups.dtype, keys))
    return Call(arrays if where is True else (*arrays, as_array_operand(where)), params)


def _plain() -> Bind:
    def bind(x: Any, groups: Any, keys: Any, *, where: Any = True) -> Call:
        return _call(x, groups, keys, where)

    return bind


def _spread() -> Bind:
    def bind(x: Any, groups: Any, keys: Any, *, ddof: float = 0, where: Any = True) -> Call:
        return _call(x, groups, keys, where, (ddof,))

    return bind


def _quantile() -> Bind:
    def bind(x: Any, groups: Any, keys: Any, q: float, *, where: Any = True) -> Call:
        return _call(x, groups, keys, where, (float(q),))

    return bind


_BINDS: dict[str, Callable[[], Bind]] = {
    **dict.fromkeys(("sum", "min", "max", "mean", "median"), _plain),
    **dict.fromkeys(("var", "std"), _spread),
    "quantile": _quantile,
}

OPERATIONS = tuple(
    _grouped(entry, _BINDS[entry.name]())
    for entry in (*reductions.OPERATIONS, *statistics.OPERATIONS)
    if entry.name in _BINDS
)
