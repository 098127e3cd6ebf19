"""CSV and Parquet files as columns of cells, read by pyarrow, which the extra ``tables`` brings.

One library reads both, and can be told not to guess: cells of a CSV file stay texts, whatever they
look like, until the type that a schema declares reads them. What pyarrow says about a bad line
holds the line, so its errors are replaced.
"""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from p2pgrid.client.cells import TEXT, Cells, number_cells, require_once, text_cells
from p2pgrid.errors import MissingExtraError, SourceError
from p2pgrid.protocol.arrays import DTYPES
from p2pgrid.protocol.columns import CATEGORY

NO_VALUE = frozenset(("", "NA", "N/A", "NaN", "nan", "NULL", "null", "None"))
"""Cells of a CSV file that hold no value."""

ARROW_TYPES = {
    **{name: name for name in DTYPES},
    "halffloat": "float16",
    "float": "float32",
    "double": "float64",
    "string": CATEGORY,
    "large_string": CATEGORY,
}
"""What arrow calls the types of columns."""


def read_file(path: Path, *, leave_out: Collection[str] = ()) -> dict[str, Cells]:
    """The columns of a file by name, in its order.

    Args:
        path: of a .csv or .parquet file.
        leave_out: columns that are not wanted; they may hold what cannot be published.

    Raises:
        MissingExtraError: pyarrow is not installed.
        SourceError: it is no such file, or is broken; the error tells no cell.
    """
    read = _read_csv if _is_csv(path) else _read_parquet
    with _translated_errors(path):
        return read(path, leave_out)


def declared_types(path: Path) -> dict[str, str]:
    """The type of each column that the file declares, in its order; empty where it declares none.

    No cell is read. A CSV file declares names only.

    Raises:
        MissingExtraError, SourceError: as of ``read_file``.
    """
    is_csv = _is_csv(path)
    with _translated_errors(path):
        if is_csv:
            return dict.fromkeys(_csv_header(path), "")
        schema = _arrow(".parquet").read_schema(path)
    require_once(path.name, schema.names)
    return {field.name: _declared_type(field.type) for field in schema}


def _is_csv(path: Path) -> bool:
    kind = path.suffix.lower()
    if kind not in (".csv", ".parquet"):
        problem = "is no .csv or .parquet file; convert it to one"
        raise SourceError(source=path.name, problem=problem)
    return kind == ".csv"


def _declared_type(kind: Any) -> str:
    if _arrow(".types").is_dictionary(kind):
        return _declared_type(kind.value_type)
    return ARROW_TYPES.get(str(kind), "")


def _csv_header(path: Path) -> list[str]:
    csv = _arrow(".csv")
    parse = csv.ParseOptions(newlines_in_values=True, invalid_row_handler=lambda _: "skip")
    with csv.open_csv(path, parse_options=parse) as reader:
        header: list[str] = reader.schema.names
    require_once(path.name, header)
    return header


def _read_csv(path: Path, leave_out: Collection[str]) -> dict[str, Cells]:
    csv, string = _arrow(".csv"), _arrow().string()
    header = _csv_header(path)
    skipped: list[Any] = []

    def skip(line: Any) -> str:
        skipped.append(line)
        return "skip"

    parse = csv.ParseOptions(newlines_in_values=True, invalid_row_handler=skip)
    texts = csv.ConvertOptions(column_types=dict.fromkeys(header, string))
    found = csv.read_csv(path, parse_options=parse, convert_options=texts)
    if skipped:
        problem = (
            f"{len(skipped):,} lines have another number of cells than the header: one has "
            f"{skipped[0].actual_columns} instead of {len(header)}; quote cells that hold commas"
        )
        raise SourceError(source=path.name, problem=problem)
    return {name: _csv_cells(found[name]) for name in header if name not in leave_out}


def _csv_cells(column: Any) -> Cells:
    cells = [cell.strip() for cell in column.to_pylist()]
    missing = np.fromiter((cell in NO_VALUE for cell in cells), bool, len(cells))
    return Cells(np.array(cells, TEXT), missing)


def _read_parquet(path: Path, leave_out: Collection[str]) -> dict[str, Cells]:
    table = _arrow(".parquet").read_table(path)
    require_once(path.name, table.column_names)
    wanted = [name for name in table.column_names if name not in leave_out]
    return {name: _parquet_cells(name, table[name]) for name in wanted}


def _parquet_cells(name: str, column: Any) -> Cells:
    types = _arrow(".types")
    if types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    missing = column.is_null().to_numpy()
    if types.is_string(column.type) or types.is_large_string(column.type):
        return text_cells(name, np.array(column.to_pylist(), object), missing)
    if types.is_boolean(column.type):
        return number_cells(name, column.fill_null(False).to_numpy(), missing)
    if types.is_integer(column.type):
        return number_cells(name, column.fill_null(0).to_numpy(), missing)
    return number_cells(name, column.to_numpy())


def _arrow(module: str = "") -> Any:
    try:
        return import_module(f"pyarrow{module}")
    except ImportError as error:
        raise MissingExtraError(extra="tables", needed_for="reading CSV and Parquet") from error


@contextmanager
def _translated_errors(path: Path) -> Iterator[None]:
    arrow = _arrow()
    try:
        yield
    except arrow.ArrowException:
        problem = "is damaged, empty, or no UTF-8 text; nothing of it was read"
        raise SourceError(source=path.name, problem=problem) from None
    except OSError as error:
        problem = f"cannot be read: {error.strerror}"
        raise SourceError(source=path.name, problem=problem) from error
