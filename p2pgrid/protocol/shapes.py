"""Shape rules of numpy, from public shapes alone.

The client applies them before it sends anything; the domain applies them again before it
computes, so a shape error never depends on a value and never on what a client claims.
"""

import math
from collections.abc import Sequence
from functools import lru_cache
from itertools import zip_longest

from p2pgrid.errors import RemoteIndexError, ShapeError
from p2pgrid.protocol.arrays import MAX_DIMS, MAX_ELEMENTS, extent
from p2pgrid.protocol.messages import Param, Slice

Shape = tuple[int, ...]
ELLIPSIS = "..."


@lru_cache(maxsize=4096)
def broadcast(operation: str, left: Shape, right: Shape) -> Shape:
    """The common shape of two operands; the rule of ``numpy.broadcast_shapes``.

    Raises:
        ShapeError: a dimension differs and is not 1, or the result would be too large to exist.
    """
    if left == right:
        return left
    pairs = zip_longest(reversed(left), reversed(right), fillvalue=1)
    dims = []
    for a, b in pairs:
        if a != b and 1 not in (a, b):
            raise ShapeError(operation=operation, shapes=f"{left} and {right}")
        dims.append(b if a == 1 else a)
    return _addressable(operation, tuple(reversed(dims)))


def _addressable(operation: str, shape: Shape) -> Shape:
    """Operands that are empty, and so free to claim any shape, may not make an impossible one."""
    if extent(shape) > MAX_ELEMENTS:
        raise ShapeError(operation=operation, shapes=f"giving {shape}")
    return shape


@lru_cache(maxsize=4096)
def matmul(left: Shape, right: Shape) -> Shape:
    """The shape of ``left @ right``; the rule of ``numpy.matmul``.

    Raises:
        ShapeError: an operand is a number, or the inner dimensions differ, or the result would be
            too large to exist.
    """
    if not left or not right:
        raise ShapeError(operation="matmul", shapes=f"{left} and {right}")
    inner = right[-2] if len(right) > 1 else right[0]
    if left[-1] != inner:
        raise ShapeError(operation="matmul", shapes=f"{left} and {right}")
    rows = left[-2:-1] if len(left) > 1 else ()
    columns = right[-1:] if len(right) > 1 else ()
    return _addressable("matmul", broadcast("matmul", left[:-2], right[:-2]) + rows + columns)


@lru_cache(maxsize=4096)
def reduce(shape: Shape, axis: int | None, keepdims: bool) -> Shape:
    """The shape after a reduction over one axis, or over all.

    Raises:
        RemoteIndexError: there is no such axis; a number has none, not even 0.
    """
    if axis is None:
        return (1,) * len(shape) if keepdims else ()
    if not -len(shape) <= axis < len(shape):
        raise RemoteIndexError(index=f"axis {axis}", shape=str(shape))
    axis %= len(shape)
    return shape[:axis] + ((1,) if keepdims else ()) + shape[axis + 1 :]


def check_index(shape: Shape, items: tuple[Param, ...]) -> None:
    """Refuses what ``index`` has no rule for; before its cache, in which ``True`` equals ``1``.

    Raises:
        RemoteIndexError: an item is no int, slice, ``...`` or new axis, or ``...`` comes twice.
    """
    for item in items:
        if type(item) is not int and not isinstance(item, Slice) and item not in (None, ELLIPSIS):
            raise RemoteIndexError(index=f"of type {type(item).__name__}", shape=str(shape))
    if sum(item == ELLIPSIS for item in items) > 1:
        raise RemoteIndexError(index="with two ellipses", shape=str(shape))


@lru_cache(maxsize=4096)
def index(shape: Shape, items: tuple[Param, ...]) -> Shape:
    """The shape of ``array[items]`` for ints, slices, ``...`` and new axes.

    Raises:
        RemoteIndexError: too many indices or new axes, or one that is out of bounds.
    """
    dims: list[int] = []
    position = 0
    for item in items:
        if item is None:
            dims.append(1)
        elif item == ELLIPSIS:
            skipped = max(0, len(shape) - _consumed(items))
            dims.extend(shape[position : position + skipped])
            position += skipped
        else:
            dims.extend(_one_axis(shape, position, item))
            position += 1
    dims.extend(shape[position:])
    if len(dims) > MAX_DIMS:
        raise RemoteIndexError(index=f"with {items.count(None)} new axes", shape=str(shape))
    return tuple(dims)


def _consumed(items: Sequence[Param]) -> int:
    return sum(item is not None and item != ELLIPSIS for item in items)


def _one_axis(shape: Shape, position: int, item: Param) -> tuple[int, ...]:
    if position >= len(shape):
        raise RemoteIndexError(index=f"number {position + 1}", shape=str(shape))
    size = shape[position]
    if isinstance(item, Slice):
        return (len(range(*as_slice(item).indices(size))),)
    if isinstance(item, int) and -size <= item < size:
        return ()
    raise RemoteIndexError(index=str(item)[:40], shape=str(shape))


def as_slice(item: Slice) -> slice:
    """The Python slice; a step of 0 is refused as an index.

    Raises:
        RemoteIndexError: the step is 0.
    """
    if item.step == 0:
        raise RemoteIndexError(index="slice with step 0", shape="any")
    return slice(item.start, item.stop, item.step)


def elements(shape: Shape) -> int:
    """How many elements an array of this shape has."""
    return math.prod(shape)
