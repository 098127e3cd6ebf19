"""Datasets of several domains under one schema, as one."""

from pathlib import Path
from typing import Any

import pytest

from p2pgrid import DatasetPointer, DistributedDataset, DomainClient
from p2pgrid.client.distributed import group_by_schema
from p2pgrid.errors import GetNotPermittedError, P2PGridError, SchemaMismatchError
from tests.births import BOOK, plan_of, write_births
from tests.fabric.conftest import FabricNode, Grid

WEIGHTS = {"ama": 4.0, "cdc": 5.0, "ucsf": 6.0}
"""Of the one birth at each domain, in kg."""


@pytest.fixture
def hospitals(grid: Grid) -> dict[str, FabricNode]:
    return {name: grid.launch(name) for name in WEIGHTS}


@pytest.fixture
def members(
    grid: Grid, hospitals: dict[str, FabricNode], tmp_path: Path
) -> dict[str, DatasetPointer]:
    """A scientist's handles; the owners share nothing but the columns of the code book."""
    return {
        name: publish(grid, hospitals[name], tmp_path, name=f"Births, {name}", allowed="ana")
        for name in WEIGHTS
    }


def publish(
    grid: Grid, node: FabricNode, folder: Path, *, name: str, allowed: str, book: str = BOOK
) -> DatasetPointer:
    """A dataset of one birth, as a scientist finds it."""
    owner = grid.owner_of(node)
    weight = WEIGHTS[node.directory.settings().name]
    rows = f"mother,sex,kg,zip\nanna,female,{weight},94110\n"
    files = write_births(folder, book=book.replace("Birth records", name), rows=rows)
    made = owner.publish_dataset(plan_of(*files).dataset, allowed_users=allowed)
    return next(it for it in grid.user(owner, "ana").search() if it.id == made.id)


def mean_weight(member: DatasetPointer) -> Any:
    return member["data"].mean("Weight").get().item()


def test_c37_domains_that_publish_an_equal_schema_get_an_equal_id(
    members: dict[str, DatasetPointer],
) -> None:
    schemas = [member.schema for member in members.values()]
    assert len({schema.id for schema in schemas if schema is not None}) == 1
    assert None not in schemas


def test_c38_hospitals_that_share_a_code_book_have_one_distributed_dataset(
    members: dict[str, DatasetPointer],
) -> None:
    (births,) = group_by_schema(members.values())
    assert births.datasets == tuple(members.values())
    assert dict(births.map(mean_weight)) == WEIGHTS


def test_c38_a_domain_that_is_down_is_named_and_hides_no_other(
    hospitals: dict[str, FabricNode], members: dict[str, DatasetPointer]
) -> None:
    births = DistributedDataset(list(members.values()))
    assert not births.map(mean_weight).errors
    hospitals["cdc"].stop()
    results = births.map(mean_weight)
    hospitals["cdc"].start()
    assert results.succeeded == {"ama": 4.0, "ucsf": 6.0}
    assert list(results.errors) == ["cdc"]
    with pytest.raises(P2PGridError):
        results["cdc"]


def test_c38_a_domain_that_refuses_is_named_and_hides_no_other(
    grid: Grid, hospitals: dict[str, FabricNode], members: dict[str, DatasetPointer], tmp_path: Path
) -> None:
    closed = publish(grid, hospitals["cdc"], tmp_path, name="Births, closed", allowed="bea")
    results = DistributedDataset([members["ama"], closed, members["ucsf"]]).map(mean_weight)
    assert list(results.succeeded) == ["ama", "ucsf"]
    with pytest.raises(GetNotPermittedError):
        results["cdc"]


def test_c38_a_member_of_another_schema_is_refused_by_what_differs(
    grid: Grid, hospitals: dict[str, FabricNode], members: dict[str, DatasetPointer], tmp_path: Path
) -> None:
    pounds = BOOK.replace("high = 10", "high = 22").replace('"kg"', '"lb"')
    other = publish(
        grid, hospitals["cdc"], tmp_path, name="Births, pounds", allowed="ana", book=pounds
    )
    with pytest.raises(SchemaMismatchError, match="dataset 'Births, pounds' at cdc") as refused:
        DistributedDataset([members["ama"], other])
    assert refused.value.column == "high of column 'Weight'"
    assert len(group_by_schema([*members.values(), other])) == 2


def test_c38_what_was_published_without_a_schema_is_in_no_group(
    grid: Grid, hospitals: dict[str, FabricNode], members: dict[str, DatasetPointer]
) -> None:
    owner: DomainClient = grid.owner_of(hospitals["ama"])
    plain = owner.publish("plain", [1.0, 2.0])
    assert len(group_by_schema([plain, *members.values()])) == 1
    with pytest.raises(SchemaMismatchError, match="not given"):
        DistributedDataset([members["ama"], plain])
