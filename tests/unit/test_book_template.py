"""A code book to fill in is made of what a file declares, and of none of its cells."""

import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, strategies as st

from p2pgrid.client.book_template import code_book_template
from p2pgrid.client.codebook import read_code_book
from p2pgrid.client.table_files import declared_types
from p2pgrid.errors import SchemaError, SourceError

TYPES = {"mother": "", "kg": "float32", "sex": "category", "well": "bool"}
HEADER = "mother,sex,kg\n"
FILLED = [
    ('name = ""', 'name = "Births"'),
    ('schema = ""', 'schema = "births"'),
    ('"""\n"""', '"""Births of February."""'),
    ("tags = []", 'tags = ["#births"]'),
    ('type = ""\n# low =\n# high =', "drop = true"),
    ("# low =\n# high =", "low = 0\nhigh = 10"),
    ("categories = []", 'categories = ["female", "male"]'),
]


def filled(template: str) -> str:
    for blank, text in FILLED:
        assert blank in template
        template = template.replace(blank, text)
    return template


def csv(folder: Path, text: str) -> Path:
    path = folder / "births.csv"
    path.write_text(text)
    return path


def test_a_template_is_a_code_book_once_it_is_filled_in() -> None:
    book = read_code_book(filled(code_book_template(TYPES)))
    columns = book.dataset_schema()["data"].columns
    assert [(column.name, column.type) for column in columns] == [
        ("kg", "float32"),
        ("sex", "category"),
        ("well", "bool"),
    ]
    assert (columns[0].low, columns[0].high) == (0, 10)
    assert book.dropped == ("mother",)


@pytest.mark.parametrize(
    ("left", "says"),
    [
        (FILLED[4], "column 'mother' needs a type and bounds, or drop = true"),
        (FILLED[5], "low of column 'kg': is not given"),
        (FILLED[6], "categories of column 'sex'"),
    ],
)
def test_a_blank_that_is_left_is_named(left: tuple[str, str], says: str) -> None:
    text = filled(code_book_template(TYPES)).replace(left[1], left[0])
    with pytest.raises(SchemaError, match=says):
        read_code_book(text).dataset_schema()


@given(names=st.lists(st.text(st.characters(exclude_categories=["Cs"])), unique=True))
def test_every_name_of_a_column_can_be_written_down(names: list[str]) -> None:
    template = code_book_template(dict.fromkeys(names, "int8"))
    assert list(tomllib.loads(template).get("columns", {})) == names
    assert all(letter.isprintable() or letter == "\n" for letter in template)


def test_a_template_of_a_csv_file_is_the_same_whatever_its_cells_hold(tmp_path: Path) -> None:
    templates = {
        code_book_template(declared_types(csv(tmp_path, HEADER + rows)))
        for rows in ("", "anna,female,3.25\n", "SECRET,1,true\nSECRET\n")
    }
    assert len(templates) == 1
    assert declared_types(csv(tmp_path, HEADER)) == {"mother": "", "sex": "", "kg": ""}


def test_a_parquet_file_declares_its_types(tmp_path: Path) -> None:
    path = tmp_path / "births.parquet"
    columns: dict[str, Any] = {
        "id": np.array([77, 78], "uint16"),
        "half": np.array([1, 2], "float16"),
        "kg": np.array([1, 2], "float32"),
        "cm": [1.5, 2.5],
        "sex": ["male", "female"],
        "ward": pa.array(["a", "b"]).dictionary_encode(),
        "well": [True, False],
        "when": pa.array([1, 2], pa.timestamp("s")),
    }
    pq.write_table(pa.table(columns), path)
    assert declared_types(path) == {
        "id": "uint16",
        "half": "float16",
        "kg": "float32",
        "cm": "float64",
        "sex": "category",
        "ward": "category",
        "well": "bool",
        "when": "",
    }
    template = code_book_template(declared_types(path))
    assert not any(secret in template for secret in ("77", "2.5", "female"))


def test_what_is_no_table_has_no_template(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="columns of one name: a; rename them"):
        declared_types(csv(tmp_path, "a,a\n1,2\n"))
    with pytest.raises(SourceError, match=r"is no \.csv or \.parquet file"):
        declared_types(tmp_path / "births.xlsx")
