"""What ``get`` gives: a numpy array that can also be decoded, and converted to other libraries'."""

from collections.abc import Sequence
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from p2pgrid.errors import ShapeError
from p2pgrid.protocol.arrays import Array

TABLE_DIMS = 2


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

    def to_numpy(self) -> Array:
        """A plain array with the same values, which may be written to."""
        return np.array(self)

    def to_torch(self) -> Any:
        """A tensor of torch with the same values, shape and dtype, which may be written to.

        Raises:
            ModuleNotFoundError: torch is not installed; nothing else here needs it.
        """
        return import_module("torch").from_numpy(self.to_numpy())

    def to_pandas(self, columns: Sequence[str] | None = None) -> Any:
        """A data frame with a row per row; of one dimension, with one column.

        Args:
            columns: their names; default: numbers.

        Raises:
            ShapeError: the values are no table, or have another number of columns.
        """
        width = self.shape[1] if self.ndim == TABLE_DIMS else 1
        if self.ndim not in {1, TABLE_DIMS} or (columns is not None and len(columns) != width):
            raise ShapeError(operation="to_pandas", shapes=str(self.shape))
        table = self.to_numpy().reshape(len(self), width)
        return import_module("pandas").DataFrame(table, columns=columns)

    @override
    def __array_wrap__(self, array: Any, context: Any = None, return_scalar: bool = False) -> Any:
        return array[()] if return_scalar else array.view(np.ndarray)


def result_of(values: Array) -> Result:
    """The same values, not copied, read-only."""
    result = values.view(Result)
    result.flags.writeable = False
    return result
