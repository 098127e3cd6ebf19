"""Data: change them, or the expression."""

from p2pgrid.errors.base import P2PGridError


class DataError(P2PGridError):
    """The data or the expression has to change."""

    code = 400


class ShapeError(DataError, ValueError):
    """Shapes do not fit each other; raised before anything is sent."""

    code = 401

    def __init__(self, *, operation: str, shapes: str) -> None:
        super().__init__(f"{operation}: shapes {shapes} do not fit; reshape or slice an operand")
        self.operation, self.shapes = operation, shapes


class DtypeError(DataError, TypeError):
    """A dtype is not allowed here."""

    code = 402

    def __init__(self, *, operation: str, dtypes: str) -> None:
        super().__init__(f"{operation} is not defined for dtype {dtypes}; convert an operand")
        self.operation, self.dtypes = operation, dtypes


class RemoteIndexError(DataError, IndexError):
    """An index lies outside the public shape."""

    code = 403

    def __init__(self, *, index: str, shape: str) -> None:
        super().__init__(f"index {index} is out of bounds for a remote array of shape {shape}")
        self.index, self.shape = index, shape


class TooLargeError(DataError):
    """Something is over a limit."""

    code = 404

    def __init__(self, *, what: str, size: int, limit: int) -> None:
        super().__init__(f"{what} is {size:,}, but at most {limit:,} is allowed")
        self.what, self.size, self.limit = what, size, limit


class DuplicateError(DataError):
    """The name or id is taken by something else."""

    code = 405

    def __init__(self, *, what: str, name: str) -> None:
        super().__init__(f"{what} {name!r} exists already; choose another name")
        self.what, self.name = what, name


class SchemaError(DataError, ValueError):
    """A description of data misses something or holds what it may not."""

    code = 406

    def __init__(self, *, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field, self.problem = field, problem


class ArgumentError(DataError, TypeError):
    """A call does not fit the method's signature; names and types are told, never values."""

    code = 407

    def __init__(self, *, call: str, problem: str) -> None:
        super().__init__(f"{call} {problem}")
        self.call, self.problem = call, problem


class ValueTypeError(DataError, TypeError):
    """A value of this type cannot cross a border, because it could only be pickled."""

    code = 408

    def __init__(self, *, kind: str) -> None:
        super().__init__(
            f"a {kind} cannot travel; use None, numbers, text, bytes, arrays, pointers, "
            "and lists, tuples or dicts of them"
        )
        self.kind = kind


class InvalidQueryError(DataError, ValueError):
    """A search asks for what cannot be searched for."""

    code = 409

    def __init__(self, *, form: str, problem: str) -> None:
        super().__init__(f"search by {form}: {problem}")
        self.form, self.problem = form, problem


class SchemaMismatchError(DataError, ValueError):
    """A table is not what its schema says, or two schemas that should be one differ."""

    code = 420

    def __init__(self, *, where: str, column: str, found: str, expected: str) -> None:
        super().__init__(
            f"{where}: {column} is {found}, but the schema says {expected}; "
            "all splits and all members have one schema: change the data, or the schema of all"
        )
        self.where, self.column, self.found, self.expected = where, column, found, expected


class BoundsError(DataError, ValueError):
    """Values lie outside the public bounds of their column; for the owner's eyes only.

    It says how many, which is private: it is raised on the owner's machine before anything is
    sent, and never crosses the wire. No value is in it.
    """

    code = 421

    def __init__(self, *, column: str, count: int, total: int, first: int, bounds: str) -> None:
        super().__init__(
            f"column {column!r}: {count:,} of {total:,} values lie outside {bounds}, the first in "
            f"row {first:,} (from 0); correct them, give bounds that public knowledge justifies, "
            "or have them clipped"
        )
        self.column, self.count, self.total, self.first = column, count, total, first
        self.bounds = bounds


class MissingValuesError(DataError, ValueError):
    """Cells without a value; for the owner's eyes only, like ``BoundsError``."""

    code = 422

    def __init__(self, *, column: str, count: int, total: int, first: int) -> None:
        super().__init__(
            f"column {column!r}: {count:,} of {total:,} cells hold no value, the first in row "
            f"{first:,} (from 0); give a public value to put there (missing = ... in a code book), "
            "or leave the column out"
        )
        self.column, self.count, self.total, self.first = column, count, total, first


class SourceError(DataError, ValueError):
    """A table or a file holds what cannot be published as it is; no cell is in the text."""

    code = 423

    def __init__(self, *, source: str, problem: str) -> None:
        super().__init__(f"{source}: {problem}")
        self.source, self.problem = source, problem


class UnfitValuesError(DataError, ValueError):
    """A domain refuses values that are not what their schema says.

    Only the owner who publishes them learns of it: it says how many there are, and no value.
    """

    code = 424

    def __init__(self, *, what: str, problem: str) -> None:
        super().__init__(
            f"{what}: {problem}; nothing was published, prepare the dataset again from its source"
        )
        self.what, self.problem = what, problem
