"""What an owner exports in ``examples/actor_calls.py``: a class, and what may be called of it."""

import numpy as np
from numpy.typing import NDArray

import p2pgrid


@p2pgrid.export
class Counter:
    """Counts, and averages what it is given."""

    def __init__(self, start: int = 0) -> None:
        self._count = start

    @p2pgrid.method
    def incr(self, by: int = 1) -> int:
        """Adds to the count."""
        self._count += by
        return self._count

    @p2pgrid.method
    def mean(self, values: NDArray[np.float64]) -> float:
        """The mean of an array, which may stay in the domain."""
        return float(values.mean())

    @p2pgrid.method
    def fail(self) -> None:
        """Raises; what it says stays in the owner's log."""
        raise ValueError(f"the count is {self._count}")
