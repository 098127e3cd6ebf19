"""Datasets of one schema are one; another schema is refused."""

from typing import NamedTuple

import pytest
from hypothesis import given, settings, strategies as st

from p2pgrid.client.distributed import DistributedDataset, group_by_schema
from p2pgrid.errors import SchemaError, SchemaMismatchError
from p2pgrid.protocol.columns import Column
from p2pgrid.protocol.schemas import DatasetSchema, TensorSchema
from tests.unit.schemas import BIRTHS


class Handle(NamedTuple):
    name: str
    schema: DatasetSchema


SHORTER = TensorSchema("birth records", BIRTHS.columns[:2])
SCHEMAS = [
    DatasetSchema.of("births", {"x": BIRTHS}),
    DatasetSchema.of("births", {"x": SHORTER}),
    DatasetSchema.of("flags", {"x": TensorSchema("flags", (Column("flag", "bool"),))}),
]


def handle(name: str, schema: int = 0) -> Handle:
    return Handle(name, SCHEMAS[schema])


def test_c38_members_of_one_schema_are_asked_in_their_order() -> None:
    of_two = DistributedDataset([handle("ucsf"), handle("ama")])
    of_three = of_two.joined_by(handle("cdc"))
    assert [member.name for member in of_three.datasets] == ["ucsf", "ama", "cdc"]
    assert of_three.map(lambda member: member.name.upper()) == ("UCSF", "AMA", "CDC")
    assert of_three.schema == SCHEMAS[0]
    assert len(of_two) == 2
    assert repr(of_two) == "<DistributedDataset of schema 'births': ucsf, ama>"


def test_c38_a_member_of_another_schema_is_refused_by_the_column() -> None:
    with pytest.raises(SchemaMismatchError, match="dataset 'ama'") as refused:
        DistributedDataset([handle("ucsf"), handle("ama", 1)])
    assert refused.value.column == "column 'Height'"
    with pytest.raises(SchemaMismatchError, match="dataset 'cdc'"):
        DistributedDataset([handle("ucsf")]).joined_by(handle("cdc", 2))


def test_c38_a_distributed_dataset_has_a_member() -> None:
    with pytest.raises(SchemaError, match="at least one"):
        DistributedDataset([])


@settings(max_examples=60)
@given(schemas=st.lists(st.integers(0, 2), max_size=8))
def test_c38_every_dataset_is_in_exactly_the_group_of_its_schema(schemas: list[int]) -> None:
    handles = [handle(str(number), schema) for number, schema in enumerate(schemas)]
    groups = group_by_schema(handles)
    assert len(groups) == len(set(schemas))
    names = sorted(member.name for group in groups for member in group.datasets)
    assert names == sorted(member.name for member in handles)
    for group in groups:
        assert {member.schema.id for member in group.datasets} == {group.schema.id}
