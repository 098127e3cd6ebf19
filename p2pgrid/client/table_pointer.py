"""A table in somebody else's domain: columns of equal length, and which of their rows count.

A table is a view, made here: whatever is asked of it becomes operations on its columns. Which rows
a filter keeps is private, so a filtered table has all the rows of the whole, and a mask.
"""

import difflib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Annotated, Any, Self, overload

import msgspec
import numpy as np
from msgspec import Meta, Struct
from typing_extensions import override

from p2pgrid.client.described import Described
from p2pgrid.client.display import Display, Displayed
from p2pgrid.client.free import free
from p2pgrid.client.pointer import TensorPointer
from p2pgrid.client.result import Result, result_of
from p2pgrid.client.sharing import Grantable, Shareable
from p2pgrid.client.table_groups import Statistics, TableGroups
from p2pgrid.errors import DtypeError, SchemaError, ShapeError
from p2pgrid.protocol.arrays import Array
from p2pgrid.protocol.grants import MAX_NAMED
from p2pgrid.protocol.operations import Dtype
from p2pgrid.protocol.records import TensorInfo


class TableForm(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The public face of a table."""

    columns: Annotated[tuple[TensorInfo, ...], Meta(max_length=MAX_NAMED)]
    mask: TensorInfo | None


class NoColumnError(SchemaError, KeyError):
    """The table has no column of this name."""


class TablePointer(Displayed, Statistics, Described, Shareable):
    """A remote table; names, dtypes and number of rows are public, values and filters are not.

    ``table.mean("age")`` and the other statistics are of the rows that a filter left.
    """

    STATISTICS = ("count", "mean", "std", "min", "25%", "50%", "75%", "max")
    """The rows of ``describe``, in their order."""

    def __init__(
        self, columns: Mapping[str, TensorPointer], *, mask: TensorPointer | None = None
    ) -> None:
        """Makes a table of columns that are there.

        Args:
            columns: of one dimension, equal length and one domain, by name.
            mask: True for the rows that count; default: all.

        Raises:
            SchemaError: there is no column, or one has another shape than the first.
            ForeignPointerError: columns of two domains.
            DtypeError, ShapeError: the mask is no truth value per row.
        """
        self._columns = dict(columns)
        self._mask = mask
        self.described = None
        _check_columns(self._columns)
        self._first = next(iter(self._columns.values()))
        if mask is not None:
            self._check_predicate(mask)

    @classmethod
    def of(cls, pointer: TensorPointer, columns: Sequence[str]) -> Self:
        """A table of an array of two dimensions, whose columns get these names.

        Raises:
            SchemaError: there are not as many different names as columns.
        """
        names = set(columns)
        if pointer.shape[1:] != (len(columns),) or len(names) < len(columns):
            problem = f"{len(names)} different names for an array of shape {pointer.shape}"
            raise SchemaError(field="columns", problem=problem)
        return cls({name: pointer[:, number] for number, name in enumerate(columns)})

    @property
    def id(self) -> str:
        """The id of its first column, 32 hex characters."""
        return self._first.id

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns."""
        return tuple(self._columns)

    @property
    def rows(self) -> int:
        """The public number of rows: of the whole table, however it is filtered."""
        return len(self._first)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.rows, len(self._columns)

    @property
    def dtypes(self) -> dict[str, Dtype]:
        """The dtype of each column."""
        return {name: column.dtype for name, column in self._columns.items()}

    @property
    def mask(self) -> TensorPointer | None:
        """True for the rows that filters left; None when there was no filter."""
        return self._mask

    def column(self, name: str) -> TensorPointer:
        """All rows of a column, also those that a filter left out.

        It is the pointer that the table holds: an in-place form on it changes the table.

        Raises:
            NoColumnError: there is none of this name; the error names the nearest.
        """
        if name not in self._columns:
            near = difflib.get_close_matches(str(name), self._columns, n=1, cutoff=0)[0]
            problem = f"no column {str(name)[:40]!r}; the nearest one is {near!r}"
            raise NoColumnError(field="table", problem=problem)
        return self._columns[name]

    @overload
    def __getitem__(self, key: str) -> TensorPointer: ...
    @overload
    def __getitem__(self, key: list[str] | TensorPointer | Array) -> "TablePointer": ...
    def __getitem__(self, key: Any) -> Any:
        """A column by its name, a table of some columns by their names, or ``filter``.

        Raises:
            NoColumnError: there is no such column.
            SchemaError: one column of a filtered table: its pointer would hold all rows.
        """
        if isinstance(key, str):
            return self._only(key)
        if isinstance(key, list) and all(isinstance(name, str) for name in key):
            return type(self)({name: self.column(name) for name in key}, mask=self._mask)
        return self.filter(key)

    def filter(self, predicate: TensorPointer | Array) -> Self:
        """The rows that also satisfy the predicate; how many those are stays private.

        Args:
            predicate: a truth value per row, mostly made of columns (``table["age"] > 60``).

        Raises:
            DtypeError, ShapeError: it is something else.
            ForeignPointerError: it lives in another domain.
        """
        if not isinstance(predicate, TensorPointer):
            predicate = np.asarray(predicate)
        self._check_predicate(predicate)
        return type(self)(self._columns, mask=self._kept() & predicate)

    def count(self) -> TensorPointer:
        """How many rows count."""
        return self._kept().sum()

    def describe(self) -> "TablePointer":
        """A table of the same columns in float64, whose rows are ``STATISTICS``.

        Truth values are taken as 0 and 1.
        """
        count = self.count()
        return TablePointer({name: self._described(name, count) for name in self._columns})

    def groupby(self, column: str, keys: Sequence[float] | Array) -> TableGroups:
        """The rows by their value in a column: statistics with one element per key.

        Args:
            column: whose values are compared with the keys.
            keys: public values, in the order of the results; at most 4,096. Rows with other
                values, and with NaN, belong to no group, so the keys and the shape tell nothing.

        Raises:
            NoColumnError: there is no such column.
            DtypeError: keys that the column's dtype does not hold.
        """
        return TableGroups(self, column, keys)

    def value_counts(self, column: str, keys: Sequence[float] | Array) -> TensorPointer:
        """How many rows have each of the public keys in a column; as ``groupby(...).count()``."""
        return self.groupby(column, keys).count()

    def get(self, user: str | None = None) -> dict[str, Result]:
        """Takes the rows that count home, and what was computed for them away.

        Columns of datasets stay; columns that were computed, and the mask, are gone for other
        tables that have them, too. A get that fails takes nothing away.

        Args:
            user: whose right to use; see ``TensorPointer.get``.

        Returns:
            An array per column, all of the length of the number of rows that count.

        Raises:
            GetNotPermittedError: a source of a column or of the mask may not be taken home.
            P2PGridError: as of ``TensorPointer.get``.
        """
        values = self.get_copy(user)
        mask = () if self._mask is None else (self._mask,)
        held = (*self._columns.values(), *mask)
        free(*(pointer for pointer in held if pointer._batch is not None))
        return values

    @override
    def get_copy(self, user: str | None = None) -> dict[str, Result]:
        """Takes the rows that count home and leaves all as it was; else as ``get``."""
        kept = ... if self._mask is None else self._mask.get_copy(user)
        return {
            name: result_of(np.asarray(column.get_copy(user))[kept])
            for name, column in self._columns.items()
        }

    @override
    def __len__(self) -> int:
        return self.rows

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __contains__(self, name: object) -> bool:
        return name in self._columns

    @override
    def _display(self) -> Display:
        filtered = "" if self._mask is None else ", filtered"
        columns = [(name, dtype.name) for name, dtype in self.dtypes.items()]
        facts = (("rows", f"{self.rows:,}{filtered}"), *columns)
        return Display(f"TablePointer at {self._first._domain.name}", facts)

    @override
    def _columns_of(self, values: Any) -> dict[str, Array]:
        return dict(values)

    @override
    def _reduce(self, name: str, column: str, **settings: float) -> TensorPointer:
        masked = {} if self._mask is None else {"where": self._mask}
        result: TensorPointer = getattr(self.column(column), name)(**settings, **masked)
        return result

    @override
    def _grantable(self) -> Grantable:
        columns = tuple(column.block._face(name) for name, column in self._columns.items())
        mask = None if self._mask is None else self._mask.block._face("mask")
        objects = tuple(face.object_id for face in (*columns, mask) if face is not None)
        form = msgspec.msgpack.encode(TableForm(columns, mask))
        return Grantable(self._first._domain, objects, "table", form)

    def _kept(self) -> TensorPointer:
        """A truth value per row, at the domain: the mask, or simply True."""
        if self._mask is not None:
            return self._mask
        return (self._first == self._first) | True

    def _only(self, name: str) -> TensorPointer:
        """A column, when its pointer holds the rows of the table and no others."""
        column = self.column(name)
        if self._mask is not None:
            problem = (
                "its rows are filtered, and which ones are left is private; ask the table "
                f"(table.mean({name!r})), or take all rows with table.column({name!r})"
            )
            raise SchemaError(field=f"column {name[:40]!r}", problem=problem)
        return column

    def _described(self, name: str, count: TensorPointer) -> TensorPointer:
        """The statistics of one column."""
        column = self.column(name)
        numbers = column.astype("uint8") if column.dtype == np.bool_ else column
        table = TablePointer({name: numbers}, mask=self._mask)
        each = [count, table.mean(name), table.std(name), table.min(name)]
        each += [table.quantile(name, q) for q in (0.25, 0.5, 0.75)]
        each += [table.max(name)]
        stack: Callable[..., TensorPointer] = np.stack  # which asks the pointers
        return stack([value.astype("float64") for value in each])

    def _check_predicate(self, predicate: TensorPointer | Array) -> None:
        if isinstance(predicate, TensorPointer):
            self._first._same_domain(predicate)
        if predicate.dtype != np.bool_:
            raise DtypeError(operation="a filter of rows", dtypes=predicate.dtype.name)
        if predicate.shape != (self.rows,):
            found = f"{predicate.shape} and a table of {self.rows} rows"
            raise ShapeError(operation="filter", shapes=found)


def _check_columns(columns: Mapping[str, TensorPointer]) -> None:
    """Refuses what is no table: all shapes that are wrong are told at once."""
    if not columns:
        raise SchemaError(field="columns", problem="a table has at least one")
    first = next(iter(columns.values()))
    shape = first.shape[:1]
    wrong = [f"{n[:40]!r} {c.shape}" for n, c in columns.items() if c.shape != shape or not shape]
    if wrong:
        problem = f"a table has columns of one dimension and length, not {', '.join(wrong)}"
        raise SchemaError(field="columns", problem=problem)
    for column in columns.values():
        first._same_domain(column)
