"""One column of a table as it was found, before a schema says what its cells mean."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from p2pgrid.errors import SourceError
from p2pgrid.protocol.arrays import DTYPES, Array

TEXT = np.dtypes.StringDType()


class Cells(NamedTuple):
    """A column of a source. Private.

    ``values`` has an allowed dtype, or holds texts (``TEXT``); where ``missing`` is True, they mean
    nothing. Both have shape (rows, ...).
    """

    values: Array
    missing: NDArray[np.bool_]

    @override
    def __repr__(self) -> str:
        return f"<Cells of shape {self.values.shape}, {self.values.dtype.name}>"


def number_cells(name: str, array: Array, missing: NDArray[np.bool_] | None = None) -> Cells:
    """Cells of numbers or truth values; NaN is missing.

    Raises:
        SourceError: the dtype cannot be published.
    """
    if array.dtype.name not in DTYPES:
        problem = f"holds {array.dtype.name}, which cannot be published; encode it as numbers"
        raise SourceError(source=f"column {name!r}", problem=problem)
    absent = np.isnan(array) if array.dtype.kind == "f" else np.zeros(array.shape, bool)
    return Cells(array, absent if missing is None else absent | missing)


def text_cells(name: str, array: Array, missing: NDArray[np.bool_]) -> Cells:
    """Cells of texts.

    Raises:
        SourceError: a cell that is not missing is no text.
    """
    kinds = sorted({type(cell).__name__ for cell in array[~missing].tolist()})
    if kinds not in ([], ["str"]):
        problem = (
            f"holds cells of the type {' and '.join(kinds)}; convert the column to one type "
            "(times to numbers, such as days since a date)"
        )
        raise SourceError(source=f"column {name!r}", problem=problem)
    return Cells(np.where(missing, "", array).astype(TEXT), missing)


def require_once(source: str, names: Sequence[str]) -> None:
    """Refuses a table in which a name comes twice.

    Raises:
        SourceError: names the columns.
    """
    again = sorted({name for name in names if names.count(name) > 1})
    if again:
        problem = f"has columns of one name: {', '.join(again)}; rename them"
        raise SourceError(source=source, problem=problem)
