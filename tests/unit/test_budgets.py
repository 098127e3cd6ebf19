"""Twelve numbers per entity, in their order, and the worst of many."""

import math
from itertools import pairwise, product
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings, strategies as st

from p2pgrid.errors import BudgetPolicyError, SchemaError
from p2pgrid.protocol.budgets import ORDER, Entity, EntityId, UserBudget, worst_case
from p2pgrid.protocol.schemas import SPLITS

LEVELS = dict(zip(ORDER, (0.1, 0.5, 2.0, 9.0), strict=True))
BUDGET = UserBudget.of_all_splits(**LEVELS)
NUMBERS = [f"{level}_{split}" for level, split in product(ORDER, SPLITS)]
UID = EntityId(bytes(16))

epsilons = st.floats(0, 1e6)


@st.composite
def budgets(draw: st.DrawFn) -> UserBudget:
    numbers: dict[str, float] = {}
    for split in SPLITS:
        levels = sorted(draw(st.lists(epsilons, min_size=4, max_size=4)))
        numbers.update(zip((f"{level}_{split}" for level in ORDER), levels, strict=True))
    return UserBudget(**numbers)


def test_c34_a_budget_has_twelve_numbers_that_can_be_read() -> None:
    assert sorted(UserBudget.__struct_fields__) == sorted(NUMBERS)
    assert [getattr(BUDGET, f"{level}_dev") for level in ORDER] == list(LEVELS.values())


def test_c34_nobody_may_spend_anything_by_default() -> None:
    assert set(msgspec.structs.astuple(UserBudget())) == {0.0}


@pytest.mark.parametrize("name", NUMBERS)
def test_c34_every_number_can_be_set(name: str) -> None:
    value = getattr(BUDGET, name)
    nudged = BUDGET.with_changes(**{name: value * 0.99 if "query" in name else value * 1.01})
    assert getattr(nudged, name) != value
    assert {n for n in NUMBERS if getattr(nudged, n) != getattr(BUDGET, n)} == {name}


@given(budget=budgets())
def test_c34_ordered_numbers_are_a_budget_that_survives_the_wire(budget: UserBudget) -> None:
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(budget), type=UserBudget) == budget


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("value", [-0.001, -math.inf, math.inf, math.nan])
def test_c34_numbers_are_finite_and_not_below_zero(name: str, value: float) -> None:
    with pytest.raises(BudgetPolicyError) as refused:
        BUDGET.with_changes(**{name: value})
    assert refused.value.field == name


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize(("lower", "upper"), list(pairwise(ORDER)))
def test_c34_a_broken_order_is_told_with_the_pair_and_both_numbers(
    lower: str, upper: str, split: str
) -> None:
    bound = LEVELS[upper]
    with pytest.raises(BudgetPolicyError, match="query_auto <= daily_auto") as refused:
        BUDGET.with_changes(**{f"{lower}_{split}": bound + 1})
    error = refused.value
    assert (error.field, error.value) == (f"{lower}_{split}", bound + 1)
    assert (error.limit, error.bound) == (f"{upper}_{split}", bound)


@given(numbers=st.lists(st.sampled_from([0.0, 1.0, 2.0]), min_size=12, max_size=12))
def test_c34_a_budget_exists_exactly_when_every_split_is_in_order(numbers: list[float]) -> None:
    named = dict(zip(NUMBERS, numbers, strict=True))
    ordered = all(
        [named[f"{level}_{split}"] for level in ORDER]
        == sorted(named[f"{level}_{split}"] for level in ORDER)
        for split in SPLITS
    )
    try:
        UserBudget(**named)
        assert ordered
    except BudgetPolicyError:
        assert not ordered


def test_c34_a_query_costs_at_most_a_day_a_day_at_most_a_life_and_that_at_most_all_lives() -> None:
    UserBudget.of_all_splits(query_auto=1, daily_auto=2, user_lifetime=3, lifetime=4)
    with pytest.raises(
        BudgetPolicyError, match="user_lifetime_train is 3, but lifetime_train is 2"
    ):
        UserBudget.of_all_splits(query_auto=1, daily_auto=1, user_lifetime=3, lifetime=2)


def test_c34_several_numbers_change_at_once_in_any_order() -> None:
    higher = {f"{level}_train": 100 + value for level, value in LEVELS.items()}
    assert BUDGET.with_changes(**higher).query_auto_train == 100.1


def test_c34_a_budget_of_a_peer_is_checked_like_our_own() -> None:
    broken = msgspec.to_builtins(BUDGET) | {"daily_auto_dev": 3.0}
    with pytest.raises(msgspec.ValidationError, match="daily_auto_dev is 3"):
        msgspec.msgpack.decode(msgspec.msgpack.encode(broken), type=UserBudget)


def test_c35_the_worst_of_three_entities_is_the_smallest() -> None:
    of = [BUDGET.with_changes(daily_auto_train=e) for e in (1.0, 0.3, 2.0)]
    assert worst_case(of).daily_auto_train == 0.3


@settings(max_examples=60)
@given(of=st.lists(budgets(), min_size=1, max_size=5))
def test_c35_the_worst_case_is_ordered_and_no_better_than_anyone(of: list[UserBudget]) -> None:
    worst = worst_case(of)
    for name in NUMBERS:
        assert getattr(worst, name) == min(getattr(budget, name) for budget in of)
    assert worst_case([worst, *of]) == worst


@settings(max_examples=60)
@given(tensors=st.lists(st.lists(budgets(), min_size=1, max_size=3), min_size=1, max_size=3))
def test_c35_the_worst_of_a_dataset_is_that_of_all_its_entities(
    tensors: list[list[UserBudget]],
) -> None:
    everybody = [budget for tensor in tensors for budget in tensor]
    assert worst_case(map(worst_case, tensors)) == worst_case(everybody)


def test_c35_without_a_budget_there_is_no_worst() -> None:
    with pytest.raises(SchemaError, match="at least one"):
        worst_case([])


def test_c34_an_entity_has_a_random_id_a_budget_and_public_metadata() -> None:
    entity = Entity(UID, BUDGET, {"cohort": "b", "age": 3})
    read = msgspec.msgpack.decode(msgspec.msgpack.encode(entity), type=Entity)
    assert read == entity
    assert Entity(UID, BUDGET).metadata == {}


@pytest.mark.parametrize(
    ("uid", "metadata", "says"),
    [
        (b"short", {}, "5 bytes"),
        (UID, {"a": [1]}, r"metadata of an entity\['a'\]: .*got list"),
        (UID, {"a": math.nan}, "a finite number"),
        (UID, {"a": 2**63}, "a finite number"),
        (UID, {"a": "x" * 1025}, "1,025 characters"),
        (UID, {"": 1}, "0 characters"),
        (UID, {str(i): i for i in range(33)}, "33 entries"),
    ],
)
def test_c34_an_entity_that_cannot_be_is_refused(uid: Any, metadata: Any, says: str) -> None:
    with pytest.raises(SchemaError, match=says):
        Entity(uid, BUDGET, metadata)
