"""Tables that an owner has, as columns of cells: pandas, numpy, torch, mappings, CSV, Parquet.

Reading infers nothing: what a column means is said by a schema, not by its values. Cells of a CSV
file stay texts until the schema's type reads them (``client/conversion.py``).

Frames and tensors are read by what they can do, so neither pandas nor torch is imported here; for
files see ``client/table_files.py``.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from p2pgrid.client.cells import Cells, number_cells, require_once, text_cells
from p2pgrid.client.frames import Frame
from p2pgrid.client.table_files import read_file
from p2pgrid.errors import SourceError
from p2pgrid.protocol.arrays import Array

Source = str | Path | Frame | Mapping[str, ArrayLike | Cells] | ArrayLike


def read_source(source: Source, names: Sequence[str] = ()) -> dict[str, Cells]:
    """The columns of a table by name, in its order.

    Args:
        source: the path of a .csv or .parquet file, a data frame, arrays by name, or one array:
            of shape (rows, columns), or of any shape when it is a single column.
        names: of the columns of one array; other sources have names.

    Raises:
        SourceError: it is nothing of this, or a column holds neither numbers nor texts.
        MissingExtraError: a file needs the extra ``tables``.
    """
    if isinstance(source, str | Path):
        return read_file(Path(source))
    if isinstance(source, Mapping):
        return {str(name): cells_of(str(name), column) for name, column in source.items()}
    if isinstance(source, Frame):
        require_once("the data frame", list(map(str, source.columns)))
        return {str(name): cells_of(str(name), source[name]) for name in source.columns}
    return _read_array(source, names)


def cells_of(name: str, column: Any) -> Cells:
    """One column of cells from an array, a tensor, a series, or cells that were read before.

    Raises:
        SourceError: it holds neither numbers nor texts.
    """
    if isinstance(column, Cells):
        return column
    if hasattr(column, "isna"):
        return _read_series(name, column)
    array = plain_array(f"column {name!r}", column)
    if not array.ndim:
        problem = f"is no column but a single {type(column).__name__}"
        raise SourceError(source=f"column {name!r}", problem=problem)
    if array.dtype.kind in "OUT":
        missing = np.frompyfunc(lambda cell: cell is None, 1, 1)(array).astype(bool)
        return text_cells(name, array, missing)
    return number_cells(name, array)


def plain_array(what: str, given: Any) -> Array:
    """The array that something is: of numpy, of torch (on a GPU, or with a gradient), of lists.

    Raises:
        SourceError: it is none.
    """
    try:
        return np.asarray(given.detach().cpu() if hasattr(given, "detach") else given)
    except (TypeError, ValueError, RuntimeError) as error:  # numpy's and torch's own
        problem = f"cannot be read as an array ({type(error).__name__}); convert it to one"
        raise SourceError(source=what, problem=problem) from None


def _read_series(name: str, series: Any) -> Cells:
    """A series of pandas: its missing cells are known to it."""
    missing = np.asarray(series.isna(), dtype=bool)
    dtype = series.dtype
    if getattr(dtype, "kind", "O") in "biuf":
        # Nullable dtypes of pandas have a numpy dtype inside, and no number for what is missing.
        plain = getattr(dtype, "numpy_dtype", dtype)
        filled = series.to_numpy(dtype=plain, na_value=0) if plain is not dtype else series
        return number_cells(name, np.asarray(filled), missing)
    return text_cells(name, series.to_numpy(dtype=object), missing)


def _read_array(source: Any, names: Sequence[str]) -> dict[str, Cells]:
    if len(names) == 1:
        return {names[0]: cells_of(names[0], source)}
    cells = cells_of("array", source)
    if cells.values.ndim != 2 or cells.values.shape[1] != len(names):  # noqa: PLR2004 a matrix
        problem = (
            f"has the shape {cells.values.shape}; {len(names)} columns need (rows, {len(names)})"
        )
        raise SourceError(source="array", problem=problem)
    return {
        name: Cells(cells.values[:, number], cells.missing[:, number])
        for number, name in enumerate(names)
    }
