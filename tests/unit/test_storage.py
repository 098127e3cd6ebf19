"""Which arrays a schema is stored as, and that a layout is that or refused."""

import math

import numpy as np
import pytest
from hypothesis import given, strategies as st

from p2pgrid.errors import SchemaError, SchemaMismatchError
from p2pgrid.protocol.columns import Column
from p2pgrid.protocol.schemas import DatasetSchema, TensorSchema
from p2pgrid.protocol.storage import StoredArray, arrays_of, columns_in, require_layout
from tests.unit.schemas import tensor_schemas

A, B = Column("a", "float32", 0, 1), Column("b", "float32", 0, 1)
INT = Column("n", "int8", 0, 1)
IMAGE = Column("image", "uint8", 0, 9, shape=(2, 3))


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ((A,), [("", "float32", (1,))]),
        ((A, B), [("", "float32", (2,))]),
        ((A, INT), [("a", "float32", ()), ("n", "int8", ())]),
        ((IMAGE,), [("", "uint8", (2, 3))]),
    ],
)
def test_c40_columns_of_one_dtype_are_one_array(
    columns: tuple[Column, ...], expected: list[tuple[str, str, tuple[int, ...]]]
) -> None:
    assert list(arrays_of(TensorSchema("t", columns))) == expected


def test_a_cell_with_a_shape_stands_alone() -> None:
    with pytest.raises(SchemaError, match=r"image.*a tensor of its own"):
        arrays_of(TensorSchema("t", (A, IMAGE)))


@given(schema=tensor_schemas(), rows=st.integers(0, 3))
def test_every_column_is_found_in_what_is_stored(schema: TensorSchema, rows: int) -> None:
    try:
        stored = arrays_of(schema)
    except SchemaError:
        assert any(column.shape for column in schema.columns)
        return
    arrays = [np.zeros((rows, *it.cell), it.dtype) for it in stored]
    found = [
        (column.name, values.shape, values.dtype.name)
        for it, array in zip(stored, arrays, strict=True)
        for column, values in columns_in(array, it.column, schema)
    ]
    assert found == [(c.name, (rows, *c.shape), c.dtype.name) for c in schema.columns]
    assert sum(a.size for a in arrays) == rows * sum(math.prod(c.shape) for c in schema.columns)
    dataset = DatasetSchema.of("d", {"x": schema})
    layout = [StoredArray("train", "x", it.column, it.dtype, (rows, *it.cell)) for it in stored]
    assert require_layout(dataset, layout) == {"train": rows}
    test = [it._replace(split="test") for it in layout]
    assert require_layout(dataset, [*layout, *test]) == {"train": rows, "test": rows}
    with pytest.raises(SchemaMismatchError):
        require_layout(dataset, [*layout, *test[1:], test[0]._replace(dtype="no dtype")])


def test_no_arrays_are_no_dataset() -> None:
    with pytest.raises(SchemaMismatchError, match="train split: tensor 'x' is absent"):
        require_layout(DatasetSchema.of("d", {"x": TensorSchema("t", (A,))}), [])
