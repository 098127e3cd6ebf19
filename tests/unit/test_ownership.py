"""Every row belongs to one entity, and every entity has a row."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from p2pgrid.errors import SourceError
from p2pgrid.protocol.ownership import by_key, one_entity_per_row

keys = st.integers(0, 5) | st.nothing()
splits = st.dictionaries(
    st.sampled_from(["train", "dev", "test"]), st.lists(keys, max_size=12), min_size=1
)


@settings(max_examples=60)
@given(rows=st.dictionaries(st.sampled_from(["train", "dev", "test"]), st.integers(0, 9)))
def test_one_entity_per_row_gives_every_row_of_every_split_its_own(rows: dict[str, int]) -> None:
    owners = one_entity_per_row(rows)
    numbers = [n for split in rows for n in owners[split].index()]
    assert numbers == list(range(sum(rows.values())))
    for split, owner in owners.items():
        assert (owner.rows, owner.entities) == (rows[split], sum(rows.values()))
        assert owner.owners is None


@settings(max_examples=60)
@given(given_keys=splits)
def test_a_column_of_keys_gives_equal_keys_one_entity(given_keys: dict[str, list[int]]) -> None:
    as_texts = {split: [f"p{key}" for key in column] for split, column in given_keys.items()}
    for columns in (given_keys, as_texts):
        arrays: dict[str, Any] = {
            split: np.array(column, object if columns is as_texts else int)
            for split, column in columns.items()
        }
        keyed = by_key("patient", arrays)
        for split, column in columns.items():
            numbers = keyed.splits[split].index().tolist()
            assert [keyed.keys[number] for number in numbers] == list(column)
        assert len(set(keyed.keys)) == len(keyed.keys)


@settings(max_examples=60)
@given(given_keys=splits)
def test_every_entity_has_a_row_in_some_split(given_keys: dict[str, list[int]]) -> None:
    owners = by_key("p", given_keys).splits.values()
    counts = sum(owner.counts() for owner in owners)
    assert (np.asarray(counts) > 0).all()
    assert np.sum(counts) == sum(map(len, given_keys.values()))


@pytest.mark.parametrize(
    ("entities", "dtype"), [(1, "uint8"), (256, "uint8"), (257, "uint16"), (65_537, "uint32")]
)
def test_a_map_takes_the_smallest_numbers_that_do(entities: int, dtype: str) -> None:
    owner = by_key("patient", {"train": np.arange(entities)}).splits["train"]
    assert owner.owners is not None
    assert owner.owners.dtype == dtype
    assert not owner.owners.flags.writeable


def test_more_entities_than_there_can_be_are_refused() -> None:
    with pytest.raises(ValueError, match="at most 2,147,483,647"):
        one_entity_per_row({"train": 2**31})


@pytest.mark.parametrize("missing", [None, float("nan")])
def test_a_row_of_nobody_is_refused(missing: object) -> None:
    with pytest.raises(SourceError, match="1 of 3 rows belong to nobody, the first is row 1"):
        by_key("patient", {"train": np.array(["a", missing, "b"], object)})


@pytest.mark.parametrize("column", [[1.5], [True], [(1,)], [1, "1"]])
def test_keys_are_whole_numbers_or_texts(column: list[object]) -> None:
    array = np.empty(len(column), object)
    array[:] = column
    with pytest.raises(SourceError, match="column 'patient'"):
        by_key("patient", {"train": array})


def test_a_map_does_not_show_whose_the_rows_are() -> None:
    keyed = by_key("patient", {"train": ["anna", "bert", "anna"]})
    assert repr(keyed) == "<Keyed {'train': <Ownership of 3 rows>}>"
