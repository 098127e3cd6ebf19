"""Versions in the catalog, also in one that was written when a name had one dataset."""

import sqlite3
from pathlib import Path

import msgspec
import pytest

from actors.ports import DatasetEntry, PartEntry, TensorEntry
from actors.state import State
from p2pgrid.errors import DuplicateError
from p2pgrid.ids import DatasetId, ObjectId
from p2pgrid.protocol.budgets import UserBudget
from p2pgrid.protocol.schemas import DatasetSchema
from tests.unit.schemas import BIRTHS

OLD_SCHEMA = """CREATE TABLE datasets (
    dataset_id BLOB PRIMARY KEY CHECK (length(dataset_id) = 16),
    name TEXT NOT NULL UNIQUE,
    entry BLOB NOT NULL
) STRICT"""
FULL = DatasetEntry(
    DatasetId(b"1" * 16),
    "births",
    "",
    ("bp",),
    frozenset({"ann"}),
    announce=False,
    tensors=(TensorEntry(ObjectId(b"t" * 16), "x", "float32", (2,), "test", "kg"),),
    parts=(PartEntry(ObjectId(b"p" * 16), "raw", "uint8", (3,)),),
    schema=DatasetSchema.of("births", {"x": BIRTHS}),
    metadata={"collected": 2019},
    private=False,
    version=2,
    uploaded=1_700_000_000,
    budget=UserBudget(),
)


def test_an_entry_comes_back_as_it_was(tmp_path: Path) -> None:
    state = State(tmp_path / "node.db")
    state.add_dataset(FULL)
    state.add_dataset(FULL)
    assert state.datasets() == (FULL,)
    state.close()


def test_c39_a_version_is_listed_once(tmp_path: Path) -> None:
    state = State(tmp_path / "node.db")
    state.add_dataset(FULL)
    state.add_dataset(FULL._replace(dataset_id=DatasetId(b"2" * 16), version=1))
    with pytest.raises(DuplicateError):
        state.add_dataset(FULL._replace(dataset_id=DatasetId(b"3" * 16)))
    with pytest.raises(DuplicateError):
        state.add_dataset(FULL._replace(version=7))
    assert [entry.version for entry in state.datasets()] == [1, 2]
    state.close()


def test_c39_a_catalog_without_versions_gets_them_and_keeps_all(tmp_path: Path) -> None:
    path = tmp_path / "node.db"
    old = [b"4" * 16, "heart", "", ["bp"], ["ann"], False, [[b"t" * 16, "x", "float32", [2]]]]
    with sqlite3.connect(path) as connection:
        connection.execute(OLD_SCHEMA)
        row = (old[0], "heart", msgspec.msgpack.encode(old))
        connection.execute("INSERT INTO datasets VALUES (?, ?, ?)", row)
    connection.close()
    for _ in range(2):  # the second time there is nothing to do
        state = State(path)
        entry = state.datasets()[0]
        assert entry == DatasetEntry(
            DatasetId(b"4" * 16),
            "heart",
            "",
            ("bp",),
            frozenset({"ann"}),
            announce=False,
            tensors=(TensorEntry(ObjectId(b"t" * 16), "x", "float32", (2,)),),
        )
        assert (entry.version, entry.private, entry.schema) == (1, True, None)
        state.add_dataset(FULL._replace(name="heart"))
        assert len(state.datasets()) == 2
        state.close()
