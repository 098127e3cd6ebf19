"""Cells of a source as an array that a schema describes.

What a cell means is decided by the declared type alone. A text in a column of categories is a
label; in any other column it is the number or truth value that it spells. A number in a column of
categories is a code. Whatever does not fit is refused, by how many cells there are and where the
first is; no cell is in an error.
"""

import re
from collections.abc import Mapping
from contextlib import suppress

import numpy as np

from p2pgrid.client.cells import TEXT, Cells
from p2pgrid.errors import SourceError
from p2pgrid.protocol.arrays import Array
from p2pgrid.protocol.columns import CATEGORY, Column, Number
from p2pgrid.protocol.conformance import check_bounds, missing_values

TRUTH = {"true": 1, "yes": 1, "1": 1, "false": 0, "no": 0, "0": 0}
"""How a file spells truth values; case does not matter."""

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_WHOLE = re.compile(r"[+-]?\d+", re.ASCII)


def convert(
    cells: Cells, column: Column, *, missing: Number | str | None = None, clip: bool = False
) -> Array:
    """The array that the column stores.

    Args:
        cells: of shape (rows, ...).
        column: the declared type and the public bounds.
        missing: a public value (a label, in a column of categories) to put where a cell has none;
            None refuses such cells.
        clip: move numbers outside of the bounds to the nearest bound instead of refusing them.

    Raises:
        MissingValuesError: a cell has no value, and none was given for it.
        SourceError: a cell is not what the type says; or ``missing`` is not.
        BoundsError: without ``clip``: a value lies outside of the bounds.
    """
    cells = _with_labels(_flat(cells, column), column)
    stand_in = None if missing is None else _stand_in(missing, column)
    if not cells.missing.any():
        return check_bounds(_numbers(cells, column), column, clip=clip)
    if stand_in is None:
        raise missing_values(cells.missing, column)
    stored = check_bounds(_numbers(cells, column), column, clip=clip, ignored=cells.missing)
    stored[cells.missing] = stand_in
    return stored


def _flat(cells: Cells, column: Column) -> Cells:
    """A tensor of one column is an array of shape (rows, 1), whose cells are numbers."""
    if column.shape or cells.values.shape[1:] != (1,):
        return cells
    return Cells(cells.values[:, 0], cells.missing[:, 0])


def _with_labels(cells: Cells, column: Column) -> Cells:
    """A label is a value, also where a file would mean by it that there is none: "NA", "None"."""
    if column.type != CATEGORY or cells.values.dtype != TEXT or not cells.missing.any():
        return cells
    labels = np.isin(cells.values.astype(object), column.categories)
    return Cells(cells.values, cells.missing & ~labels)


def _stand_in(missing: Number | str, column: Column) -> Array:
    """The public value for cells without one, as the column stores it; shape (1,)."""
    given = np.array([missing], TEXT if isinstance(missing, str) else None)
    return check_bounds(_numbers(Cells(given, np.zeros(1, bool)), column), column)


def _numbers(cells: Cells, column: Column) -> Array:
    """The cells as numbers or codes, of any dtype; 0 where one is missing."""
    if cells.values.dtype != TEXT:
        return cells.values
    read = _codes if column.type == CATEGORY else _truths if column.type == "bool" else _spelled
    texts = cells.values.ravel().tolist()
    absent = cells.missing.ravel().tolist()
    return read(texts, absent, column).reshape(cells.values.shape)


def _codes(texts: list[str], absent: list[bool], column: Column) -> Array:
    codes = {label: code for code, label in enumerate(column.categories)}
    return _looked_up(texts, absent, codes, column, what=f"none of its {len(codes)} labels")


def _truths(texts: list[str], absent: list[bool], column: Column) -> Array:
    folded = [text.lower() for text in texts]
    return _looked_up(folded, absent, TRUTH, column, what=f"none of {', '.join(TRUTH)}")


def _looked_up(
    texts: list[str], absent: list[bool], known: Mapping[str, int], column: Column, *, what: str
) -> Array:
    found = [0 if gone else known.get(text) for text, gone in zip(texts, absent, strict=True)]
    _require_none([number is None for number in found], column, what)
    return np.array(found, np.int64)


def _spelled(texts: list[str], absent: list[bool], column: Column) -> Array:
    """Whole numbers are read exactly, as far as 64 bits go; others as float64."""
    spelled = ["0" if gone else text for text, gone in zip(texts, absent, strict=True)]
    _require_none([not _NUMBER.fullmatch(text) for text in spelled], column, "no numbers")
    if all(map(_WHOLE.fullmatch, spelled)):
        for dtype in (np.int64, np.uint64):
            with suppress(OverflowError, ValueError):  # more than 64 bits, or than 4,300 digits
                return np.array(spelled, TEXT).astype(dtype)
    return np.array(spelled, TEXT).astype(np.float64)


def _require_none(wrong: list[bool], column: Column, what: str) -> None:
    if any(wrong):
        problem = (
            f"{sum(wrong):,} of {len(wrong):,} cells are {what}, the first in row "
            f"{wrong.index(True):,} (from 0); the declared type is {column.type}"
        )
        raise SourceError(source=f"column {column.name!r}", problem=problem)
