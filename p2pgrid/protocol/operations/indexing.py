"""Indices as in numpy: ints, slices, ``...``, new axes, and public arrays of positions.

Positions travel as literals beside the array; a mask becomes positions where it is known, on the
client. A private object is never a position: the shape of the result would depend on its values.
"""

import operator
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from p2pgrid.errors import RemoteIndexError, UnsupportedRemoteOpError
from p2pgrid.protocol import shapes
from p2pgrid.protocol.arrays import MAX_DIMS, Array
from p2pgrid.protocol.messages import MAX_INPUTS, Param, Slice
from p2pgrid.protocol.operations.entry import (
    ArrayMeta,
    Call,
    Operand,
    Operation,
    Params,
    only_arrays,
)
from p2pgrid.protocol.shapes import Shape

ELLIPSIS = "..."
POSITIONS = "positions"
"""Stands in an index for the next of the arrays beside it."""


def _rule(operands: Sequence[Operand], params: Params) -> ArrayMeta:
    array, *positions = only_arrays("getitem", operands)
    _check(array.shape, params, positions)
    shape = _shape_after(array.shape, params, tuple(each.shape for each in positions))
    return ArrayMeta(shape, array.dtype)


def _check(shape: Shape, items: Params, positions: Sequence[ArrayMeta]) -> None:
    """Refuses what there is no rule for; before the cache, in which ``True`` equals ``1``.

    Raises:
        RemoteIndexError: an item is none of those of this module, or ``...`` comes twice.
        UnsupportedRemoteOpError: positions are private.
    """
    for item in items:
        known = item is None or type(item) in (int, Slice) or item in (ELLIPSIS, POSITIONS)
        if not known:
            raise RemoteIndexError(index=f"of type {type(item).__name__}", shape=str(shape))
    if items.count(ELLIPSIS) > 1:
        raise RemoteIndexError(index="with two ellipses", shape=str(shape))
    if items.count(POSITIONS) != len(positions):
        raise RemoteIndexError(index="with positions that are missing", shape=str(shape))
    for each in positions:
        if not each.is_literal:
            raise private_index()
        if each.dtype.kind not in "iu":
            raise RemoteIndexError(index=f"of dtype {each.dtype.name}", shape=str(shape))


def private_index() -> UnsupportedRemoteOpError:
    """The error of an index that is private."""
    return UnsupportedRemoteOpError(
        operation="indexing by private values, which would make the shape private,",
        nearest="where(condition, x, y), or sum(x, where=condition)",
    )


@lru_cache(maxsize=4096)
def _shape_after(shape: Shape, items: Params, positions: tuple[Shape, ...]) -> Shape:
    """The shape of ``array[items]``.

    Axes that positions pick are replaced by the common shape of all positions: in place of the
    first where they stand side by side, in front otherwise. An int beside positions is one.

    Raises:
        RemoteIndexError: too many indices or new axes, or one that is out of bounds.
        ShapeError: positions do not broadcast.
    """
    filled = _filled(shape, items)
    picked = [n for n, item in enumerate(filled) if positions and _is_position(item)]
    dims: list[int] = []
    place, axis = 0, 0
    for number, item in enumerate(filled):
        if number in picked[:1]:
            place = len(dims)
        if item is None:
            dims.append(1)
            continue
        dims.extend(_one_axis(shape, axis, item))
        axis += 1
    if picked:
        if picked[-1] - picked[0] >= len(picked):
            place = 0
        dims[place:place] = shapes.broadcast("index", *positions)
    if len(dims) > MAX_DIMS:
        raise RemoteIndexError(index=f"with {items.count(None)} new axes", shape=str(shape))
    return shapes.addressable("index", tuple(dims))


def _is_position(item: Param) -> bool:
    return item == POSITIONS or type(item) is int


def _filled(shape: Shape, items: Params) -> Params:
    """The items with a slice for each axis that ``...``, or nothing, stands for."""
    named = sum(item is not None and item != ELLIPSIS for item in items)
    rest = (Slice(),) * max(0, len(shape) - named)
    if ELLIPSIS not in items:
        return (*items, *rest)
    at = items.index(ELLIPSIS)
    return (*items[:at], *rest, *items[at + 1 :])


def _one_axis(shape: Shape, axis: int, item: Param) -> tuple[int, ...]:
    if axis >= len(shape):
        raise RemoteIndexError(index=f"number {axis + 1}", shape=str(shape))
    size = shape[axis]
    if isinstance(item, Slice):
        return (len(range(*_as_slice(item).indices(size))),)
    if item == POSITIONS or (isinstance(item, int) and -size <= item < size):
        return ()
    raise RemoteIndexError(index=str(item)[:40], shape=str(shape))


def _as_slice(item: Slice) -> slice:
    if item.step == 0:
        raise RemoteIndexError(index="slice with step 0", shape="any")
    return slice(item.start, item.stop, item.step)


def _compute(values: Sequence[Any], params: Params) -> Array:
    array, *positions = values
    rest = iter(positions)
    return np.asarray(array[tuple(_as_index(item, rest) for item in params)])


def _as_index(item: Param, positions: Iterator[Array]) -> Any:
    if isinstance(item, Slice):
        return _as_slice(item)
    if item == POSITIONS:
        return next(positions)
    return Ellipsis if item == ELLIPSIS else item


def _bind(x: Any, index: Any) -> Call:
    """``x[index]``: ints, slices, ``...``, None, lists and arrays of integers, public masks."""
    items = index if isinstance(index, tuple) else (index,)
    if not any(map(_is_array_like, items)):
        return Call((x,), tuple(map(_param, items)))
    params: list[Param] = []
    picks: list[_Pick] = []
    for item in items:
        if _is_array_like(item):
            found = _picks(np.asarray(item), shape=x.shape)
            params += [POSITIONS] * len(found)
            picks += found
        else:
            params.append(_param(item))
    if len(picks) >= MAX_INPUTS:
        raise RemoteIndexError(index=f"with {len(picks)} arrays", shape=str(x.shape))
    _check_bounds(x.shape, tuple(params), picks)
    return Call((x, *(pick.positions for pick in picks)), tuple(params))


def _is_array_like(item: Any) -> bool:
    """Lists, tuples and arrays; an array without dimensions is an int."""
    return isinstance(item, list | tuple) or (isinstance(item, np.ndarray) and item.ndim > 0)


class _Pick(NamedTuple):
    """Positions along one axis, which has to have ``size`` elements if they come from a mask."""

    positions: Array
    size: int | None = None


def _picks(array: Array, *, shape: Shape) -> list[_Pick]:
    """Positions along one axis; or, of a mask, along as many axes as it has."""
    if array.dtype == np.bool_:
        return list(map(_Pick, np.nonzero(array), array.shape))
    if array.size == 0:
        array = array.astype(np.intp)  # of an empty list numpy does not know the dtype either
    if array.dtype.kind not in "iu":
        raise RemoteIndexError(index=f"of dtype {array.dtype.name}", shape=str(shape))
    return [_Pick(array)]


def _check_bounds(shape: Shape, params: Params, picks: Sequence[_Pick]) -> None:
    """Positions are public: those that are not there are refused here, before anything is sent."""
    _shape_after(shape, params, tuple(pick.positions.shape for pick in picks))
    axes = [item for item in _filled(shape, params) if item is not None]
    sizes = [size for size, item in zip(shape, axes, strict=True) if item == POSITIONS]
    for size, (found, masked) in zip(sizes, picks, strict=True):
        if masked is not None and masked != size:
            raise RemoteIndexError(index=f"mask of length {masked}", shape=str(shape))
        if found.size and not -size <= found.min() <= found.max() < size:
            wrong = found.min() if found.min() < -size else found.max()
            raise RemoteIndexError(index=str(wrong), shape=str(shape))


def _param(item: Any) -> Param:
    if isinstance(item, slice):
        return Slice(*map(_optional_int, (item.start, item.stop, item.step)))
    if item is Ellipsis:
        return ELLIPSIS
    if isinstance(item, bool | np.bool_):
        return bool(item)  # for the rule to refuse
    return _optional_int(item)


def _optional_int(value: Any) -> int | None:
    try:
        return None if value is None else operator.index(value)
    except TypeError:
        kind = type(value).__name__
        raise RemoteIndexError(index=f"of type {kind[:40]}", shape="any") from None


OPERATIONS = (
    Operation(
        "getitem", range(1, MAX_INPUTS + 1), _rule, _compute, _bind, is_method=False, is_view=True
    ),
)
