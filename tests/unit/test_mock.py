"""A mock is made of the schema alone, and fits it."""

import hashlib
import inspect

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from p2pgrid.client.mock import MOCK_ROWS, mock_columns, mock_rows
from p2pgrid.protocol.columns import Column
from p2pgrid.protocol.conformance import check_bounds, check_layout
from p2pgrid.protocol.schemas import TensorSchema
from tests.unit.schemas import BIRTHS, tensor_schemas

GOLDEN = "a66237956deb"
"""Begins the hash of a mock of ``BIRTHS``; it is the same on every machine, for ever."""

rows = st.integers(0, 20)


def as_bytes(schema: TensorSchema, count: int, seed: int = 0) -> bytes:
    mock = mock_columns(schema, count, seed=seed)
    return b"".join(mock[column.name].tobytes() for column in schema.columns)


@given(schema=tensor_schemas(), count=rows, seed=st.integers())
def test_c32_a_mock_has_the_columns_dtypes_and_bounds_of_the_schema(
    schema: TensorSchema, count: int, seed: int
) -> None:
    mock = mock_columns(schema, count, seed=seed)
    assert check_layout(mock, schema, where="mock") == count
    for column in schema.columns:
        check_bounds(mock[column.name], column)


@settings(max_examples=60)
@given(schema=tensor_schemas(), count=rows, seed=st.integers())
def test_c32_the_same_schema_and_seed_give_the_same_bytes(
    schema: TensorSchema, count: int, seed: int
) -> None:
    assert as_bytes(schema, count, seed) == as_bytes(schema, count, seed)


@settings(max_examples=60)
@given(schema=tensor_schemas(), few=rows, many=rows)
def test_c32_more_rows_continue_fewer(schema: TensorSchema, few: int, many: int) -> None:
    few, many = sorted((few, many))
    short, long = mock_columns(schema, few), mock_columns(schema, many)
    for name, values in short.items():
        np.testing.assert_array_equal(long[name][:few], values)


def test_c32_a_mock_is_the_same_on_every_machine() -> None:
    assert hashlib.sha256(as_bytes(BIRTHS, 100)).hexdigest().startswith(GOLDEN)


def test_c32_a_mock_cannot_see_data() -> None:
    assert list(inspect.signature(mock_columns).parameters) == ["schema", "rows", "seed"]


def test_c32_another_seed_schema_or_column_gives_other_values() -> None:
    columns = (Column("a", "float64", 0, 1), Column("b", "float64", 0, 1))
    schema = TensorSchema("s", columns)
    mock = mock_columns(schema, 5)
    renamed = mock_columns(TensorSchema("t", columns), 5)
    others = [mock["b"], mock_columns(schema, 5, seed=1)["a"], renamed["a"]]
    assert all(set(mock["a"]).isdisjoint(other) for other in others)


@pytest.mark.parametrize(
    "column",
    [
        Column("c", "bool"),
        Column("c", "category", categories=("a", "b", "c")),
        Column("c", "int8", -128, 127),
        Column("c", "int64", -(2**63), 2**63 - 1),
        Column("c", "uint64", 0, 2**64 - 1),
        Column("c", "int16", -3, 3),
    ],
    ids=lambda column: f"{column.type} {column.bounds}",
)
def test_c32_whole_numbers_are_spread_over_all_of_the_bounds(column: Column) -> None:
    values = mock_columns(TensorSchema("s", (column,)), 4000)["c"].astype(float)
    middle = (column.low + column.high) / 2
    width = float(column.high) - float(column.low) + 1
    # The mean of 4000 uniform values has a standard deviation of 0.0046 widths.
    assert abs(values.mean() - middle) < 0.03 * width
    if width <= 256:
        assert set(values) == set(range(int(column.low), int(column.high) + 1))


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_c32_bounds_as_far_apart_as_a_dtype_allows_do_no_harm(dtype: str) -> None:
    limit = float(np.finfo(dtype).max)
    schema = TensorSchema(
        "s", (Column("c", dtype, -limit, limit), Column("d", dtype, limit, limit))
    )
    mock = mock_columns(schema, 2000)
    assert np.isfinite(mock["c"]).all()
    assert 0.4 < (mock["c"] > 0).mean() < 0.6
    assert (mock["d"] == limit).all()


def test_c32_a_mock_has_as_many_rows_as_the_data_while_they_are_few() -> None:
    assert mock_rows(BIRTHS, 3) == 3
    assert mock_rows(BIRTHS, 10**9) == MOCK_ROWS
    images = TensorSchema("s", (Column("image", "uint8", 0, 255, shape=(1 << 12, 1 << 12)),))
    assert mock_rows(images, 50) == 1
