"""Data frames, pandas' or others', as what they are made of, arrays by name; and the way back."""

from collections.abc import Iterable, Mapping
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike

from p2pgrid.errors import SchemaError
from p2pgrid.protocol.arrays import DTYPES, Array
from p2pgrid.protocol.columns import CATEGORY
from p2pgrid.protocol.schemas import TensorSchema


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


def shaped(schema: TensorSchema, columns: Mapping[str, Array]) -> Any:
    """A tensor as a program holds it: one array where it is stored as one, else a data frame.

    Args:
        schema: of the tensor.
        columns: an array of shape (rows, ...) for each of its columns.

    Returns:
        An array of shape (rows, columns), or of a single column whose cells have a shape (rows,
        ...), if all columns have one dtype; categories are codes there. Otherwise a data frame.
    """
    if not schema.is_one_array:
        return frame_of(schema, columns)
    arrays = [columns[column.name] for column in schema.columns]
    return arrays[0] if arrays[0].ndim > 1 else np.stack(arrays, axis=1)


def frame_of(schema: TensorSchema, columns: Mapping[str, Array]) -> Any:
    """A data frame of pandas: categories by their labels, a cell with a shape as an array."""
    import pandas as pd  # noqa: PLC0415 - half a second

    shown: dict[str, Any] = {}
    for column in schema.columns:
        values = columns[column.name]
        if column.type == CATEGORY and not column.shape:
            shown[column.name] = pd.Categorical.from_codes(values, list(column.categories))
        elif column.type == CATEGORY:
            shown[column.name] = list(np.array(column.categories, object)[values])
        else:
            shown[column.name] = values if values.ndim == 1 else list(values)
    return pd.DataFrame(shown)
