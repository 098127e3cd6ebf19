"""What ``get`` gives: a numpy array that can also be decoded."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from p2pgrid.protocol.arrays import Array


class Result(np.ndarray[Any, np.dtype[Any]]):
    """Values that were taken home: a read-only numpy array in every respect, and ``decode()``.

    A subclass, so that everything that takes an array takes this, without a call in between. What
    is computed from it is a plain array again: only what came from a domain can be encoded.
    """

    def decode(self) -> NDArray[np.floating[Any]]:
        """The values as a plain float array of the same shape, which may be written to.

        Integers and truth values become float64, as in numpy. Values of one domain travel as they
        are; those that travel as fixed-point numbers are scaled back here.
        """
        dtype = self.dtype if self.dtype.kind == "f" else np.float64
        return np.array(self, dtype=dtype)

    @override
    def __array_wrap__(self, array: Any, context: Any = None, return_scalar: bool = False) -> Any:
        return array[()] if return_scalar else array.view(np.ndarray)


def result_of(values: Array) -> Result:
    """The same values, not copied, read-only."""
    result = values.view(Result)
    result.flags.writeable = False
    return result
