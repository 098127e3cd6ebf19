"""What the owner exports in ``examples/move_between_hospitals.py``."""

import numpy as np
from numpy.typing import NDArray

import p2pgrid


@p2pgrid.export
class Pooled:
    """The mean over all patients that it was given."""

    def __init__(self) -> None:
        self._total, self._patients = 0.0, 0

    @p2pgrid.method
    def add(self, values: NDArray[np.float64]) -> None:
        """Takes the values of some patients."""
        self._total += float(values.sum())
        self._patients += len(values)

    @p2pgrid.method(releases=True)
    def mean(self) -> float:
        """What the owner lets everybody know who may call it."""
        return self._total / self._patients
