"""Prepared datasets over the wire: what everybody sees, and what only owners get."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from p2pgrid import DatasetPointer, DomainClient, TablePointer, TensorPointer
from p2pgrid.config import DEFAULT_TIMING
from p2pgrid.errors import (
    GetNotPermittedError,
    ObjectGoneError,
    PermissionDeniedError,
    PublishNotPermittedError,
    SchemaError,
    TooLargeError,
)
from p2pgrid.net.calls import ask
from p2pgrid.net.memory import MemoryStream
from p2pgrid.protocol.codec import Buffer
from p2pgrid.protocol.columns import Column
from p2pgrid.protocol.messages import Get, ListParts, Parts, Value
from p2pgrid.protocol.schemas import DatasetSchema, TensorSchema
from tests.fabric.births import ARRAY, BIRTHS, CAREFUL, MOTHERS, RAW, SCHEMA, TABLE, USUAL, births
from tests.fabric.conftest import FabricNode, Grid, domain_at

PRIVATE = ("value", "data", "e_high", "e_low", "accountant")


@pytest.fixture
def mine(owner: DomainClient) -> DatasetPointer:
    """The births, as their owner sees them."""
    return owner.publish_dataset(births())


@pytest.fixture
def theirs(grid: Grid, owner: DomainClient, mine: DatasetPointer) -> DatasetPointer:
    """The births, as a scientist sees them who may take nothing home."""
    (found,) = grid.user(owner, "ana").search("#february")
    assert found.id == mine.id
    return found


# --- C28: what is public, and raw ----------------------------------------------------------------


def test_c28_everybody_sees_what_is_public(theirs: DatasetPointer) -> None:
    assert (theirs.name, theirs.version, theirs.private) == ("Birth records", 1, True)
    assert theirs.tags == ("february", "birth-records")
    assert theirs.metadata == {"collected": 2019}
    assert theirs.schema == SCHEMA
    assert theirs.rows == {"train": 5, "dev": 0, "test": 2}
    assert theirs.splits == ("train", "test")
    assert theirs.uploaded is not None


def test_c28_raw_is_for_owners_and_in_no_byte_that_anybody_else_gets(
    theirs: DatasetPointer,
    mine: DatasetPointer,
    bob: FabricNode,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert mine.raw == RAW
    (part,) = (part for part in bob.state.datasets()[0].parts if part.kind == "raw")
    came = received(theirs, monkeypatch)
    with pytest.raises(GetNotPermittedError):
        theirs.raw  # noqa: B018
    link = theirs.domain.link()
    with pytest.raises(PermissionDeniedError):
        ask(link, ListParts(theirs.record.dataset_id), Parts)
    with pytest.raises(ObjectGoneError):
        ask(link, Get(part.object_id, "ana"), Value)
    again = theirs.domain.search("#february")[0]  # type: ignore[attr-defined]
    for pointer in again.split("test").values():
        with pytest.raises(GetNotPermittedError):
            pointer.get()
    assert came
    for secret in (RAW, part.object_id, *(mother.encode() for mother in MOTHERS)):
        assert not any(secret in frame for frame in came)


def test_c28_an_owner_who_is_logged_in_by_a_token_of_hers_reads_no_private_part(
    grid: Grid, owner: DomainClient, mine: DatasetPointer, bob: FabricNode
) -> None:
    stranger = grid.client("stranger")
    key = stranger.wallet.new(owner.peer_id).public_key
    shared = stranger.accept(mine.share(key))
    with pytest.raises(GetNotPermittedError):
        shared.raw  # noqa: B018
    part = bob.state.datasets()[0].parts[0]
    with pytest.raises(ObjectGoneError):
        ask(shared.domain.link(), Get(part.object_id), Value)
    np.testing.assert_array_equal(shared["x"].get(), BIRTHS.astype("float32"))


def test_c28_private_parts_survive_a_restart(make_grid: Callable[..., Grid]) -> None:
    grid = make_grid(timing=replace(DEFAULT_TIMING, orphan_s=0.0))  # what is not listed goes
    bob = grid.launch("bob")
    owner = grid.owner_of(bob)
    before = owner.publish_dataset(births())
    entities = list(before["x"].accountant)
    bob.stop()
    bob.start()
    after = owner.search("#february")[0]
    assert after.raw == RAW
    assert list(after["x"].accountant) == entities
    assert after.record.schema == SCHEMA


def test_c28_a_dataset_that_is_not_private_is_for_every_account(
    grid: Grid, owner: DomainClient
) -> None:
    owner.publish_dataset(births(private=False))
    found = grid.user(owner, "ana").search("#february")[0]
    assert not found.private
    np.testing.assert_array_equal(found["x"].get(), BIRTHS.astype("float32"))
    with pytest.raises(GetNotPermittedError):
        found.raw  # noqa: B018


# --- C29, C31, C33: tensors ----------------------------------------------------------------------


def test_c29_a_dataset_says_what_its_node_converts_to(theirs: DatasetPointer) -> None:
    assert {"NP", "PD", "PT"} <= set(theirs.frameworks)
    assert "JX" not in theirs.frameworks
    assert "TF" not in theirs.frameworks


def test_c29_a_tensor_comes_home_as_a_data_frame(mine: DatasetPointer) -> None:
    frame = mine.tensors["table"].to_pandas()
    assert isinstance(frame, pd.DataFrame)
    assert list(frame["Gender"]) == ["female", "male", "male", "female", "male"]
    x = mine.tensors["x"].to_pandas()
    assert list(x.columns) == ["Gender", "Weight", "Height"]
    np.testing.assert_array_equal(x.to_numpy(), BIRTHS.astype("float32"))


def test_c31_shape_schema_mock_and_bounds_are_public(theirs: DatasetPointer) -> None:
    x, table = theirs.tensors["x"], theirs.tensors["table"]
    assert isinstance(x, TensorPointer)
    assert isinstance(table, TablePointer)
    assert (x.shape, table.shape) == ((5, 3), (5, 2))
    assert theirs.split("test")["x"].shape == (2, 3)
    assert (x.name, x.schema, table.schema) == ("x", ARRAY, TABLE)
    assert len(x.id) == len(table.id) == 32
    assert x.private
    assert x.mock(seed=1).shape == (5, 3)
    assert list(table.mock().columns) == ["Gender", "Weight"]
    assert x.worst_case_user_budget == CAREFUL


@pytest.mark.parametrize("tensor", ["x", "table"])
@pytest.mark.parametrize("field", PRIVATE)
def test_c31_what_is_private_of_a_tensor_is_refused(
    theirs: DatasetPointer, tensor: str, field: str
) -> None:
    pointer = theirs.tensors[tensor]
    before = theirs.domain.link().array_bytes_received
    with pytest.raises(GetNotPermittedError):
        getattr(pointer, field)
    assert theirs.domain.link().array_bytes_received == before


def test_c31_who_has_no_account_is_refused_alike(
    grid: Grid, mine: DatasetPointer, bob: FabricNode
) -> None:
    pointer = domain_at(grid.client("stranger"), bob.address).datasets[0].tensors["x"]
    assert pointer.id == mine.tensors["x"].id
    for field in PRIVATE:
        with pytest.raises(GetNotPermittedError):
            getattr(pointer, field)


def test_c31_the_owner_has_all_of_it(mine: DatasetPointer) -> None:
    x, table = mine.tensors["x"], mine.tensors["table"]
    np.testing.assert_array_equal(x.value, BIRTHS.astype("float32"))
    np.testing.assert_array_equal(x.data, x.value)
    np.testing.assert_array_equal(table.value["Weight"], BIRTHS[:, 1].astype("float32"))
    mothers = [BIRTHS[[0, 2]], BIRTHS[[1, 4]], BIRTHS[[3]]]
    np.testing.assert_array_equal(x.e_high, np.array([rows.max(0) for rows in mothers], "float32"))
    np.testing.assert_array_equal(x.e_low, np.array([rows.min(0) for rows in mothers], "float32"))
    np.testing.assert_array_equal(table.e_high["Weight"], np.array([3.9, 4.1, 4.1], "float32"))
    budgets = [entity.user_budget for entity in x.accountant]
    assert budgets == [USUAL, CAREFUL, USUAL]


def test_c31_rows_without_owners_are_entities_of_their_own(owner: DomainClient) -> None:
    dataset = owner.publish_dataset(births(owners=None, budgets={6: CAREFUL}))
    test = dataset.split("test")["x"]
    np.testing.assert_array_equal(test.e_high, BIRTHS[:2].astype("float32"))
    assert [entity.user_budget for entity in test.accountant] == [*[USUAL] * 6, CAREFUL]


def test_c31_what_has_no_schema_says_so(owner: DomainClient, mine: DatasetPointer) -> None:
    pointer = mine.tensors["x"]
    with pytest.raises(SchemaError, match="published with"):
        owner.publish("plain", BIRTHS)["plain"].mock()
    with pytest.raises(SchemaError, match="published with"):
        (pointer * 2).mock()
    pointer += 1
    with pytest.raises(SchemaError, match="published with"):
        pointer.high  # noqa: B018


def test_c33_bounds_come_from_the_schema(theirs: DatasetPointer) -> None:
    x = theirs.tensors["x"]
    weight = [column.name for column in x.schema.columns].index("Weight")
    assert (x.low[weight], x.high[weight]) == (0, 10)
    assert theirs.tensors["table"].high == (1, 10)


def test_splits_and_tensors_that_are_not_there_are_named(mine: DatasetPointer) -> None:
    with pytest.raises(KeyError, match="no split 'dev'; it has train, test"):
        mine.split("dev")
    with pytest.raises(KeyError, match="no tensor 'y'; its train split has"):
        mine["y"]
    assert list(mine) == list(mine.tensors) == ["table", "x"]


# --- C35, C37, C40 -------------------------------------------------------------------------------


def test_c35_the_record_has_the_worst_budget_of_all_entities(owner: DomainClient) -> None:
    least = [
        owner.publish_dataset(births(budgets={mother: budget(each)})).worst_case_user_budget
        for mother, each in (("anna", 0.3), ("clara", 0.2))
    ]
    assert [found.query_auto_train for found in least if found] == [0.3, 0.2]


def budget(query: float) -> Any:
    return USUAL.with_changes(query_auto_train=query)


def test_c37_two_domains_publish_an_equal_schema_and_get_an_equal_id(
    grid: Grid, owner: DomainClient
) -> None:
    alice = grid.owner_of(grid.launch("alice"))
    again = DatasetSchema.of("births", {"table": TABLE, "x": ARRAY})
    ids = [
        domain.publish_dataset(births(schema=schema)).schema.id  # type: ignore[union-attr]
        for domain, schema in ((owner, SCHEMA), (alice, again))
    ]
    assert ids[0] == ids[1]


def test_c40_a_tensor_of_five_rows_and_three_columns_keeps_its_shape_and_description(
    owner: DomainClient,
) -> None:
    description = "Births:\n\n  * Gender: 0/1\n  * kg\n\tcm\n"
    schema = DatasetSchema.of("births", {"x": ARRAY})
    prepared = births(
        tensors={"x": BIRTHS}, test=None, schema=schema, description=description,
        owners=None, budgets=None,
    )  # fmt: skip
    pointer = owner.publish_dataset(prepared)
    assert pointer["x"].shape == (5, 3)
    assert pointer.description == description
    assert len(pointer.record.tensors) == 1


# --- what cannot be published --------------------------------------------------------------------


def test_c44_only_owners_publish(grid: Grid, owner: DomainClient) -> None:
    with pytest.raises(PublishNotPermittedError):
        grid.user(owner, "ana").publish_dataset(births())
    assert owner.datasets == ()


def test_c44_an_upload_says_what_and_how_many(
    owner: DomainClient, capsys: pytest.CaptureFixture[str]
) -> None:
    prepared = births(
        tensors={"x": BIRTHS}, test=None, schema=DatasetSchema.of("births", {"x": ARRAY}),
        owners=None, budgets=None,
    )  # fmt: skip
    owner.publish_dataset(prepared, progress=True)
    shown = capsys.readouterr().err
    assert "Uploading: Birth records: 100%" in shown
    assert "1/1" in shown
    owner.publish_dataset(prepared, progress=False)
    assert capsys.readouterr().err == ""


def test_what_is_public_has_to_fit_into_a_record_before_anything_is_sent(
    owner: DomainClient, bob: FabricNode
) -> None:
    columns = tuple(Column(f"c{n}", "float32", 0, 1, description="d" * 999) for n in range(60))
    schema = DatasetSchema.of("wide", {"x": TensorSchema("wide", columns)})
    values = np.zeros((200_000, 60), "float32")
    prepared = births(tensors={"x": values}, test=None, schema=schema, owners=None, budgets=None)
    sent = owner.link()._counters.sent
    with pytest.raises(TooLargeError, match=r"is 6\d,\d{3}, but at most 59,392"):
        owner.publish_dataset(prepared)
    assert owner.link()._counters.sent - sent < 1000
    with pytest.raises(TooLargeError, match="at most 59,392"):
        owner.publish("long", {f"c{n}": [0.0] for n in range(900)})
    assert owner.datasets == ()
    assert list(bob.directory.objects.glob("*.npy*")) == []


def test_an_image_beside_a_label_is_told_to_be_a_tensor_of_its_own(owner: DomainClient) -> None:
    columns = (Column("image", "uint8", 0, 255, shape=(2, 2)), Column("label", "float32", 0, 9))
    schema = DatasetSchema.of("digits", {"x": TensorSchema("digits", columns)})
    source = {"image": np.zeros((3, 2, 2), "uint8"), "label": np.zeros(3)}
    prepared = births(tensors={"x": source}, test=None, schema=schema, owners=None, budgets=None)
    with pytest.raises(SchemaError, match="a tensor of its own"):
        owner.publish_dataset(prepared)


def received(dataset: DatasetPointer, monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Every frame that comes to the dataset's program from now on."""
    own = theirs_stream(dataset)
    frames: list[bytes] = []
    receive = MemoryStream.receive

    async def watched(stream: MemoryStream, *, limit: int) -> Buffer:
        frame = await receive(stream, limit=limit)
        if stream is own:
            frames.append(bytes(frame))
        return frame

    monkeypatch.setattr(MemoryStream, "receive", watched)
    return frames


def theirs_stream(dataset: DatasetPointer) -> object:
    return dataset.domain.link()._stream
