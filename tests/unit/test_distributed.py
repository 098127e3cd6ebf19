"""Datasets of one schema are one; another schema is refused; no domain hides another."""

import threading
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings, strategies as st

from p2pgrid.client.distributed import DistributedDataset, group_by_schema
from p2pgrid.errors import DomainUnreachableError, SchemaError, SchemaMismatchError
from p2pgrid.protocol.columns import Column
from p2pgrid.protocol.schemas import DatasetSchema, TensorSchema
from tests.unit.schemas import BIRTHS

PATIENCE_S = 10


class Domain(NamedTuple):
    name: str


class Handle(NamedTuple):
    domain: Any
    schema: DatasetSchema | None
    name: str = "births"


SHORTER = TensorSchema("birth records", BIRTHS.columns[:2])
SCHEMAS = [
    DatasetSchema.of("births", {"x": BIRTHS}),
    DatasetSchema.of("births", {"x": SHORTER}),
    DatasetSchema.of("flags", {"x": TensorSchema("flags", (Column("flag", "bool"),))}),
    None,
]
UNREACHABLE = DomainUnreachableError(peer="ama", addresses=1, reason="silence")


def handle(domain: str, schema: int = 0) -> Handle:
    return Handle(Domain(domain), SCHEMAS[schema])


def domain_of(member: Handle) -> str:
    name: str = member.domain.name
    return name


def test_c38_a_distributed_dataset_has_a_handle_per_domain() -> None:
    births = DistributedDataset([handle("ucsf"), handle("ama")])
    assert [domain_of(member) for member in births.datasets] == ["ucsf", "ama"]
    assert births.schema == SCHEMAS[0]
    assert len(births) == 2
    assert repr(births) == "<DistributedDataset of schema 'births' at ucsf, ama>"


def test_c38_map_gives_results_by_domain_in_the_order_of_the_members() -> None:
    domains = ["ucsf", "ama", "cdc"]
    results = DistributedDataset(list(map(handle, domains))).map(lambda it: it.domain.name.upper())
    assert list(results.items()) == [("ucsf", "UCSF"), ("ama", "AMA"), ("cdc", "CDC")]
    assert results.errors == {}
    assert repr(results) == "<DomainResults of ucsf, ama, cdc>"


def test_c38_map_works_on_all_domains_at_the_same_time() -> None:
    together = threading.Barrier(3)
    members = list(map(handle, ["ucsf", "ama", "cdc"]))
    results = DistributedDataset(members).map(lambda _: together.wait(PATIENCE_S))
    assert sorted(results.values()) == [0, 1, 2]


def test_c38_one_domain_that_fails_is_named_and_hides_no_other() -> None:
    def answer(member: Handle) -> str:
        if domain_of(member) == "ama":
            raise UNREACHABLE
        return domain_of(member)

    results = DistributedDataset(list(map(handle, ["ucsf", "ama", "cdc"]))).map(answer)
    assert results.succeeded == {"ucsf": "ucsf", "cdc": "cdc"}
    assert results.errors == {"ama": UNREACHABLE}
    assert results["cdc"] == "cdc"
    assert list(results) == ["ucsf", "ama", "cdc"]
    assert "; ama failed: DomainUnreachableError" in repr(results)
    with pytest.raises(DomainUnreachableError) as refused:
        results["ama"]
    assert refused.value.__notes__ == ["(at the domain ama)"]


def test_c38_who_takes_the_name_of_another_domain_does_not_take_its_place() -> None:
    members = list(map(handle, ["ucsf", "ama", "ucsf"]))
    assert list(DistributedDataset(members).map(domain_of).items()) == [
        ("0 ucsf", "ucsf"),
        ("1 ama", "ama"),
        ("2 ucsf", "ucsf"),
    ]


def test_c38_a_member_of_another_schema_is_refused_by_what_differs_first() -> None:
    with pytest.raises(SchemaMismatchError, match="dataset 'births' at ama") as refused:
        DistributedDataset([handle("ucsf"), handle("ama", 1)])
    assert refused.value.column == "column 'Height'"
    with pytest.raises(SchemaMismatchError, match="dataset 'births' at cdc"):
        DistributedDataset([handle("ucsf"), handle("cdc", 2)])
    with pytest.raises(SchemaMismatchError, match="the schema is not given"):
        DistributedDataset([handle("ucsf"), handle("ama", 3)])


def test_c38_a_distributed_dataset_has_a_member_with_a_schema() -> None:
    with pytest.raises(SchemaError, match="at least one"):
        DistributedDataset([])
    with pytest.raises(SchemaError, match="'births': was published without one"):
        DistributedDataset([handle("ucsf", 3)])


@settings(max_examples=60)
@given(schemas=st.lists(st.integers(0, 3), max_size=8))
def test_c38_every_dataset_is_in_exactly_the_group_of_its_schema(schemas: list[int]) -> None:
    handles = [handle(str(number), schema) for number, schema in enumerate(schemas)]
    groups = group_by_schema(handles)
    assert len(groups) == len(set(schemas) - {3})
    names = sorted(domain_of(member) for group in groups for member in group.datasets)
    assert names == sorted(domain_of(it) for it in handles if it.schema is not None)
    for group in groups:
        assert {member.schema for member in group.datasets} == {group.schema}
