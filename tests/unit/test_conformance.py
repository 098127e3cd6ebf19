"""Data are what their schema says, or an error names the column and tells no value."""

import math
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, strategies as st
from hypothesis.extra import numpy as hnp

from p2pgrid.errors import BoundsError, MissingValuesError, SchemaMismatchError, SourceError
from p2pgrid.protocol.arrays import Array
from p2pgrid.protocol.columns import CATEGORY, Column
from p2pgrid.protocol.conformance import check_bounds, check_layout, require_same
from p2pgrid.protocol.faults import is_public
from p2pgrid.protocol.schemas import DatasetSchema, TensorSchema
from tests.unit.schemas import BIRTHS, columns

WEIGHT = Column("Weight", "float32", 0, 10, unit="kg")
SCHEMA = DatasetSchema.of("births", {"x": BIRTHS})


def births(rows: int = 3) -> dict[str, Array]:
    """Arrays that fit the schema of the birth records."""
    return {
        "Gender": np.zeros(rows, "uint8"),
        "Weight": np.full(rows, 3.3, "float32"),
        "Height": np.full(rows, 50, "float32"),
    }


# --- layout: C30 ------------------------------------------------------------------------------


def test_c30_a_split_that_fits_has_rows() -> None:
    assert check_layout(births(4), BIRTHS, where="train split") == 4


@pytest.mark.parametrize(
    ("changes", "column", "found", "expected"),
    [
        ({"Zip": np.zeros(3)}, "column 'Zip'", "there", "there is none"),
        ({"Weight": None}, "column 'Weight'", "absent", "it is there"),
        (
            {"Weight": np.zeros(3)},
            "column 'Weight'",
            "float64 of shape (3,)",
            "float32 of shape (3,)",
        ),
        (
            {"Height": np.zeros((3, 2), "float32")},
            "column 'Height'",
            "float32 of shape (3, 2)",
            "float32 of shape (3,)",
        ),
        (
            {"Height": np.zeros(2, "float32")},
            "column 'Height'",
            "float32 of shape (2,)",
            "float32 of shape (3,)",
        ),
    ],
)
def test_c30_a_test_split_whose_columns_differ_is_refused_by_the_column(
    changes: dict[str, Any], column: str, found: str, expected: str
) -> None:
    arrays = {name: a for name, a in {**births(), **changes}.items() if a is not None}
    with pytest.raises(SchemaMismatchError, match=r"^test split: ") as refused:
        check_layout(arrays, BIRTHS, where="test split")
    error = refused.value
    assert (error.column, error.found, error.expected) == (column, found, expected)


def test_c38_equal_schemas_are_the_same_wherever_they_were_made() -> None:
    require_same(SCHEMA, DatasetSchema.of("births", {"x": BIRTHS}), where="ucsf")


@pytest.mark.parametrize(
    ("found", "column"),
    [
        (DatasetSchema.of("births", {"y": BIRTHS}), "tensor 'x'"),
        (DatasetSchema.of("births", {"x": BIRTHS, "y": BIRTHS}), "tensor 'y'"),
        (DatasetSchema.of("others", {"x": BIRTHS}), "the schema's name"),
        (
            DatasetSchema.of("births", {"x": TensorSchema("birth records", BIRTHS.columns[:2])}),
            "column 'Height'",
        ),
        (
            DatasetSchema.of(
                "births",
                {"x": TensorSchema("birth records", (*BIRTHS.columns, Column("Zip", "bool")))},
            ),
            "column 'Zip'",
        ),
        (
            DatasetSchema.of("births", {"x": TensorSchema("another", BIRTHS.columns)}),
            "the schema's name",
        ),
    ],
)
def test_c38_another_schema_is_refused_by_what_differs(found: DatasetSchema, column: str) -> None:
    with pytest.raises(SchemaMismatchError, match=r"^ucsf") as refused:
        require_same(SCHEMA, found, where="ucsf")
    assert refused.value.column == column


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "Mass"},
        {"type": "float64"},
        {"low": 1},
        {"high": 11},
        {"description": "x"},
        {"unit": "lb"},
        {"shape": (2,)},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_c38_a_field_of_a_column_that_differs_is_named(changes: dict[str, Any]) -> None:
    gender, weight, height = BIRTHS.columns
    changed = (gender, msgspec.structs.replace(weight, **changes), height)
    found = DatasetSchema.of("births", {"x": TensorSchema(BIRTHS.name, changed)})
    with pytest.raises(SchemaMismatchError) as refused:
        require_same(SCHEMA, found, where="ucsf")
    assert refused.value.column == f"{next(iter(changes))} of column 'Weight'"


# --- bounds: C33 ------------------------------------------------------------------------------


def test_c33_values_inside_are_left_as_they_are() -> None:
    values = np.array([0, 10, 3.3], "float32")
    assert check_bounds(values, WEIGHT) is values
    assert check_bounds(values, WEIGHT, clip=True) is values


@pytest.mark.parametrize("outside", [-0.001, 10.001, math.inf, -math.inf])
def test_c33_values_outside_are_refused_by_count_and_row(outside: float) -> None:
    values = np.array([1, 2, outside, 3, outside], "float32")
    with pytest.raises(BoundsError, match=r"2 of 5 values lie outside \[0.0, 10.0\]") as refused:
        check_bounds(values, WEIGHT)
    assert (refused.value.column, refused.value.first) == ("Weight", 2)


def test_c33_a_flag_clips_what_is_outside_in_a_copy() -> None:
    values = np.array([-5, 5, math.inf], "float32")
    clipped = check_bounds(values, WEIGHT, clip=True)
    np.testing.assert_array_equal(clipped, np.array([0, 5, 10], "float32"))
    assert values[0] == -5


@pytest.mark.parametrize("clip", [False, True])
def test_c33_a_missing_value_is_never_inside(clip: bool) -> None:
    values = np.array([1, math.nan, 3, math.nan], "float32")
    with pytest.raises(MissingValuesError, match="2 of 4 cells hold no value") as refused:
        check_bounds(values, WEIGHT, clip=clip)
    assert refused.value.first == 1


def test_c33_a_code_without_a_label_is_outside() -> None:
    column = Column("g", CATEGORY, categories=("a", "b"))
    with pytest.raises(BoundsError, match="1 of 3 values"):
        check_bounds(np.array([0, 2, 1], "uint8"), column)


def test_c33_the_row_of_a_cell_of_several_numbers_is_told() -> None:
    column = Column("image", "uint8", 0, 9, shape=(2, 2))
    images = np.zeros((4, 2, 2), "uint8")
    images[3, 1, 0] = 10
    with pytest.raises(BoundsError) as refused:
        check_bounds(images, column)
    assert (refused.value.first, refused.value.total) == (3, 16)


def test_c33_no_value_is_in_the_text_of_an_error_and_the_error_stays_at_home() -> None:
    values = np.array([123.4567, math.nan], "float32")
    with pytest.raises(MissingValuesError) as missing:
        check_bounds(values, WEIGHT)
    with pytest.raises(BoundsError) as outside:
        check_bounds(values[:1], WEIGHT)
    for error in (missing.value, outside.value):
        assert "123" not in str(error)
        assert not is_public(error)


@pytest.mark.parametrize("values", [[300, 5], [300.0, 5.0], [5, 2**63]])
def test_c33_a_number_that_the_dtype_does_not_hold_is_outside_and_does_not_wrap_around(
    values: list[float],
) -> None:
    column = Column("age", "uint8", 0, 120)
    with pytest.raises(BoundsError, match="1 of 2 values"):
        check_bounds(np.array(values), column)
    clipped = check_bounds(np.array(values), column, clip=True)
    assert clipped.dtype == np.uint8
    assert sorted(clipped) == [5, 120]


def test_c33_whole_numbers_of_another_dtype_are_stored_as_the_column_says() -> None:
    stored = check_bounds(np.array([0.0, 120.0]), Column("age", "uint8", 0, 120))
    assert (stored.dtype, stored.tolist()) == (np.dtype("uint8"), [0, 120])


def test_c33_a_fraction_is_no_whole_number() -> None:
    with pytest.raises(SourceError, match="1 of 2 values are no whole numbers, the first in row 1"):
        check_bounds(np.array([1.0, 1.5]), Column("age", "uint8", 0, 120), clip=True)


def test_c33_a_bound_that_rounds_in_the_dtype_still_holds_the_number_it_was() -> None:
    column = Column("c", "float32", 0.1, 0.1)
    assert check_bounds(np.array([0.1]), column).dtype == np.float32


def test_c33_no_rows_are_inside_all_bounds() -> None:
    assert check_bounds(np.zeros(0, "float32"), WEIGHT).shape == (0,)


@given(column=columns("c"), data=st.data())
def test_c33_a_value_passes_exactly_when_it_is_inside(column: Column, data: st.DataObject) -> None:
    shape = (data.draw(st.integers(0, 4)), *column.shape)
    values = data.draw(hnp.arrays(column.dtype, shape))
    fits = all(column.low <= value <= column.high for value in values.ravel().tolist())
    try:
        assert check_bounds(values, column) is values
        assert fits
    except (BoundsError, MissingValuesError):
        assert not fits


@given(column=columns("c").filter(lambda column: column.is_number), data=st.data())
def test_c33_what_was_clipped_is_inside_and_the_nearest(
    column: Column, data: st.DataObject
) -> None:
    shape = (data.draw(st.integers(0, 4)), *column.shape)
    values = data.draw(hnp.arrays(column.dtype, shape).filter(_has_no_nan))
    clipped = check_bounds(values, column, clip=True)
    assert clipped.dtype == values.dtype
    check_bounds(clipped, column)
    nearest = [min(max(v, column.low), column.high) for v in values.ravel().tolist()]
    assert clipped.ravel().tolist() == nearest


@pytest.mark.parametrize(
    "column", [Column("g", CATEGORY, categories=("a", "b")), Column("g", "bool")]
)
def test_c33_a_code_is_never_moved_to_another_one(column: Column) -> None:
    with pytest.raises(BoundsError):
        check_bounds(np.array([0, 2]), column, clip=True)


def test_c33_bounds_beyond_the_dtype_of_the_values_are_compared_exactly() -> None:
    column = Column("c", "uint64", 2**63, 2**64 - 1)
    values = np.array([2**63 - 1, 5], np.int64)
    with pytest.raises(BoundsError, match="2 of 2"):
        check_bounds(values, column)
    assert check_bounds(values, column, clip=True).tolist() == [2**63, 2**63]


def _has_no_nan(values: Array) -> bool:
    return not (values != values).any()  # noqa: PLR0124 only NaN differs from itself
