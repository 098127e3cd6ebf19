"""Targets: what describes data, from a peer or from an owner's file."""

import math

from p2pgrid.client.codebook import read_code_book
from p2pgrid.errors import RemoteProtocolError, SchemaError, TooLargeError
from p2pgrid.protocol.columns import Column
from p2pgrid.protocol.schemas import (
    DatasetSchema,
    TensorSchema,
    decode_dataset_schema,
    encode_schema,
)

BOOK = b"""
name = "n"
schema = "s"
description = "d"
tags = ["t"]
[columns.a]
type = "category"
categories = ["x", "y"]
[columns.b]
type = "float32"
low = 0
high = 1e3
"""


def schema(data: bytes) -> None:
    """Any bytes are a schema with finite bounds that can be written again, or a typed error."""
    try:
        read = decode_dataset_schema(data)
        written = encode_schema(read)
    except (RemoteProtocolError, TooLargeError):
        return
    assert decode_dataset_schema(written) == read
    for _, tensor in read.tensors:
        assert all(
            -math.inf < low <= high < math.inf
            for low, high in zip(tensor.low, tensor.high, strict=True)
        )
    assert repr(read)


def schemas() -> list[bytes]:
    """Seeds: a column of each kind, and two tensors of one."""
    columns = (
        Column("a", "category", categories=("x", "y"), description="of two"),
        Column("b", "float32", 0, 1, unit="kg", shape=(2, 2)),
        Column("c", "int64", -(2**63), 2**63 - 1),
        Column("d", "bool"),
    )
    whole, one = TensorSchema("s", columns), TensorSchema("t", columns[3:])
    made = (DatasetSchema.of("s", {"x": whole}), DatasetSchema.of("s", {"x": one, "y": one}))
    return [encode_schema(schema) for schema in made]


def code_book(data: bytes) -> None:
    """Any text is a code book with a schema, or ``SchemaError``."""
    try:
        read_code_book(data.decode(errors="replace")).dataset_schema()
    except SchemaError:
        return


def code_books() -> list[bytes]:
    """Seeds: a book of two columns."""
    return [BOOK]
