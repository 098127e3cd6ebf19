"""Shape rules of numpy, from public shapes alone.

The client applies them before it sends anything; the domain applies them again before it
computes, so a shape error never depends on a value and never on what a client claims. Every
operation on several operands, public and private alike, goes through ``broadcast``.
"""

import math
from collections.abc import Iterable
from functools import lru_cache

from p2pgrid.errors import RemoteIndexError, ShapeError
from p2pgrid.protocol.arrays import MAX_DIMS, MAX_ELEMENTS, extent

Shape = tuple[int, ...]
Axis = int | tuple[int, ...] | None


@lru_cache(maxsize=4096)
def broadcast(operation: str, *shapes: Shape) -> Shape:
    """The common shape of operands; the rule of ``numpy.broadcast_shapes``.

    Raises:
        ShapeError: a dimension differs and is not 1, or the result would be too large to exist.
    """
    first = shapes[0]
    if all(shape == first for shape in shapes):
        return first
    longest = max(map(len, shapes))
    dims = []
    for column in zip(*((1,) * (longest - len(shape)) + shape for shape in shapes), strict=True):
        wide = set(column) - {1}
        if len(wide) > 1:
            raise ShapeError(operation=operation, shapes=" and ".join(map(str, shapes)))
        dims.append(wide.pop() if wide else 1)
    return addressable(operation, tuple(dims))


def addressable(operation: str, shape: Shape) -> Shape:
    """The shape, if there can be an array of it.

    Operands that are empty, and so free to claim any shape, may not make an impossible one.

    Raises:
        ShapeError: it has too many dimensions, or too many elements.
    """
    if len(shape) > MAX_DIMS or extent(shape) > MAX_ELEMENTS:
        raise ShapeError(operation=operation, shapes=f"giving {str(shape)[:200]}")
    return shape


@lru_cache(maxsize=4096)
def matmul(left: Shape, right: Shape) -> Shape:
    """The shape of ``left @ right``; the rule of ``numpy.matmul``.

    Raises:
        ShapeError: an operand is a number, or the inner dimensions differ, or the result would be
            too large to exist.
    """
    if not left or not right or left[-1] != _inner(right):
        raise ShapeError(operation="matmul", shapes=f"{left} and {right}")
    rows = left[-2:-1] if len(left) > 1 else ()
    columns = right[-1:] if len(right) > 1 else ()
    return addressable("matmul", broadcast("matmul", left[:-2], right[:-2]) + rows + columns)


@lru_cache(maxsize=4096)
def dot(left: Shape, right: Shape) -> Shape:
    """The shape of ``numpy.dot``: the last dimension of one by the last but one of the other.

    Raises:
        ShapeError: they differ, or the result would be too large to exist.
    """
    if not left or not right:
        return left or right
    if left[-1] != _inner(right):
        raise ShapeError(operation="dot", shapes=f"{left} and {right}")
    return addressable("dot", left[:-1] + right[:-2] + (right[-1:] if len(right) > 1 else ()))


def _inner(right: Shape) -> int:
    return right[-2] if len(right) > 1 else right[0]


@lru_cache(maxsize=4096)
def axes(shape: Shape, axis: Axis) -> tuple[int, ...]:
    """The axes that are meant, counted from the front, in the order in which they were given.

    Raises:
        RemoteIndexError: there is no such axis (a number has none, not even 0), or it comes twice.
    """
    if axis is None:
        return tuple(range(len(shape)))
    given = (axis,) if isinstance(axis, int) else axis
    found = tuple(each % len(shape) for each in given if -len(shape) <= each < len(shape))
    if len(set(found)) != len(given):
        raise RemoteIndexError(index=f"axis {str(axis)[:40]}", shape=str(shape))
    return found


@lru_cache(maxsize=4096)
def reduce(shape: Shape, axis: Axis, keepdims: bool) -> Shape:
    """The shape after a reduction over one axis, over several, or over all.

    Raises:
        RemoteIndexError: there is no such axis, or it comes twice.
    """
    gone = axes(shape, axis)
    if keepdims:
        return tuple(1 if number in gone else size for number, size in enumerate(shape))
    return tuple(size for number, size in enumerate(shape) if number not in gone)


def reshape(shape: Shape, wanted: Shape) -> Shape:
    """The shape after ``reshape``; one dimension may be -1, what is left.

    Raises:
        ShapeError: another number of elements, or more than one dimension is left open.
    """
    count, known = elements(shape), math.prod(size for size in wanted if size != -1)
    if -1 in wanted and known > 0 and count % known == 0:
        new = tuple(count // known if size == -1 else size for size in wanted)
    else:
        new = wanted
    if any(size < 0 for size in new) or wanted.count(-1) > 1 or elements(new) != count:
        raise ShapeError(operation="reshape", shapes=f"{shape} and {str(wanted)[:200]}")
    return addressable("reshape", new)


def transpose(shape: Shape, order: tuple[int, ...] | None) -> Shape:
    """The shape with its axes in another order; None reverses them.

    Raises:
        RemoteIndexError: there is no such axis, or it comes twice.
        ShapeError: an axis is missing.
    """
    if order is None:
        return shape[::-1]
    found = axes(shape, order)
    if len(found) != len(shape):
        raise ShapeError(operation="transpose", shapes=f"{shape} and axes {order}")
    return tuple(shape[axis] for axis in found)


def squeeze(shape: Shape, axis: Axis) -> Shape:
    """The shape without these axes, which have to be 1; by default all that are.

    Raises:
        RemoteIndexError: there is no such axis, or it comes twice.
        ShapeError: an axis is not 1.
    """
    if axis is None:
        return tuple(size for size in shape if size != 1)
    gone = axes(shape, axis)
    if any(shape[each] != 1 for each in gone):
        raise ShapeError(operation="squeeze", shapes=f"{shape} at axis {axis}")
    return tuple(size for number, size in enumerate(shape) if number not in gone)


def expand(shape: Shape, axis: int | tuple[int, ...]) -> Shape:
    """The shape with new axes of 1, which have these numbers afterwards.

    Raises:
        RemoteIndexError: an axis lies outside the new shape, or comes twice.
        ShapeError: there would be too many dimensions.
    """
    count = len(shape) + (1 if isinstance(axis, int) else len(axis))
    new = axes((1,) * count, axis)
    rest = iter(shape)
    wide = tuple(1 if number in new else next(rest) for number in range(count))
    return addressable("expand_dims", wide)


def concatenate(shapes: tuple[Shape, ...], axis: int | None) -> Shape:
    """The shape of arrays joined along an axis that exists, or flat for None.

    Raises:
        RemoteIndexError: there is no such axis.
        ShapeError: other dimensions differ.
    """
    if axis is None:
        return addressable("concatenate", (sum(map(elements, shapes)),))
    first = shapes[0]
    (along,) = axes(first, axis)
    rest = {(len(shape), shape[:along], shape[along + 1 :]) for shape in shapes}
    if len(rest) > 1:
        raise ShapeError(operation="concatenate", shapes=" and ".join(map(str, shapes))[:300])
    total = sum(shape[along] for shape in shapes)
    return addressable("concatenate", (*first[:along], total, *first[along + 1 :]))


def stack(shapes: tuple[Shape, ...], axis: int) -> Shape:
    """The shape of equal arrays joined along a new axis.

    Raises:
        RemoteIndexError: the axis lies outside the new shape.
        ShapeError: the shapes differ.
    """
    if any(shape != shapes[0] for shape in shapes):
        raise ShapeError(operation="stack", shapes=" and ".join(map(str, shapes))[:300])
    new = (1,) * (len(shapes[0]) + 1)
    (along,) = axes(new, axis)
    return addressable("stack", (*shapes[0][:along], len(shapes), *shapes[0][along:]))


def elements(shape: Iterable[int]) -> int:
    """How many elements an array of this shape has."""
    return math.prod(shape)
