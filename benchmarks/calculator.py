"""The class of ``benchmarks/baselines/ray_calls.py``, exported."""

import numpy as np

import p2pgrid


@p2pgrid.export
class Calculator:
    """Adds to a number that it holds."""

    def __init__(self) -> None:
        self._value = np.float64(0.0)

    @p2pgrid.method
    def add(self, operand: float) -> None:
        """One operation."""
        self._value = np.add(self._value, operand)

    @p2pgrid.method
    def value(self) -> float:
        """The number."""
        return float(self._value)
