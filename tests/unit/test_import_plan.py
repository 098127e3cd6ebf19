"""A code book says what a file means; a plan shows what will be public, before anything is."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from p2pgrid.client.codebook import CodeBook, read_code_book
from p2pgrid.client.import_plan import ImportPlan, plan_import
from p2pgrid.client.sources import read_source
from p2pgrid.client.table_files import read_file
from p2pgrid.errors import (
    BoundsError,
    BudgetPolicyError,
    SchemaError,
    SourceError,
)

BOOK = """
name = "Birth records"
schema = "birth records"
description = '''
Births of February.
Weighed by midwives, in a word: heavy.'''
tags = ["#February", "#birth-records"]
entity = "mother"
metadata = { collected = 2019 }

[columns.kg]
name = "Weight"
type = "float32"
low = 0
high = 10
unit = "kg"
missing = 3.5

[columns.sex]
type = "category"
categories = ["female", "male"]
tensor = "target"

[columns.zip]
drop = true
"""
FILE = "mother,sex,kg,zip\nanna,female,3.25,94110\nbert,male,,94111\nanna,male,2.5,94110\n"


def book(*changes: tuple[str, str]) -> CodeBook:
    text = BOOK
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return read_code_book(text)


@pytest.fixture
def plan(tmp_path: Path) -> ImportPlan:
    return planned(tmp_path, book())


def planned(folder: Path, using: CodeBook, text: str = FILE, *, clip: bool = False) -> ImportPlan:
    path = folder / "births.csv"
    path.write_text(text)
    return plan_import(using, {"train": read_source(path)}, frameworks=("NP",), clip=clip)


def test_a_file_becomes_the_dataset_that_the_book_describes(plan: ImportPlan) -> None:
    dataset = plan.dataset
    assert (dataset.name, dataset.tags) == ("Birth records", ("february", "birth-records"))
    assert dataset.rows == {"train": 3}
    assert list(dataset.schema) == ["data", "target"]
    assert dataset.tensors["data"].columns["Weight"].tolist() == [3.25, 3.5, 2.5]
    assert dataset.tensors["target"].columns["sex"].tolist() == [0, 1, 1]
    assert dataset.entities.rows["train"].index().tolist() == [0, 1, 0]
    assert dataset.entities.keys == ("anna", "bert")


def test_a_plan_shows_all_that_will_be_public(plan: ImportPlan) -> None:
    shown, private = repr(plan).split("Stays private")
    for public in (
        "Birth records",
        "Births of February. Weighed by midwives, in a word: heavy.",
        "#february #birth-records",
        "collected=2019",
        "train 3",
        "Weight",
        "[0.0, 10.0]",
        "kg",
        "female, male",
        plan.dataset.schema.id,
    ):
        assert public in shown
    assert "told by column 'mother'" in private
    assert "kg: 3.5" in private
    assert "Is left out, here already: zip" in private


def test_a_plan_cuts_nothing_of_what_will_be_public(tmp_path: Path) -> None:
    long = "word " * 100
    using = book(
        ("Births of February.", long), ('unit = "kg"', f'unit = "kg"\ndescription = "{long}"')
    )
    assert repr(planned(tmp_path, using)).count(long.strip()) == 2


def test_a_plan_shows_no_value_and_no_key(plan: ImportPlan) -> None:
    shown = repr(plan) + repr(plan.dataset) + str(plan.public)
    for private in ("3.25", "2.5", "anna", "bert", "94110"):
        assert private not in shown


def test_the_same_columns_make_the_same_schema_under_another_name() -> None:
    elsewhere = book(
        ("Birth records", "Births, county"), ("#February", "#county"), ("2019", "2020")
    )
    assert elsewhere.dataset_schema().id == book().dataset_schema().id


def test_without_an_entity_every_row_is_somebody_elses(tmp_path: Path) -> None:
    using = book(
        ('entity = "mother"', ""), ("[columns.zip]", "[columns.mother]\ndrop = true\n[columns.zip]")
    )
    plan = planned(tmp_path, using)
    assert len(plan.dataset.entities) == 3
    assert "every row somebody else's" in repr(plan)
    assert "mother, zip" in repr(plan)


def test_an_entity_is_published_only_when_it_has_an_entry(tmp_path: Path) -> None:
    text = FILE.replace("anna", "7").replace("bert", "8")
    entry = '[columns.mother]\ntype = "uint8"\nlow = 0\nhigh = 9\n[columns.zip]'
    plan = planned(tmp_path, book(("[columns.zip]", entry)), text)
    assert plan.dataset.tensors["data"].columns["mother"].tolist() == [7, 8, 7]
    assert plan.dataset.entities.keys == ("7", "8")


def test_a_budget_in_the_book_is_that_of_every_entity(tmp_path: Path) -> None:
    numbers = "[budget]\nlifetime_train = 3\nuser_lifetime_train = 1.5\n"
    plan = planned(tmp_path, book(("[columns.kg]", f"{numbers}[columns.kg]")))
    assert plan.public.worst_case_user_budget.user_lifetime_train == 1.5
    assert "train 0 <= 0 <= 1.5 <= 3" in repr(plan)


def test_every_split_has_the_schema_of_the_book(tmp_path: Path) -> None:
    path = tmp_path / "births.csv"
    path.write_text(FILE)
    table = read_source(path)
    plan = plan_import(book(), {"train": table, "test": table}, frameworks=("NP",))
    assert plan.public.rows == {"train": 3, "test": 3}
    assert len(plan.dataset.entities) == 2


# --- what a book may not hold -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("low = 0\n", "", "low of column 'Weight': is not given.*never inferred"),
        ("high = 10\n", "", "high of column 'Weight': is not given"),
        ("high = 10\n", "high = inf\n", "is inf"),
        ('type = "float32"', "", "needs a type"),
        ('type = "float32"', 'type = "str"', "cannot be stored yet"),
        ("low = 0\n", "lwo = 0\n", "unknown field `lwo`"),
        ("low = 0\n", 'low = "0"\n', "Expected `int | float | null`"),
        ("drop = true", 'drop = true\ntype = "bool"', "'zip' is dropped"),
        ('tags = ["#February", "#birth-records"]\n', "", "missing required field `tags`"),
        ('schema = "birth records"\n', "", "missing required field `schema`"),
        ("name = ", "name == ", "code book: "),
        ('"female", "male"', '"male", "male"', "comes twice"),
    ],
)
def test_a_book_that_is_none_is_refused_where_it_is_wrong(old: str, new: str, says: str) -> None:
    with pytest.raises(SchemaError, match=says):
        book((old, new)).dataset_schema()


def test_a_budget_in_the_book_is_in_order() -> None:
    with pytest.raises(SchemaError, match="daily_auto_dev is 1, but user_lifetime_dev is 0"):
        book(("[columns.kg]", "[budget]\ndaily_auto_dev = 1\n[columns.kg]"))
    assert issubclass(BudgetPolicyError, ValueError)  # which is how a reader of TOML sees it


@pytest.mark.parametrize("text", ["a = " + "[" * 10_000, "x" * ((1 << 20) + 1), b"a = '\xff'"])
def test_a_book_that_is_too_deep_or_too_long_or_no_text_is_refused(text: str | bytes) -> None:
    with pytest.raises(SchemaError, match="code book"):
        read_code_book(text)


# --- where file and book differ ---------------------------------------------------------------


def test_a_column_that_the_book_does_not_know_is_never_published(tmp_path: Path) -> None:
    text = "\n".join(f"{line},{n}" for n, line in enumerate(FILE.split()))
    with pytest.raises(SourceError, match="does not know: 0; describe them"):
        planned(tmp_path, book(), text)


@pytest.mark.parametrize("column", ["mother", "kg"])
def test_a_column_that_the_file_lacks_is_named(column: str, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=f"does not know: other.*lacks columns .* {column}"):
        planned(tmp_path, book(), FILE.replace(column, "other", 1))


def test_a_column_that_is_left_out_is_not_read_and_need_not_be_there(tmp_path: Path) -> None:
    births = tmp_path / "births.parquet"
    columns = {"mother": [7, 8], "sex": ["male", "female"], "kg": [3.5, 4.0]}
    when = pa.array([1, 2], pa.timestamp("s"))  # which cannot be published
    for table in (columns, {**columns, "zip": when}):
        pq.write_table(pa.table(table), births)
        cells = read_file(births, leave_out=book().unread)
        plan = plan_import(book(), {"train": cells})
        assert plan.public.rows == {"train": 2}
    with pytest.raises(SourceError, match="datetime64"):
        read_file(births)


def test_an_entity_that_is_left_out_still_says_whose_a_row_is(tmp_path: Path) -> None:
    using = book(("[columns.zip]", "[columns.mother]\ndrop = true\n[columns.zip]"))
    assert using.unread == ("zip",)
    assert len(planned(tmp_path, using).dataset.entities) == 2


def test_values_are_held_against_the_book(tmp_path: Path) -> None:
    text = FILE.replace("2.5", "25")
    with pytest.raises(BoundsError, match="column 'Weight': 1 of 3"):
        planned(tmp_path, book(), text)
    clipped = planned(tmp_path, book(), text, clip=True)
    assert clipped.dataset.tensors["data"].columns["Weight"].tolist() == [3.25, 3.5, 10]


def test_a_row_of_nobody_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="column 'mother': 1 of 3 rows belong to nobody"):
        planned(tmp_path, book(), FILE.replace("bert", ""))
