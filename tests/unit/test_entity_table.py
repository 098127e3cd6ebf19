"""Ids of entities are stable and say nothing; a table of entities is whole or refused."""

import contextlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st

from p2pgrid.client.entities import entities_of
from p2pgrid.errors import RemoteProtocolError, SchemaError
from p2pgrid.protocol.budgets import ENTITY_ID_BYTES, UserBudget
from p2pgrid.protocol.entity_ids import entity_ids, entity_secret
from p2pgrid.protocol.entity_table import EntityTable, decode_entities, encode_entities

SECRET, OTHER = entity_secret(b"\1" * 32), entity_secret(b"\2" * 32)
NOTHING = UserBudget()
SOME = UserBudget.of_all_splits(lifetime=1, user_lifetime=1, daily_auto=1, query_auto=1)
keys = st.lists(st.text(max_size=8), min_size=1, max_size=6, unique=True)


@given(keys=keys)
def test_a_person_has_one_id_at_a_domain_and_another_elsewhere(keys: list[str]) -> None:
    ids = entity_ids(keys, SECRET)
    assert ids == b"".join(entity_ids([key], SECRET) for key in keys)
    each = {ids[at : at + ENTITY_ID_BYTES] for at in range(0, len(ids), ENTITY_ID_BYTES)}
    assert len(each) == len(keys)
    assert not any(entity_ids([key], OTHER) in each for key in keys)


def test_a_number_is_who_its_digits_are() -> None:
    assert entity_ids([17], SECRET) == entity_ids(["17"], SECRET)
    assert entity_ids([17], SECRET) != entity_ids(["017"], SECRET)


def test_the_secret_is_not_the_seed_and_stays() -> None:
    assert SECRET == entity_secret(b"\1" * 32) != OTHER
    assert len(SECRET) == 32
    assert b"\1" * 8 not in SECRET


def test_ids_of_an_upload_are_those_of_the_one_before_where_keys_are() -> None:
    first = entities_of({"train": 2}, {"train": ["anna", "berta"]})
    later = entities_of({"train": 3}, {"train": ["clara", "berta", "clara"]})
    assert first.table(SECRET).uid(1) == later.table(SECRET).uid(1)
    assert first.table(SECRET).uid(0) != later.table(SECRET).uid(0)
    unnamed = entities_of({"train": 2})
    assert unnamed.table(SECRET) == unnamed.table(OTHER)
    again = entities_of({"train": 2}).table(SECRET)
    assert len({*map(again.uid, range(2)), *map(unnamed.table(SECRET).uid, range(2))}) == 4


@given(count=st.integers(1, 5), data=st.data())
def test_a_table_survives_the_wire(count: int, data: st.DataObject) -> None:
    numbers = data.draw(st.sets(st.integers(0, count - 1)))
    uids = b"".join(number.to_bytes(16, "big") for number in range(count))
    ids = data.draw(st.sampled_from([{"uids": uids}, {"seed": SECRET}]))
    table = EntityTable(count, NOTHING, tuple((number, SOME) for number in numbers), **ids)
    assert decode_entities(encode_entities(table)) == table
    assert [entity.user_budget for entity in table] == [
        SOME if number in numbers else NOTHING for number in range(count)
    ]
    worst = table.worst_case(np.ones(count, bool))
    assert worst == (SOME if len(numbers) == count else NOTHING)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"uids": bytes(31)}, "have 31 bytes for 2"),
        ({"uids": bytes(range(48))}, "have 48 bytes for 2"),
        ({"uids": bytes(32)}, "one comes twice"),
        ({"seed": bytes(31)}, "have 0 bytes"),
        ({"seed": SECRET, "uids": bytes(range(32))}, "have 32 bytes"),
        ({"seed": SECRET, "exceptions": ((2, SOME),)}, "one is for nobody"),
        ({"seed": SECRET, "exceptions": ((0, SOME), (0, NOTHING))}, "or twice"),
    ],
)
def test_a_table_has_one_meaning(changes: dict[str, Any], problem: str) -> None:
    with pytest.raises(SchemaError, match=problem):
        EntityTable(2, NOTHING, **changes)


def test_rows_without_owners_need_no_room() -> None:
    table = entities_of({"train": 10_000_000}).table(SECRET)
    assert len(encode_entities(table)) < 500
    assert table.uid(9_999_999) != table.uid(0)


@given(encoded=st.binary(max_size=200))
def test_any_bytes_are_a_table_or_refused(encoded: bytes) -> None:
    with contextlib.suppress(RemoteProtocolError):
        assert encode_entities(decode_entities(encoded))
