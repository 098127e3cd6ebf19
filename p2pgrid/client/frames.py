"""Data frames, pandas' or others', as what they are made of: arrays by name."""

from collections.abc import Iterable, Mapping
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike

from p2pgrid.errors import SchemaError
from p2pgrid.protocol.arrays import DTYPES


@runtime_checkable
class Frame(Protocol):
    """What has named columns; no library of frames is needed to see that."""

    @property
    def columns(self) -> Iterable[Any]:
        """The names."""

    def __getitem__(self, name: Any, /) -> Any:
        """A column, which numpy can read."""


def arrays_by_name(
    name: str, tensors: ArrayLike | Mapping[str, ArrayLike] | Frame
) -> Mapping[str, ArrayLike]:
    """Arrays by name from what may be published; one array is called as the dataset.

    Raises:
        SchemaError: a column of a frame holds no numbers.
    """
    if isinstance(tensors, Mapping):
        return tensors
    if not isinstance(tensors, Frame):
        return {name: tensors}
    arrays = {str(column): np.asarray(tensors[column]) for column in tensors.columns}
    for column, values in arrays.items():
        if values.dtype.name not in DTYPES:
            problem = (
                f"holds {values.dtype.name}, and only numbers and truth values are published; "
                "encode categories as integers and times as numbers, or leave it out"
            )
            raise SchemaError(field=f"column {column[:40]!r}", problem=problem)
    return arrays
