"""Tables of any kind become the same arrays, or an error says what to do and tells no cell."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given, settings, strategies as st

from p2pgrid.client.cells import number_cells
from p2pgrid.client.conversion import convert
from p2pgrid.client.sources import read_source
from p2pgrid.errors import BoundsError, MissingValuesError, SourceError
from p2pgrid.protocol.arrays import Array
from p2pgrid.protocol.columns import CATEGORY, Column
from tests.unit.schemas import BIRTHS

NAMES = [column.name for column in BIRTHS.columns]
AGE = Column("age", "uint8", 0, 120)
WEIGHT = Column("weight", "float64", 0, 10)
SEX = Column("sex", CATEGORY, categories=("female", "male"))
WELL = Column("well", "bool")

ROWS = [("female", 3.25, 50.0), ("male", 4.0, 51.5), ("male", 2.5, 48.0)]
FRAME = pd.DataFrame(ROWS, columns=NAMES)
CODES = np.array([[0, 3.25, 50], [1, 4, 51.5], [1, 2.5, 48]], "float32")
CSV = "Gender,Weight,Height\nfemale,3.25,50\nmale,4.0,51.5\nmale, 2.5 ,48\n"
NO_VALUE = ["", "NA", "NaN", "null"]


def arrays_of(source: Any) -> dict[str, Array]:
    cells = read_source(source, NAMES)
    return {column.name: convert(cells[column.name], column) for column in BIRTHS.columns}


def csv(folder: Path, text: str) -> Path:
    path = folder / "births.csv"
    path.write_text(text)
    return path


def parquet(folder: Path, **columns: Any) -> Path:
    path = folder / "births.parquet"
    pq.write_table(pa.table(columns), path)
    return path


def stored(values: Any, column: Column, **settings: Any) -> Array:
    return convert(read_source({column.name: values})[column.name], column, **settings)


# --- every source gives the same --------------------------------------------------------------


@pytest.fixture(params=["pandas", "categorical", "mapping", "numpy", "torch", "csv", "parquet"])
def source(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """The same three births, in one form or another."""
    columns = {name: FRAME[name].tolist() for name in NAMES}
    makers: dict[str, Callable[[], Any]] = {
        "pandas": lambda: FRAME,
        "categorical": lambda: FRAME.astype({"Gender": "category"}),
        "mapping": lambda: {name: np.array(values) for name, values in columns.items()},
        "numpy": lambda: CODES,
        "torch": lambda: torch.tensor(CODES, requires_grad=True),
        "csv": lambda: csv(tmp_path, CSV),
        "parquet": lambda: parquet(tmp_path, **columns),
    }
    return makers[request.param]()


def test_c40_every_source_gives_the_same_arrays(source: Any) -> None:
    arrays = arrays_of(source)
    assert list(arrays) == NAMES
    for column, expected in zip(BIRTHS.columns, CODES.T, strict=True):
        assert arrays[column.name].dtype == column.dtype
        np.testing.assert_array_equal(arrays[column.name], expected.astype(column.dtype))


def test_one_column_may_have_cells_of_any_shape() -> None:
    images = np.arange(24).reshape(2, 3, 4)
    cells = read_source(images, ["image"])["image"]
    column = Column("image", "uint8", 0, 255, shape=(3, 4))
    np.testing.assert_array_equal(convert(cells, column), images)


def test_neither_pandas_nor_torch_nor_pyarrow_is_imported() -> None:
    program = (
        "import sys, numpy as np, p2pgrid.client.sources as s; s.read_source({'a': np.ones(2)});"
        "print({'pandas', 'torch', 'pyarrow'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    assert done.stdout.strip() == "set()"


def test_a_file_without_the_extra_says_what_to_install(tmp_path: Path) -> None:
    program = (
        "import sys; sys.modules['pyarrow'] = None\n"
        "from p2pgrid.client.sources import read_source\n"
        "from p2pgrid.errors import MissingExtraError\n"
        "try: read_source(sys.argv[1])\n"
        "except MissingExtraError as error: print(error)\n"
    )
    command = [sys.executable, "-c", program, str(csv(tmp_path, CSV))]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert "pip install 'p2pgrid[tables]'" in done.stdout


# --- what a cell means is declared ------------------------------------------------------------


@pytest.mark.parametrize(
    ("texts", "column", "expected"),
    [
        (["7", "+8", "009"], AGE, [7, 8, 9]),
        (["1.5", ".5", "2.", "1e0"], WEIGHT, [1.5, 0.5, 2, 1]),
        (["5.0", "6"], AGE, [5, 6]),
        (["True", "no", "1", "FALSE"], WELL, [1, 0, 1, 0]),
        (["male", "female"], SEX, [1, 0]),
        (["9007199254740993"], Column("id", "int64", 0, 2**63 - 1), [2**53 + 1]),
        (["18446744073709551615"], Column("id", "uint64", 0, 2**64 - 1), [2**64 - 1]),
    ],
)
def test_a_text_is_read_as_its_column_says(
    texts: list[str], column: Column, expected: list[float]
) -> None:
    assert stored(texts, column).tolist() == expected


@pytest.mark.parametrize(
    ("texts", "column", "says"),
    [
        (["7", "SECRET", "x"], AGE, "2 of 3 cells are no numbers, the first in row 1"),
        (["1_000"], AGE, "no numbers"),
        (["0x10"], AGE, "no numbers"),
        (["\u0661"], AGE, "no numbers"),
        (["1,5"], WEIGHT, "no numbers"),
        (["maybe", "SECRET"], WELL, "2 of 2 cells are none of true"),
        (["male", "SECRET"], SEX, "1 of 2 cells are none of its 2 labels, the first in row 1"),
        (["Male"], SEX, "none of its 2 labels"),
        (["1.5"], AGE, "no whole numbers"),
    ],
)
def test_a_text_that_is_something_else_is_refused_and_not_told(
    texts: list[str], column: Column, says: str
) -> None:
    with pytest.raises(SourceError, match=says) as refused:
        stored(texts, column)
    assert "SECRET" not in str(refused.value)


@pytest.mark.parametrize("text", ["300", "9" * 400, "-1", "1e400", "9" * 5000])
def test_a_number_in_a_text_is_held_against_the_bounds(text: str) -> None:
    with pytest.raises(BoundsError, match=r"1 of 1 values lie outside \[0, 120\]"):
        stored([text], AGE)


def test_a_number_in_a_column_of_categories_is_a_code() -> None:
    assert stored([1, 0], SEX).tolist() == [1, 0]
    with pytest.raises(BoundsError):
        stored([2], SEX)


@settings(max_examples=100)
@given(values=st.lists(st.floats(-20, 20), min_size=1, max_size=8), clip=st.booleans())
def test_numbers_and_their_texts_mean_the_same(values: list[float], clip: bool) -> None:
    spelled = [repr(value) for value in values]
    results = []
    for given_values in (values, spelled):
        try:
            results.append(stored(given_values, WEIGHT, clip=clip).tolist())
        except BoundsError as error:
            results.append((error.count, error.first))
    assert results[0] == results[1]


# --- cells without a value --------------------------------------------------------------------


@pytest.mark.parametrize(
    "values",
    [
        np.array([7, np.nan, 9]),
        pd.Series([7, None, 9], dtype="Int64"),
        pd.Series([7, None, 9], dtype="Float64"),
        pd.Series(["7", None, "9"]),
        np.array(["7", None, "9"], object),
        torch.tensor([7, float("nan"), 9]),
    ],
    ids=["numpy", "Int64", "Float64", "str", "object", "torch"],
)
@pytest.mark.parametrize("column", [AGE, WEIGHT], ids=lambda column: column.type)
def test_a_missing_value_is_refused_or_replaced_by_a_public_one(
    values: Any, column: Column
) -> None:
    with pytest.raises(MissingValuesError, match="1 of 3 cells hold no value") as refused:
        stored(values, column, clip=True)
    assert refused.value.first == 1
    assert stored(values, column, missing=5, clip=True).tolist() == [7, 5, 9]


def test_a_number_that_is_none_is_missing_also_where_the_source_did_not_say_so() -> None:
    cells = number_cells("a", np.array([np.nan, 0, 7]), np.array([False, True, False]))
    assert cells.missing.tolist() == [True, True, False]


@pytest.mark.parametrize("text", NO_VALUE)
def test_cells_of_files_without_a_value_are_missing(text: str, tmp_path: Path) -> None:
    cells = read_source(csv(tmp_path, f"age,sex\n7,male\n{text},{text}\n"))
    assert convert(cells["age"], AGE, missing=1).tolist() == [7, 1]
    assert convert(cells["sex"], SEX, missing="female").tolist() == [1, 0]


def test_a_label_that_looks_like_no_value_is_a_label(tmp_path: Path) -> None:
    cells = read_source(csv(tmp_path, "country\nNA\n\nDE\nNone\n"))["country"]
    country = Column("country", CATEGORY, categories=("DE", "NA"))
    with pytest.raises(MissingValuesError, match="1 of 3 cells"):
        convert(cells, country)
    assert convert(cells, country, missing="DE").tolist() == [1, 0, 0]


def test_nulls_of_parquet_are_missing(tmp_path: Path) -> None:
    cells = read_source(
        parquet(
            tmp_path,
            age=pa.array([7, None], pa.int8()),
            weight=pa.array([None, 2.5]),
            well=pa.array([True, None]),
            sex=pa.array(["male", None]).dictionary_encode(),
        )
    )
    assert convert(cells["age"], AGE, missing=1).tolist() == [7, 1]
    assert convert(cells["weight"], WEIGHT, missing=1).tolist() == [1, 2.5]
    assert convert(cells["well"], WELL, missing=0).tolist() == [True, False]
    assert convert(cells["sex"], SEX, missing="female").tolist() == [1, 0]


@pytest.mark.parametrize(("missing", "column"), [(121, AGE), ("divers", SEX), (1.5, AGE)])
def test_what_stands_in_for_missing_values_is_checked_even_when_none_is(
    missing: Any, column: Column
) -> None:
    with pytest.raises((BoundsError, SourceError)):
        stored([1, 0], column, missing=missing)


# --- what is no column ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "says"),
    [
        (np.array(["a", 1], object), "int and str"),
        (pd.Series(["a", 1], dtype=object), "int and str"),
        (pd.to_datetime(["2020-02-01"]).to_series(), "Timestamp"),
        (np.array(["2020-02-01"], "datetime64[D]"), "datetime64"),
        (np.array([1j]), "complex128"),
        ([[1], [1, 2]], "cannot be read as an array"),
        (torch.tensor([1.0], dtype=torch.bfloat16), "cannot be read as an array"),
        (7, "is no column"),
        (np.array([{}], object), "dict"),
    ],
)
def test_a_column_of_something_else_is_refused_by_its_name(values: Any, says: str) -> None:
    with pytest.raises(SourceError, match=says) as refused:
        stored(values, AGE)
    assert "'age'" in str(refused.value)


@pytest.mark.parametrize("shape", [(3,), (3, 2), (3, 3, 3)])
def test_an_array_has_a_column_for_every_name(shape: tuple[int, ...]) -> None:
    with pytest.raises(SourceError, match="3 columns need"):
        read_source(np.zeros(shape), NAMES)


def test_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    twice = pd.DataFrame([[1, 2]], columns=["a", "a"])
    for source in (twice, csv(tmp_path, "a,a\n1,2\n")):
        with pytest.raises(SourceError, match="columns of one name: a"):
            read_source(source)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.xlsx", b"", "is no .csv or .parquet file"),
        ("a.csv", b"", "damaged, empty"),
        ("a.csv", b"a\n\xff\xfe\n", "no UTF-8 text"),
        ("a.csv", b"a,b\n1,2\nSECRET\n3,4\n", "1 lines have another number of cells"),
        ("a.parquet", b"PAR1SECRET", "damaged"),
    ],
)
def test_a_broken_file_is_refused_and_not_told(
    name: str, content: bytes, says: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SourceError, match=says) as refused:
        read_source(tmp_path / name)
    assert "SECRET" not in str(refused.value)
    assert str(tmp_path) not in str(refused.value)
    assert refused.value.__cause__ is None


def test_a_file_that_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="No such file"):
        read_source(tmp_path / "births.csv")


def test_cells_do_not_show_what_is_in_them(tmp_path: Path) -> None:
    cells = read_source(csv(tmp_path, "a\nSECRET\n"))
    assert repr(cells["a"]).startswith("<Cells of shape (1,)")
    assert "SECRET" not in repr(cells)


def test_texts_with_commas_and_line_ends_are_cells(tmp_path: Path) -> None:
    cells = read_source(csv(tmp_path, 'a,b\n"x, y","1\n2"\n'))
    assert cells["a"].values.tolist() == ["x, y"]
