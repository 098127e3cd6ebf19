"""A file of births and its code book, as owners import them."""

from pathlib import Path

from p2pgrid.client.codebook import read_code_book
from p2pgrid.client.import_plan import ImportPlan, plan_import
from p2pgrid.client.table_files import read_file

BOOK = """
name = "Birth records"
schema = "births"
description = "Births of February, weighed by midwives."
tags = ["#February", "#birth-records"]
entity = "mother"

[columns.kg]
name = "Weight"
type = "float32"
low = 0
high = 10
unit = "kg"

[columns.sex]
type = "category"
categories = ["female", "male"]

[columns.zip]
drop = true
"""
ROWS = "mother,sex,kg,zip\nanna,female,3.25,94110\nbert,male,4.0,94111\nanna,male,2.5,94110\n"
PRIVATE = ("anna", "bert", "3.25", "94110")
WEIGHTS = [3.25, 4.0, 2.5]


def write_births(folder: Path, *, book: str = BOOK, rows: str = ROWS) -> tuple[Path, Path]:
    """The file and the code book, in a folder."""
    file, code_book = folder / "births.csv", folder / "births.toml"
    file.write_text(rows)
    code_book.write_text(book)
    return file, code_book


def plan_of(file: Path, code_book: Path) -> ImportPlan:
    """What importing them would publish."""
    book = read_code_book(code_book.read_text())
    return plan_import(book, {"train": read_file(file, leave_out=book.unread)})
