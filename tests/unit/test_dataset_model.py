"""A dataset is valid once it is prepared, and shows nothing private."""

from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings, strategies as st

from p2pgrid.client.dataset_model import Dataset, prepare_dataset
from p2pgrid.client.entities import Entities, entities_of
from p2pgrid.client.frameworks import FRAMEWORKS, installed_frameworks
from p2pgrid.client.public_dataset import PublicDataset
from p2pgrid.errors import (
    BoundsError,
    MissingValuesError,
    SchemaError,
    SchemaMismatchError,
    SourceError,
)
from p2pgrid.protocol.budgets import UserBudget
from p2pgrid.protocol.columns import Column
from p2pgrid.protocol.ownership import Ownership
from p2pgrid.protocol.schemas import DatasetSchema, TensorSchema
from tests.unit.schemas import BIRTHS

DESCRIPTION = "Births of February,\nweighed by midwives.\n\n  * Gender: 0/1\n"
VALUES = torch.tensor([[0, 3.25, 50], [1, 4, 51.5], [1, 2.5, 48], [0, 3, 49], [1, 3.5, 52]])
SCHEMA = DatasetSchema.of("births", {"x": BIRTHS})
SECRET = b"the file of the owner"
NP = ("NP",)


def prepared(**changes: Any) -> Dataset:
    """The births of the owner's tensor of five rows."""
    settings: dict[str, Any] = {
        "name": "Birth records",
        "tensors": {"x": VALUES},
        "schema": SCHEMA,
        "tags": ("#February", "#birth-records"),
        "description": DESCRIPTION,
    }
    return prepare_dataset(**{**settings, **changes})


def budget(epsilon: float) -> UserBudget:
    return UserBudget.of_all_splits(
        lifetime=epsilon, user_lifetime=epsilon, daily_auto=epsilon, query_auto=epsilon
    )


# --- C28: what is required --------------------------------------------------------------------


@pytest.mark.parametrize("field", ["name", "tensors", "schema", "tags", "description"])
def test_c28_a_required_field_that_is_missing_is_named(field: str) -> None:
    settings = {
        "name": "Birth records",
        "tensors": {"x": VALUES},
        "schema": SCHEMA,
        "tags": ("#February",),
        "description": DESCRIPTION,
    }
    del settings[field]
    with pytest.raises(SchemaError) as refused:
        prepare_dataset(**settings)  # type: ignore[arg-type]
    assert refused.value.field == field


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"name": "x" * 129}, "name"),
        ({"name": "a\x00"}, "name"),
        ({"tags": ["t"] * 0}, "tags"),
        ({"tags": list(map(str, range(33)))}, "tags"),
        ({"tags": ["#"]}, "tag"),
        ({"description": "x" * 16_385}, "description"),
        ({"metadata": {"a": [1]}}, "metadata['a']"),
    ],
)
def test_c28_a_field_that_holds_what_it_may_not_is_named(
    changes: dict[str, Any], field: str
) -> None:
    with pytest.raises(SchemaError) as refused:
        prepared(**changes)
    assert refused.value.field == field


def test_c28_what_is_public_holds_neither_raw_nor_values_nor_keys() -> None:
    owners = {"train": [f"patient-{n}" for n in range(5)]}
    dataset = prepared(raw=SECRET, owners=owners, metadata={"collected": 2019})
    assert dataset.raw == SECRET
    sent = msgspec.msgpack.encode(dataset.public(frameworks=NP))
    shown = repr(dataset) + repr(dataset.public(frameworks=NP)) + repr(dataset.entities)
    shown += repr(dataset.tensors) + repr(dataset.entities.rows)
    for private in (SECRET, b"patient", VALUES.numpy().tobytes(), b"3.25", b"51.5"):
        assert private not in sent
        assert private not in shown.encode()


def test_c28_what_is_public_survives_the_wire() -> None:
    public = prepared(metadata={"collected": 2019, "rural": True}).public(frameworks=NP)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(public), type=PublicDataset) == public
    assert public.rows == {"train": 5}
    assert public.private


def test_c28_the_public_face_prints_as_tables() -> None:
    long = "word " * 100
    dataset = prepared(name="<b>", description=long, metadata={"collected": 2019})
    public = dataset.public(frameworks=("PT", "NP"))
    for shown in (repr(public), public._repr_html_()):
        assert long.strip() not in shown
    assert public.description == long
    assert "frameworks   PT/NP" in repr(public)
    assert "metadata     collected=2019" in repr(public)
    assert "Weight" in repr(public)
    assert "<td>&lt;b&gt;</td>" in public._repr_html_()


# --- C29, C40: tensors ------------------------------------------------------------------------


def test_c29_a_tensor_becomes_a_data_frame_with_its_labels() -> None:
    frame = prepared().tensors["x"].to_pandas()
    assert isinstance(frame, pd.DataFrame)
    assert frame["Gender"].tolist() == ["female", "male", "male", "female", "male"]
    assert frame["Height"].dtype == np.float32


def test_c29_a_data_frame_goes_there_and_back() -> None:
    frame = prepared().tensors["x"].to_pandas()
    again = prepared(tensors={"x": frame}).tensors["x"].to_pandas()
    pd.testing.assert_frame_equal(again, frame)


def test_c29_frameworks_are_those_that_are_installed() -> None:
    assert {"PT", "PD", "NP"} <= set(installed_frameworks())
    assert installed_frameworks(lambda _: object()) == ("PT", "TF", "PD", "NP", "JX")
    assert installed_frameworks(lambda name: None if name == "jax" else object()) == (
        "PT",
        "TF",
        "PD",
        "NP",
    )
    assert set(FRAMEWORKS.values()) == {"torch", "tensorflow", "pandas", "numpy", "jax"}


def test_c29_frameworks_are_grouped_by_split() -> None:
    public = prepared(test={"x": VALUES}).public(frameworks=NP)
    assert public.frameworks == {"train": NP, "test": NP}


def test_c40_the_shape_and_the_description_are_kept() -> None:
    dataset = prepared()
    assert dataset.tensors["x"].shape == (5, 3)
    assert dataset.description == DESCRIPTION
    decomposed = "gro\u0308ße"
    assert prepared(description=decomposed).description == decomposed


def test_c40_a_tensor_of_images_keeps_its_shape() -> None:
    schema = TensorSchema("images", (Column("image", "uint8", 0, 255, shape=(2, 3)),))
    images = np.zeros((7, 2, 3))
    dataset = prepared(schema=DatasetSchema.of("s", {"x": schema}), tensors={"x": images})
    assert dataset.tensors["x"].shape == (7, 2, 3)
    assert len(dataset.tensors["x"].to_pandas()) == 7


def test_tags_are_spelled_in_one_way_and_come_once() -> None:
    assert prepared(tags="#February").tags == ("february",)
    assert prepared(tags=["#A", "a", "b"]).tags == ("a", "b")


def test_c40_a_tensor_of_one_column_has_one_shape() -> None:
    schema = DatasetSchema.of("s", {"x": TensorSchema("s", (Column("weight", "float64", 0, 10),))})
    for values in ([3.5, 4.0], [[3.5], [4.0]]):
        tensor = prepared(schema=schema, tensors={"x": values}).tensors["x"]
        assert (tensor.shape, tensor.columns["weight"].tolist()) == ((2, 1), [3.5, 4.0])


# --- C30, C33: splits, bounds -----------------------------------------------------------------


def test_c30_splits_of_one_schema_have_rows_of_their_own() -> None:
    dataset = prepared(dev={"x": VALUES[:2]}, test={"x": VALUES[:0]})
    assert dataset.rows == {"train": 5, "dev": 2, "test": 0}


@pytest.mark.parametrize(
    ("test", "differing"),
    [
        ({"x": pd.DataFrame({"Gender": [0], "Weight": [1.0]})}, "column 'Height'"),
        (
            {"x": pd.DataFrame({"Gender": [0], "Weight": [1.0], "Height": [40], "Zip": [1]})},
            "column 'Zip'",
        ),
        ({"y": VALUES}, "tensor 'x'"),
        ({"x": VALUES, "y": VALUES}, "tensor 'y'"),
    ],
)
def test_c30_a_test_split_that_differs_is_refused_by_the_column(
    test: dict[str, Any], differing: str
) -> None:
    with pytest.raises(SchemaMismatchError, match=r"^test split") as refused:
        prepared(test=test)
    assert refused.value.column == differing


def test_c30_tensors_of_a_split_have_as_many_rows_as_each_other() -> None:
    schema = DatasetSchema.of("s", {"x": BIRTHS, "y": BIRTHS})
    with pytest.raises(SourceError, match="train split: tensors of a split share their rows"):
        prepared(schema=schema, tensors={"x": VALUES, "y": VALUES[:4]})


def test_c33_data_outside_of_the_bounds_are_refused_or_clipped_by_a_flag() -> None:
    heavy = VALUES.clone()
    heavy[2, 1] = 11.5
    with pytest.raises(BoundsError, match="column 'Weight': 1 of 5 values"):
        prepared(tensors={"x": heavy})
    clipped = prepared(tensors={"x": heavy}, clip=True).tensors["x"]
    assert clipped.columns["Weight"].tolist() == [3.25, 4, 10, 3, 3.5]


def test_c33_a_missing_value_needs_a_public_one() -> None:
    torn = VALUES.clone()
    torn[2, 1] = float("nan")
    with pytest.raises(MissingValuesError, match="column 'Weight'"):
        prepared(tensors={"x": torn}, clip=True)
    filled = prepared(tensors={"x": torn}, missing={"x": {"Weight": 3.5}})
    assert filled.tensors["x"].columns["Weight"].tolist() == [3.25, 4, 3.5, 3, 3.5]


@settings(max_examples=30)
@given(data=st.data(), rows=st.integers(1, 8), seed=st.integers(0, 3))
def test_c32_private_rows_change_no_byte_of_a_mock(
    data: st.DataObject, rows: int, seed: int
) -> None:
    inside = st.tuples(st.integers(0, 1), st.floats(0, 10), st.floats(1, 80))
    mocks = []
    for _ in range(2):
        values = data.draw(st.lists(inside, min_size=rows, max_size=rows))
        mock = prepared(tensors={"x": np.array(values)}).tensors["x"].mock(seed=seed)
        mocks.append({name: mock[name].to_numpy().tobytes() for name in mock.columns[1:]})
        mocks[-1]["Gender"] = mock["Gender"].cat.codes.to_numpy().tobytes()
        assert len(mock) == rows
    assert mocks[0] == mocks[1]


# --- C34, C35: entities and budgets -----------------------------------------------------------


def test_c34_entities_have_random_ids() -> None:
    first, second = prepared().entities, prepared().entities
    uids = {entity.uid for entity in (*first, *second)}
    assert len(first) == 5
    assert len(uids) == 10
    assert first[0] in first[:2]
    assert first[-1].uid == list(first)[4].uid


def test_c34_nobody_may_spend_anything_unless_the_owner_says_so() -> None:
    assert prepared().worst_case_user_budget == UserBudget()


def test_c35_the_worst_case_is_that_of_the_entities_who_have_a_row() -> None:
    owners = {"train": ["a", "b", "a", "c", "a"], "test": ["a", "d"]}
    budgets = {"b": budget(1.0), "c": budget(0.3), "a": budget(2.0), "d": budget(0.1)}
    dataset = prepared(owners=owners, budgets=budgets, test={"x": VALUES[:2]})
    assert dataset.entities.worst_case("train") == budget(0.3)
    assert dataset.entities.worst_case("test") == budget(0.1)
    assert dataset.worst_case_user_budget == budget(0.1)


@pytest.mark.parametrize(("budgets", "worst"), [({}, 1.0), ({2: 0.5}, 0.5), ({2: 9.0}, 1.0)])
def test_c35_exceptions_stand_beside_the_budget_of_all(
    budgets: dict[int | str, float], worst: float
) -> None:
    exceptions = {row: budget(epsilon) for row, epsilon in budgets.items()}
    dataset = prepared(budget=budget(1.0), budgets=exceptions)
    assert dataset.worst_case_user_budget == budget(worst)


def test_c35_the_budget_of_all_does_not_count_where_everybody_is_an_exception() -> None:
    splits = {"train": Ownership(rows=2, entities=2)}
    entities = Entities(splits, exceptions={0: budget(3.0), 1: budget(2.0)})
    assert entities.worst_case("train") == budget(2.0)


def test_a_split_without_rows_has_nobody_whose_budget_could_be_worst() -> None:
    dataset = prepared(budget=budget(1.0), test={"x": VALUES[:0]})
    assert dataset.worst_case_user_budget == budget(1.0)
    with pytest.raises(SchemaError, match="at least one"):
        dataset.entities.worst_case("test")


def test_there_is_a_key_for_every_row_of_every_split() -> None:
    with pytest.raises(SchemaError, match="column 'mother'"):
        entities_of({"train": 2}, {"train": ["a"]}, column="mother")
    with pytest.raises(SchemaError, match="column 'mother'"):
        entities_of({"train": 1, "test": 1}, {"train": ["a"]}, column="mother")


def test_a_budget_for_nobody_is_refused_and_nobody_is_told() -> None:
    with pytest.raises(SchemaError, match="1 of 2 are for nobody") as refused:
        entities_of(
            {"train": 1}, {"train": ["anna"]}, budgets={"anna": budget(1), "bert": budget(1)}
        )
    assert "bert" not in str(refused.value)
