"""What ``benchmarks/moves.py`` exports: an actor that reads all of what it is given."""

import numpy as np
from numpy.typing import NDArray

import p2pgrid


@p2pgrid.export
class Sink:
    """Adds up arrays."""

    @p2pgrid.method(releases=True)
    def total(self, values: NDArray[np.float64]) -> float:
        """The sum of an array."""
        return float(values.sum())
