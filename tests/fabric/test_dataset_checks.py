"""A domain believes no publisher: what does not fit its schema is refused, and leaves nothing."""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import numpy as np
import pytest

from actors import examination
from actors.transfer import Upload as Draft
from p2pgrid import DomainClient
from p2pgrid.client.dataset_model import Dataset
from p2pgrid.client.dataset_upload import Upload, upload_of
from p2pgrid.client.publication import Parcel
from p2pgrid.errors import (
    DuplicateError,
    P2PGridError,
    SchemaError,
    SchemaMismatchError,
    UnfitValuesError,
)
from p2pgrid.net.calls import ask
from p2pgrid.protocol.arrays import Array, header_of, raw_bytes
from p2pgrid.protocol.budgets import UserBudget
from p2pgrid.protocol.columns import Column
from p2pgrid.protocol.entity_table import EntityTable, encode_entities
from p2pgrid.protocol.messages import NewPart, NewTensor, Publish, Published
from p2pgrid.protocol.schemas import DatasetSchema, TensorSchema
from tests.fabric.births import births
from tests.fabric.conftest import FabricNode

Change = Callable[[Upload], Upload]
replace = msgspec.structs.replace


def sent(owner: DomainClient, dataset: Dataset, change: Change) -> Published:
    """What the domain answers to a publisher who changes what is sent."""
    upload = change(
        upload_of(
            dataset, allowed=(), allowed_domains=(), announce=False,
            secret=bytes(32), limits=owner._limits,
        )
    )  # fmt: skip
    owner.login()
    buffers = [raw_bytes(parcel.array) for parcel in upload.parcels]
    return ask(owner.link(), upload.message, Published, buffers)


def with_array(number: int, change: Callable[[Array], Any]) -> Change:
    """Other values, and what follows from them, in the array or part of this number."""

    def changed(upload: Upload) -> Upload:
        parcel = upload.parcels[number]
        array = np.asarray(change(parcel.array.copy()))
        header = header_of(array, buffer=parcel.header.buffer)
        parcels = list(upload.parcels)
        parcels[number] = parcel._replace(array=array, header=header)
        return Upload(_with_headers(upload.message, parcels), tuple(parcels))

    return changed


def _with_headers(message: Publish, parcels: Sequence[Parcel]) -> Publish:
    headers = {parcel.object_id: parcel.header for parcel in parcels}
    tensors = tuple(replace(it, header=headers[it.object_id]) for it in message.tensors)
    parts = tuple(replace(it, header=headers[it.object_id]) for it in message.parts)
    return replace(message, tensors=tensors, parts=parts)


def with_message(change: Callable[[Publish], Publish]) -> Change:
    return lambda upload: upload._replace(message=change(upload.message))


def with_tensors(change: Callable[[list[NewTensor]], list[NewTensor]]) -> Change:
    return with_message(lambda it: replace(it, tensors=tuple(change(list(it.tensors)))))


def with_parts(change: Callable[[list[NewPart]], list[NewPart]]) -> Change:
    return with_message(lambda it: replace(it, parts=tuple(change(list(it.parts)))))


def with_value(row: int, value: float) -> Callable[[Array], Array]:
    def put(array: Array) -> Array:
        array[row] = value
        return array

    return put


def entities(table: EntityTable) -> Change:
    return with_array(ENTITIES, lambda _: np.frombuffer(encode_entities(table), np.uint8))


GENDER, WEIGHT, X, TEST_WEIGHT, ENTITIES, OWNERS, RAW = 0, 1, 2, 4, 6, 7, 9
"""Of the parcels of ``births``."""

UNFIT: dict[str, tuple[Change, str]] = {
    "c33 a value above": (
        with_array(WEIGHT, with_value(3, 10.5)),
        r"train split, tensor 'table', column 'Weight': 1 of 5 values lie outside \[0.0, 10.0\]",
    ),
    "c33 a value below, in a test split": (
        with_array(TEST_WEIGHT, with_value(0, -1)),
        "test split, tensor 'table', column 'Weight': 1 of 2",
    ),
    "c33 no number": (with_array(WEIGHT, with_value(0, np.nan)), "or are no numbers"),
    "c33 a code without a label": (with_array(GENDER, with_value(1, 2)), "column 'Gender': 1 of 5"),
    "c33 columns of one array": (with_array(X, with_value(2, 81)), "column 'Gender': 1 of 5"),
    "an entity without a row": (with_array(OWNERS, lambda it: it * 0), "each has to have a row"),
    "an entity that is not there": (with_array(OWNERS, with_value(4, 2**32 - 1)), "there are 3"),
    "ids of another length": (
        with_array(ENTITIES, lambda _: np.zeros(3, np.uint8)),
        "cannot be read",
    ),
    "too few ids": (entities(EntityTable(1, UserBudget(), uids=bytes(16))), "there are 1"),
}


@pytest.mark.parametrize("name", UNFIT)
def test_c33_values_that_do_not_fit_are_refused_without_saying_them(
    name: str, owner: DomainClient, bob: FabricNode
) -> None:
    change, text = UNFIT[name]
    with pytest.raises(UnfitValuesError, match=text) as refused:
        sent(owner, births(), change)
    assert not any(value in str(refused.value) for value in ("10.5", "81", "-1.0"))
    assert_nothing_is_left(owner, bob)
    assert [(e.action, e.outcome) for e in bob.state.audit_log()][-1] == ("publish", "refused")
    owner.publish_dataset(births())


MISFITS: dict[str, tuple[Change, type[P2PGridError], str]] = {
    "c30 a column of a test split less": (
        with_tensors(lambda it: [t for t in it if (t.split, t.column) != ("test", "Weight")]),
        SchemaMismatchError,
        "test split, tensor 'table': column 'Weight' is absent",
    ),
    "c30 a tensor of a test split less": (
        with_tensors(lambda it: [t for t in it if (t.split, t.name) != ("test", "x")]),
        SchemaMismatchError,
        "test split: tensor 'x' is absent",
    ),
    "c30 another column": (
        with_tensors(lambda it: [replace(it[0], column="Sex"), *it[1:]]),
        SchemaMismatchError,
        "column 'Gender' is absent",
    ),
    "no train split": (
        with_tensors(lambda it: [t for t in it if t.split == "test"]),
        SchemaMismatchError,
        "train split: tensor 'table' is absent",
    ),
    "another dtype": (
        with_array(WEIGHT, lambda it: it.astype("float64")),
        SchemaMismatchError,
        "column 'Weight' is float64 of shape \\(5,\\), but the schema says float32",
    ),
    "another number of columns": (
        with_array(X, lambda it: it[:, :2]),
        SchemaMismatchError,
        "its array is float32 of shape \\(5, 2\\)",
    ),
    "tensors of different lengths": (
        with_array(X, lambda it: it[:4]),
        SchemaMismatchError,
        "float32 of shape \\(4, 3\\), but the schema says float32 of shape \\(5, 3\\)",
    ),
    "a number": (with_array(GENDER, lambda it: it[0]), SchemaMismatchError, "of shape \\(\\)"),
    "an array twice": (
        with_tensors(lambda it: [*it, replace(it[0], object_id=bytes(16))]),
        SchemaError,
        "an array comes twice",
    ),
    "the id of another array": (
        with_tensors(lambda it: [replace(it[0], object_id=it[1].object_id), *it[1:]]),
        DuplicateError,
        "array id",
    ),
    "no entities": (with_parts(lambda it: it[1:]), SchemaError, "expected one table of entities"),
    "entities twice": (
        with_parts(lambda it: [*it, replace(it[0], object_id=bytes(16))]),
        SchemaError,
        "expected one table of entities",
    ),
    "entities of a split": (
        with_parts(lambda it: [*it, replace(it[0], object_id=bytes(16), split="test")]),
        SchemaError,
        "expected one table of entities",
    ),
    "owners twice": (
        with_parts(lambda it: [*it, replace(it[1], object_id=bytes(16))]),
        SchemaError,
        "are of \\['test', 'train', 'train'\\]",
    ),
    "owners of one split": (with_parts(lambda it: it[:2]), SchemaError, "are of \\['train'\\]"),
    "owners of another dtype": (
        with_array(OWNERS, lambda it: it.astype("int64")),
        SchemaMismatchError,
        "part 'owners' is int64",
    ),
    "owners of fewer rows": (
        with_array(OWNERS, lambda it: it[:4]),
        SchemaMismatchError,
        "part 'owners' is uint32 of shape \\(4,\\)",
    ),
    "raw that is no bytes": (
        with_array(RAW, lambda it: it.reshape(1, -1)),
        SchemaMismatchError,
        "part 'raw' is uint8 of shape \\(1, 34\\)",
    ),
    "parts without a schema": (
        with_message(lambda it: replace(it, schema=None)),
        SchemaError,
        "needed for splits, columns, and private parts",
    ),
    "a name twice": (
        with_message(
            lambda it: replace(
                it,
                schema=None,
                parts=(),
                tensors=(it.tensors[0], replace(it.tensors[1], name="table", column="")),
            )
        ),
        SchemaError,
        "needed for splits|a name comes twice",
    ),
}


@pytest.mark.parametrize("name", MISFITS)
def test_c30_arrays_that_are_not_the_schemas_are_refused(
    name: str, owner: DomainClient, bob: FabricNode
) -> None:
    change, error, text = MISFITS[name]
    with pytest.raises(error, match=text):
        sent(owner, births(), change)
    assert_nothing_is_left(owner, bob)


def test_c33_a_byte_that_is_no_truth_value_is_refused(owner: DomainClient, bob: FabricNode) -> None:
    schema = DatasetSchema.of("truth", {"x": TensorSchema("truth", (Column("ill", "bool"),))})
    prepared = births(
        tensors={"x": np.array([True, False])}, test=None, schema=schema,
        owners=None, budgets=None, raw=None,
    )  # fmt: skip
    odd = with_array(0, lambda _: np.array([[2], [0]], np.uint8).view(np.bool_))
    with pytest.raises(UnfitValuesError, match="column 'ill': 1 of 2"):
        sent(owner, prepared, odd)
    assert_nothing_is_left(owner, bob)


def test_c33_what_was_uploaded_before_is_checked_and_removed_alike(
    owner: DomainClient, bob: FabricNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    schema = DatasetSchema.of("many", {"x": TensorSchema("m", (Column("a", "float64", 0, 1),))})
    values = np.zeros(300_000)
    prepared = births(tensors={"x": values}, test=None, schema=schema, owners=None, budgets=None)
    prepared.tensors["x"].columns["a"].flags.writeable = True
    prepared.tensors["x"].columns["a"][250_000:] = 7
    left: list[Draft] = []
    leave = Draft.leave

    def watched(draft: Draft) -> None:
        left.append(draft)
        leave(draft)

    monkeypatch.setattr(Draft, "leave", watched)
    monkeypatch.setattr(examination, "BLOCK", 1000)
    with pytest.raises(UnfitValuesError, match="50,000 of 300,000 values lie outside"):
        owner.publish_dataset(prepared)
    assert left
    assert_nothing_is_left(owner, bob)


def test_a_worst_budget_is_computed_by_the_domain(owner: DomainClient) -> None:
    generous = UserBudget.of_all_splits(lifetime=9, user_lifetime=9, daily_auto=9, query_auto=9)
    table = EntityTable(3, generous, ((1, UserBudget()),), uids=bytes(range(48)))
    sent(owner, births(), entities(table))
    assert owner.datasets[0].worst_case_user_budget == UserBudget()


def assert_nothing_is_left(owner: DomainClient, bob: FabricNode) -> None:
    assert owner.datasets == ()
    assert list(bob.directory.objects.glob("*.npy*")) == []
    assert bob.node._transfers is not None
    assert not bob.node._transfers._open
