"""A schema is valid once it exists, is named by its content, and survives hostile bytes."""

import contextlib
import math
import random
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from p2pgrid.errors import P2PGridError, RemoteProtocolError, SchemaError, TooLargeError
from p2pgrid.protocol.columns import CATEGORY, MAX_CATEGORIES, Column
from p2pgrid.protocol.schemas import (
    MAX_SCHEMA_BYTES,
    DatasetSchema,
    TensorSchema,
    decode_dataset_schema,
    decode_tensor_schema,
    encode_schema,
)
from tests.unit.schemas import BIRTHS, dataset_schemas, tensor_schemas

GOLDEN = "bc82ee6e2c3b"
"""Begins the id of ``BIRTHS``. It changes only with the format: then every id in use changes."""


@given(schema=tensor_schemas())
def test_c36_a_tensor_schema_round_trips_through_msgpack(schema: TensorSchema) -> None:
    assert decode_tensor_schema(encode_schema(schema)) == schema


@settings(max_examples=80)
@given(schema=dataset_schemas())
def test_c36_a_dataset_schema_round_trips_through_msgpack(schema: DatasetSchema) -> None:
    assert decode_dataset_schema(encode_schema(schema)) == schema


def test_c36_the_repr_of_a_schema_is_a_table() -> None:
    lines = repr(BIRTHS).splitlines()
    assert lines[1].split() == ["column", "type", "bounds", "unit", "description"]
    assert lines[3].split() == ["Weight", "float32", "[0.0,", "10.0]", "kg", "first", "weighing"]
    assert len(lines) == 5


def test_c36_a_notebook_shows_a_table_whose_cells_are_escaped() -> None:
    column = Column("<b>", "bool", description="<script>alert(1)</script>")
    shown = TensorSchema("s", (column,))._repr_html_()
    assert "<td>&lt;b&gt;</td>" in shown
    assert "<script>" not in shown


def test_a_long_description_is_cut_in_display_only() -> None:
    schema = TensorSchema("s", (Column("a", "bool", description="x" * 100),))
    assert "x" * 81 not in repr(schema)
    assert "x" * 81 not in schema._repr_html_()
    assert schema.rows[1][-1] == "x" * 100
    assert schema.columns[0].description == "x" * 100


@settings(max_examples=80)
@given(schema=dataset_schemas(), seed=st.integers())
def test_c37_equal_schemas_have_equal_ids_in_any_order_of_tensors(
    schema: DatasetSchema, seed: int
) -> None:
    tensors = list(schema.tensors)
    random.Random(seed).shuffle(tensors)  # noqa: S311 an order, no secret
    elsewhere = DatasetSchema.of(schema.name, dict(tensors))
    assert elsewhere == schema
    assert elsewhere.id == schema.id


def test_c37_the_id_of_a_schema_is_the_same_for_ever() -> None:
    assert BIRTHS.id.startswith(GOLDEN)
    assert len(BIRTHS.id) == 64


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "Mass"},
        {"type": "float64"},
        {"low": 0.5},
        {"high": 11},
        {"description": "another"},
        {"unit": "lb"},
        {"shape": (2,)},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_c37_every_field_of_a_column_is_in_the_id(changes: dict[str, Any]) -> None:
    gender, weight, height = BIRTHS.columns
    changed = msgspec.structs.replace(weight, **changes)
    assert TensorSchema(BIRTHS.name, (gender, changed, height)).id != BIRTHS.id


def test_c37_the_orders_of_columns_and_of_labels_are_in_the_id() -> None:
    gender, weight, height = BIRTHS.columns
    swapped = msgspec.structs.replace(gender, categories=gender.categories[::-1])
    assert TensorSchema(BIRTHS.name, (weight, gender, height)).id != BIRTHS.id
    assert TensorSchema(BIRTHS.name, (swapped, weight, height)).id != BIRTHS.id


def test_c37_one_schema_written_in_two_ways_has_one_id() -> None:
    one = Column("größe", "float32", 0, 0.1)
    other = Column("gro\u0308ße", "float32", -0.0, float(np.float32(0.1)))
    assert one == other
    assert TensorSchema("s", (one,)).id == TensorSchema("s", (other,)).id


def test_a_tensor_schema_and_a_dataset_schema_never_share_an_id() -> None:
    assert DatasetSchema.of("birth records", {"x": BIRTHS}).id != BIRTHS.id


def test_c33_the_bounds_of_a_schema_are_those_of_its_columns() -> None:
    schema = TensorSchema("s", (Column("Weight", "float64", 0, 10),))
    assert schema.high == (10,)
    assert schema.low == (0,)
    assert BIRTHS.low == (0, 0.0, float(np.float32(0.1)))
    assert BIRTHS.high[0] == 1


@pytest.mark.parametrize(
    ("settings", "field", "says"),
    [
        ({"type": "float32"}, "low", "never inferred"),
        ({"type": "float32", "low": 0}, "high", "never inferred"),
        ({"type": "float64", "low": 0, "high": math.inf}, "high", "finite"),
        ({"type": "float64", "low": -math.inf, "high": 0}, "low", "finite"),
        ({"type": "float64", "low": 2, "high": 1}, "bounds", "more than high"),
        ({"type": "float64", "low": True, "high": 1}, "low", "a number, got bool"),
        ({"type": "float64", "low": "0", "high": 1}, "low", "a number, got str"),
        ({"type": "float64", "low": 0, "high": 10**400}, "high", "no number of the type"),
        ({"type": "float32", "low": 0, "high": 1e39}, "high", "no number of the type"),
        ({"type": "float16", "low": 0, "high": 65_520}, "high", "no number of the type"),
        ({"type": "uint8", "low": -1, "high": 1}, "low", "no number of the type"),
        ({"type": "uint8", "low": 0, "high": 256}, "high", "no number of the type"),
        ({"type": "int64", "low": 0, "high": 2**63}, "high", "no number of the type"),
        ({"type": "int8", "low": 0, "high": 0.5}, "high", "no number of the type"),
        ({"type": "bool", "low": 0, "high": 2}, "high", "follows from it"),
        ({"type": "category"}, "categories", "has labels"),
        ({"type": "category", "categories": ("a", "a")}, "categories", "twice"),
        ({"type": "category", "categories": ("a", "")}, "categories", "characters"),
        ({"type": "category", "categories": "ab"}, "categories", "one text"),
        ({"type": "category", "categories": ("a", "b"), "high": 2}, "high", "follows from it"),
        (
            {"type": "category", "categories": tuple(map(str, range(MAX_CATEGORIES + 1)))},
            "categories",
            "4,097 labels",
        ),
        ({"type": "bool", "categories": ("a",)}, "categories", "no other has"),
        ({"type": "text"}, "type", "cannot be stored yet"),
        ({"type": "complex64"}, "type", "is none of bool"),
        ({"type": []}, "type", "is none of bool"),
        ({"type": "bool", "name": ""}, "name", "0 characters"),
        ({"type": "bool", "name": "x" * 129}, "name", "129 characters"),
        ({"type": "bool", "name": "\u0958" * 128}, "name", "256 characters"),
        ({"type": "bool", "name": "a\x1b[2J"}, "name", "control character"),
        ({"type": "bool", "name": "a\nb"}, "name", "control character"),
        ({"type": "bool", "name": "\ud800"}, "name", "control character"),
        ({"type": "bool", "name": 7}, "name", "a text, got int"),
        ({"type": "bool", "description": "\x00"}, "description", "control character"),
        ({"type": "bool", "unit": "x" * 33}, "unit", "33 characters"),
        ({"type": "bool", "shape": (0,)}, "shape", "from 1 on"),
        ({"type": "bool", "shape": (1,) * 9}, "shape", "at most 8"),
        ({"type": "bool", "shape": (1 << 12,) * 3}, "shape", "at most"),
    ],
)
def test_a_column_that_cannot_be_is_refused_by_the_name_of_its_field(
    settings: dict[str, Any], field: str, says: str
) -> None:
    with pytest.raises(SchemaError) as refused:
        Column(**{"name": "c", **settings})
    assert refused.value.field.startswith(field)
    assert says in refused.value.problem


def test_bounds_of_64_bits_are_exact() -> None:
    column = Column("c", "uint64", 2**53 + 1, 2**64 - 1)
    schema = TensorSchema("s", (column,))
    read = decode_tensor_schema(encode_schema(schema)).columns[0]
    assert (read.low, read.high) == (2**53 + 1, 2**64 - 1)


def test_a_number_of_numpy_is_a_bound() -> None:
    column = Column("c", "float32", np.float32(0.5), np.int8(3))  # type: ignore[arg-type]
    assert (type(column.low), column.low, column.high) == (float, 0.5, 3.0)


@pytest.mark.parametrize("count", [256, 257])
def test_categories_take_one_byte_as_long_as_they_fit(count: int) -> None:
    column = Column("c", CATEGORY, categories=tuple(map(str, range(count))))
    assert column.dtype.itemsize == (1 if count == 256 else 2)
    assert (column.low, column.high) == (0, count - 1)


@pytest.mark.parametrize("number", [0, 1025])
def test_a_schema_has_a_column_and_not_too_many(number: int) -> None:
    with pytest.raises(SchemaError, match="1 to 1,024"):
        TensorSchema("s", tuple(Column(str(i), "bool") for i in range(number)))


def test_names_of_columns_and_tensors_come_once() -> None:
    column = Column("a", "bool")
    with pytest.raises(SchemaError, match="twice"):
        TensorSchema("s", (column, column))
    with pytest.raises(SchemaError, match="twice"):
        DatasetSchema("s", (("x", BIRTHS), ("x", BIRTHS)))


def test_a_dataset_schema_is_read_like_a_mapping() -> None:
    schema = DatasetSchema.of("s", {"y": BIRTHS, "x": BIRTHS})
    assert list(schema) == ["x", "y"]
    assert len(schema) == 2
    assert schema["y"] is BIRTHS
    with pytest.raises(KeyError, match="it has x, y"):
        schema["z"]


def test_a_schema_of_too_many_bytes_is_told_with_both_numbers() -> None:
    columns = (Column(str(i), "bool", description="x" * 2048) for i in range(40))
    with pytest.raises(TooLargeError, match="65,536"):
        encode_schema(TensorSchema("s", tuple(columns)))


def test_too_many_bytes_are_refused_before_they_are_read() -> None:
    with pytest.raises(RemoteProtocolError, match="65,537 bytes"):
        decode_tensor_schema(bytes(MAX_SCHEMA_BYTES + 1))


@given(encoded=st.binary(max_size=200))
def test_any_bytes_are_a_schema_or_a_protocol_error(encoded: bytes) -> None:
    for decode in (decode_tensor_schema, decode_dataset_schema):
        with contextlib.suppress(RemoteProtocolError):
            decode(encoded)


numbers = st.integers(-(2**63), 2**64 - 1) | st.floats()
scalars = st.none() | st.booleans() | numbers | st.text()
anything = scalars | st.lists(scalars | st.lists(scalars, max_size=2), max_size=4)


@given(schema=tensor_schemas(), place=st.integers(0, 7), value=anything)
def test_a_column_of_a_peer_is_checked_like_our_own(
    schema: TensorSchema, place: int, value: object
) -> None:
    raw = msgspec.msgpack.decode(encode_schema(schema))
    raw[1][0][place] = value
    try:
        read = decode_tensor_schema(msgspec.msgpack.encode(raw))
    except RemoteProtocolError:
        return
    assert read == decode_tensor_schema(encode_schema(read))
    assert -math.inf < read.columns[0].low <= read.columns[0].high < math.inf


def test_a_refusal_of_a_schema_is_one_of_our_errors() -> None:
    with pytest.raises(P2PGridError):
        Column("c", "float32", math.nan, 1)
