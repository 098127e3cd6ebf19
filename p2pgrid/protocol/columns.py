"""One column of a tensor, as the public knows it: its name, its type, and its bounds.

Rule 1: bounds are public, so they come from what is known without the data: a scale, a law of
nature, a form's choices. Nothing here, or above, derives them from values. They are finite, and
``low <= high``.
Rule 2: equal columns are equal values: bounds are kept as numbers of the column's own type, and
texts in one Unicode form, so that what is hashed does not depend on how somebody wrote it.
"""

import math

import numpy as np
from msgspec import Struct
from msgspec.structs import force_setattr

from p2pgrid.errors import SchemaError
from p2pgrid.protocol.arrays import DTYPES
from p2pgrid.protocol.text import plain_text

CATEGORY = "category"
TYPES = (*DTYPES, CATEGORY)
"""What a column may hold. Texts cannot be stored yet: a fixed set of them is a category."""

MAX_NAME = 128
MAX_DESCRIPTION = 2048
MAX_UNIT = 32
MAX_CATEGORIES = 4096
MAX_CELL_DIMS = 8
MAX_CELL_SIZE = 1 << 24

Number = int | float


class Column(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Name, type, public bounds and meaning of one column; valid once it exists.

    ``low`` and ``high`` have to be given for numbers; those of truth values and categories follow
    from the type. A bound of a float column is rounded to the nearest number of its dtype.

    Raises:
        SchemaError: a field holds what it may not; the error names it.
    """

    name: str
    type: str
    """One of ``TYPES``."""
    low: Number = math.nan
    """Smallest value, inclusive."""
    high: Number = math.nan
    """Largest value, inclusive."""
    categories: tuple[str, ...] = ()
    """Labels of a category, in the order of their codes: 0, 1, ..."""
    description: str = ""
    unit: str = ""
    shape: tuple[int, ...] = ()
    """Of one cell: ``()`` for a number, ``(28, 28)`` for a small image."""

    def __post_init__(self) -> None:
        """Checks every field, and brings it into its one form."""
        name = plain_text("name of a column", self.name, least=1, most=MAX_NAME)
        force_setattr(self, "name", name)
        self._set_text("description", most=MAX_DESCRIPTION, lines=True)
        self._set_text("unit", most=MAX_UNIT)
        if self.type not in TYPES:
            raise SchemaError(field=self._field("type"), problem=_unknown_type(self.type))
        self._set_categories()
        self._set_bounds()
        self._set_shape()

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """How it is stored; categories by their codes, in one byte or two."""
        if self.type == CATEGORY:
            return DTYPES["uint8" if len(self.categories) <= 1 << 8 else "uint16"]
        return DTYPES[self.type]

    @property
    def is_number(self) -> bool:
        """False of categories and truth values, whose stored numbers have no order."""
        return self.type not in (CATEGORY, "bool")

    @property
    def bounds(self) -> str:
        """Both bounds for people to read, as short as the dtype allows."""
        return f"[{shortest(self.low, self.dtype)}, {shortest(self.high, self.dtype)}]"

    @property
    def kind(self) -> str:
        """The type for people to read: with the shape of a cell that has one."""
        return f"{self.type} {self.shape}" if self.shape else self.type

    def _field(self, name: str) -> str:
        return f"{name} of column {self.name[:40]!r}"

    def _set_text(self, name: str, *, most: int, lines: bool = False) -> None:
        text = plain_text(self._field(name), getattr(self, name), most=most, lines=lines)
        force_setattr(self, name, text)

    def _set_categories(self) -> None:
        field = self._field("categories")
        if (self.type == CATEGORY) != bool(self.categories):
            problem = f"a column of type {CATEGORY!r} has labels, and no other has"
            raise SchemaError(field=field, problem=problem)
        if len(self.categories) > MAX_CATEGORIES:
            problem = f"has {len(self.categories):,} labels; {MAX_CATEGORIES:,} are allowed"
            raise SchemaError(field=field, problem=problem)
        given: object = self.categories
        if isinstance(given, str):
            raise SchemaError(field=field, problem="expected labels, got one text")
        labels = tuple(
            plain_text(field, label, least=1, most=MAX_NAME) for label in self.categories
        )
        if len(set(labels)) < len(labels):
            raise SchemaError(field=field, problem="a label comes twice; codes would be ambiguous")
        force_setattr(self, "categories", labels)

    def _set_bounds(self) -> None:
        implied = {"bool": 1, CATEGORY: len(self.categories) - 1}.get(self.type)
        if implied is not None:
            self._set_implied_bounds(implied)
            return
        low, high = (self._bound(name) for name in ("low", "high"))
        if low > high:
            problem = f"low is {low}, which is more than high, {high}"
            raise SchemaError(field=self._field("bounds"), problem=problem)
        force_setattr(self, "low", low)
        force_setattr(self, "high", high)

    def _set_implied_bounds(self, high: int) -> None:
        for name, implied in (("low", 0), ("high", high)):
            given = getattr(self, name)
            if given != implied and not _is_nan(given):
                problem = f"is {given} for the type {self.type}, and follows from it: {implied}"
                raise SchemaError(field=self._field(name), problem=problem)
            force_setattr(self, name, implied)

    def _bound(self, name: str) -> Number:
        """A bound as a number of the column's type."""
        given = getattr(self, name)
        if isinstance(given, np.generic):
            given = given.item()
        if isinstance(given, bool) or not isinstance(given, int | float):
            problem = f"expected a number, got {type(given).__name__}"
            raise SchemaError(field=self._field(name), problem=problem)
        if not -math.inf < given < math.inf:
            problem = (
                f"{'is not given' if math.isnan(given) else f'is {given}'}; give a finite number "
                "that is known without the data, such as the end of the scale (bounds are never "
                "inferred from values)"
            )
            raise SchemaError(field=self._field(name), problem=problem)
        stored = _as_stored(given, self.dtype)
        if stored is None:
            problem = f"{str(given)[:40]} is no number of the type {self.type}"
            raise SchemaError(field=self._field(name), problem=problem)
        return stored

    def _set_shape(self) -> None:
        shape = tuple(self.shape)
        fair = all(1 <= size <= MAX_CELL_SIZE for size in shape)
        if len(shape) > MAX_CELL_DIMS or not fair or math.prod(shape) > MAX_CELL_SIZE:
            problem = (
                f"expected at most {MAX_CELL_DIMS} sizes from 1 on, "
                f"for at most {MAX_CELL_SIZE:,} numbers"
            )
            raise SchemaError(field=self._field("shape"), problem=problem)
        force_setattr(self, "shape", shape)


def shortest(number: Number, dtype: np.dtype[np.generic]) -> str:
    """The shortest text that means this number in its dtype: 0.1, not 0.10000000149011612."""
    return str(dtype.type(number)) if dtype.kind == "f" else str(number)


def _is_nan(given: object) -> bool:
    """True of the default of a bound: it was not given."""
    return isinstance(given, float) and math.isnan(given)


def _as_stored(given: Number, dtype: np.dtype[np.generic]) -> Number | None:
    """The nearest number of a float dtype, or this number of an integer dtype; None: none."""
    if dtype.kind == "f":
        return _as_float(given, dtype)
    limits = np.iinfo(dtype.name)
    whole = given == math.floor(given) and limits.min <= given <= limits.max
    return int(given) if whole else None


def _as_float(given: Number, dtype: np.dtype[np.generic]) -> float | None:
    try:
        with np.errstate(over="ignore"):
            stored = float(np.float64(float(given)).astype(dtype))
    except OverflowError:  # an integer beyond all floats
        return None
    return stored + 0.0 if math.isfinite(stored) else None  # -0.0 + 0.0 is 0.0


def _unknown_type(given: object) -> str:
    if given in ("str", "text", "string", "object"):
        return "texts cannot be stored yet; make it a category with fixed labels, or leave it out"
    return f"{str(given)[:40]!r} is none of {', '.join(TYPES)}"
