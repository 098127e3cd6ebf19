"""What is sent for the operands of an operation, and what in-place forms ask of a result."""

import math
from typing import Any

import numpy as np

from p2pgrid.errors import DtypeError, ShapeError
from p2pgrid.protocol.arrays import Array, as_array
from p2pgrid.protocol.operations import INTEGERS, ArrayMeta, Operand


def literal(value: Any, *, limit: int) -> tuple[Operand, Array | int | float | bool]:
    """What a rule sees of a value, and what travels; a Python number stays weakly typed."""
    if type(value) is int:
        return value, value if value in INTEGERS else _as_float(value)
    if isinstance(value, bool) or type(value) is float:
        return value, value
    array = as_array(value, limit=limit)
    return ArrayMeta(array.shape, array.dtype, is_literal=True), array


def _as_float(number: int) -> float:
    """An integer that no integer dtype holds; where a rule lets it pass, it is taken as a float."""
    try:
        return float(number)
    except OverflowError:
        return math.inf if number > 0 else -math.inf


def check_in_place(name: str, left: ArrayMeta, result: ArrayMeta) -> None:
    """An in-place form keeps the shape, and a dtype of the same kind, as in numpy.

    Raises:
        ShapeError, DtypeError: it would not.
    """
    what = f"in-place {name}"
    if result.shape != left.shape:
        raise ShapeError(operation=what, shapes=f"{left.shape} and {result.shape}")
    if not np.can_cast(result.dtype, left.dtype, "same_kind"):
        raise DtypeError(operation=what, dtypes=f"{left.dtype.name} from {result.dtype.name}")
