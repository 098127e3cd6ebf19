"""A mock is made of the schema alone, and fits it."""

import hashlib
import inspect

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings, strategies as st
from msgspec.structs import replace

from p2pgrid.client.mock import MOCK_ROWS, mock_columns, mock_rows, mock_tensor
from p2pgrid.client.tensors import prepare_tensor
from p2pgrid.protocol.arrays import DTYPES
from p2pgrid.protocol.columns import Column
from p2pgrid.protocol.conformance import check_bounds, check_layout
from p2pgrid.protocol.schemas import TensorSchema
from tests.unit.schemas import BIRTHS, tensor_schemas

EVERY_TYPE = TensorSchema(
    "every type",
    (
        *(Column(dtype, dtype, 0, 100) for dtype in DTYPES if dtype != "bool"),
        Column("bool", "bool"),
        Column("category", "category", categories=("a", "b", "c")),
        Column("narrow", "float32", -0.1, 0.1, shape=(2,)),
        Column("wide", "float64", -1e300, 1e300),
        Column("signed", "int64", -(2**63), 2**63 - 1),
    ),
)
GOLDEN = {BIRTHS: "a66237956deb", EVERY_TYPE: "7b12acadab6e"}
"""What the hashes of mocks begin with; they are the same on every machine, for ever."""

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


@pytest.mark.parametrize("schema", GOLDEN, ids=lambda schema: schema.name)
def test_c32_a_mock_is_the_same_on_every_machine(schema: TensorSchema) -> None:
    assert hashlib.sha256(as_bytes(schema, 100)).hexdigest().startswith(GOLDEN[schema])


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


# --- the form in which a program gets it --------------------------------------------------------


@settings(max_examples=60)
@given(shaped=tensor_schemas(), count=rows, seed=st.integers())
def test_c32_a_mock_is_data_that_could_be_published_under_the_schema(
    shaped: TensorSchema, count: int, seed: int
) -> None:
    schema = TensorSchema("s", tuple(replace(column, shape=()) for column in shaped.columns))
    mock = mock_tensor(schema, count, seed=seed)
    tensor = prepare_tensor("x", mock, schema, where="mock", missing={}, clip=False)
    columns = mock_columns(schema, count, seed=seed)
    for name, values in tensor.columns.items():
        np.testing.assert_array_equal(values, columns[name], strict=True)
    assert isinstance(mock, pd.DataFrame) or mock.shape == tensor.shape


def test_c32_a_mock_of_mixed_columns_is_a_data_frame_with_labels() -> None:
    mock = mock_tensor(BIRTHS, 200)
    assert list(mock.columns) == ["Gender", "Weight", "Height"]
    codes = mock_columns(BIRTHS, 200)["Gender"]
    assert mock["Gender"].tolist() == [("female", "male")[code] for code in codes]
    assert mock.dtypes["Weight"] == np.float32
    assert len(mock) == 200


def test_c32_a_mock_of_columns_of_one_dtype_is_one_array() -> None:
    columns = (Column("kg", "float32", 0, 10), Column("cm", "float32", 20, 80))
    mock = mock_tensor(TensorSchema("s", columns), 5)
    assert (mock.shape, mock.dtype) == ((5, 2), np.float32)
    images = TensorSchema("s", (Column("image", "uint8", 0, 255, shape=(2, 3)),))
    assert mock_tensor(images, 5).shape == (5, 2, 3)
    assert mock_tensor(TensorSchema("s", columns[:1]), 5).shape == (5, 1)


def test_c32_cells_with_a_shape_stay_arrays_beside_other_columns() -> None:
    image = Column("image", "uint8", 0, 255, shape=(2, 3))
    faces = Column("faces", "category", categories=("a", "b"), shape=(2,))
    mock = mock_tensor(TensorSchema("s", (image, faces)), 4)
    assert mock["image"][3].shape == (2, 3)
    assert set(mock["faces"][0]) <= {"a", "b"}


def test_c32_a_mock_has_no_more_rows_than_a_mock_may_have() -> None:
    assert len(mock_tensor(BIRTHS, 10**9)) == MOCK_ROWS


def test_c32_a_seed_is_a_whole_number_of_any_kind() -> None:
    flags = TensorSchema("s", (Column("flag", "bool"),))
    mocks = [mock_tensor(flags, 9, seed=seed).tolist() for seed in (3, np.int64(3))]
    assert mocks[0] == mocks[1]
    with pytest.raises(TypeError):
        mock_tensor(flags, 9, seed=0.5)  # type: ignore[arg-type]
