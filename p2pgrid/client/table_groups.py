"""Statistics of the columns of a table: of all its rows, or by group."""

from abc import ABC, abstractmethod
from typing import Any, Protocol

from typing_extensions import override

from p2pgrid.client.display import Display, Displayed
from p2pgrid.client.pointer import TensorPointer
from p2pgrid.protocol.arrays import Array
from p2pgrid.protocol.operations import keys_for


class Statistics(ABC):
    """What can be asked of a column by its name; each result is a pointer.

    What they mean is numpy's: NaN counts as a value, ``var`` and ``std`` divide by the number of
    rows less ``ddof``. Where no row counts, ``count`` and ``sum`` are 0, means, spreads and
    quantiles NaN, ``min`` and ``max`` the end of the dtype's range. Every method raises
    ``NoColumnError`` when there is no such column, and ``DtypeError`` when the statistic is not
    defined for its dtype.
    """

    @abstractmethod
    def _reduce(self, name: str, column: str, **settings: float) -> TensorPointer:
        """The reduction ``name`` of the rows of a column that count."""

    def sum(self, column: str) -> TensorPointer:
        """The sum of a column."""
        return self._reduce("sum", column)

    def mean(self, column: str) -> TensorPointer:
        """The mean of a column."""
        return self._reduce("mean", column)

    def min(self, column: str) -> TensorPointer:
        """The least value of a column."""
        return self._reduce("min", column)

    def max(self, column: str) -> TensorPointer:
        """The greatest value of a column."""
        return self._reduce("max", column)

    def var(self, column: str, *, ddof: float = 0) -> TensorPointer:
        """The variance of a column."""
        return self._reduce("var", column, ddof=ddof)

    def std(self, column: str, *, ddof: float = 0) -> TensorPointer:
        """The standard deviation of a column."""
        return self._reduce("std", column, ddof=ddof)

    def median(self, column: str) -> TensorPointer:
        """The median of a column."""
        return self._reduce("median", column)

    def quantile(self, column: str, q: float) -> TensorPointer:
        """The quantile of a column for a public ``q`` from 0 to 1, by linear interpolation."""
        return self._reduce("quantile", column, q=q)


class Grouped(Protocol):
    """A table, as its groups see it."""

    @property
    def mask(self) -> TensorPointer | None:
        """True for the rows that count; None for all."""

    def column(self, name: str) -> TensorPointer:
        """All rows of a column."""


class TableGroups(Displayed, Statistics):
    """The rows of a table by their value in one column; results have one element per key."""

    def __init__(self, table: Grouped, by: str, keys: Any) -> None:
        self._table = table
        self._groups = table.column(by)
        self._keys = keys_for(self._groups.dtype, keys)
        self._by = by

    @property
    def keys(self) -> Array:
        """The public keys, in the order of the results."""
        return self._keys.copy()

    def count(self) -> TensorPointer:
        """How many rows each group has."""
        return self._fold("sum", self._groups == self._groups)

    @override
    def _reduce(self, name: str, column: str, **settings: float) -> TensorPointer:
        return self._fold(name, self._table.column(column), **settings)

    def _fold(self, name: str, values: TensorPointer, **settings: float) -> TensorPointer:
        where = True if self._table.mask is None else self._table.mask
        fold = getattr(values, f"group_{name}")
        result: TensorPointer = fold(self._groups, self._keys, where=where, **settings)
        return result

    @override
    def _display(self) -> Display:
        keys = f"{len(self._keys)} keys"
        return Display(f"TableGroups of {self._table!r} by {self._by!r}, {keys}")
