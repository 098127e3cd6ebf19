"""Privacy budgets of entities: twelve numbers each, and the worst of many.

An entity is whoever the data are about, such as a patient. Its budget says, for each split of a
dataset, how much epsilon may be spent on it: by everybody together when results are released to
the public (``lifetime``), by one scientist ever (``user_lifetime``), by one scientist a day
without a review (``daily_auto``), and by one query without a review (``query_auto``).

Rule 1: every number is finite and at least 0; the default, 0, allows nothing.
Rule 2: per split, ``query_auto <= daily_auto <= user_lifetime <= lifetime``.
Rule 3: what holds for a tensor is the smallest number among its entities, field by field; for a
dataset, the smallest among its tensors. The minimum of ordered budgets is ordered.

What these numbers limit is decided elsewhere; here they are only kept consistent.
"""

import sys
from collections.abc import Iterable, Mapping
from functools import reduce
from itertools import pairwise
from typing import Annotated, NewType

from msgspec import Meta, Struct
from msgspec.structs import astuple, force_setattr, replace

from p2pgrid.errors import BudgetPolicyError, SchemaError
from p2pgrid.protocol.metadata import Metadata, public_metadata
from p2pgrid.protocol.schemas import SPLITS

ENTITY_ID_BYTES = 16
LARGEST = sys.float_info.max

EntityId = NewType("EntityId", bytes)
"""16 random bytes, public; they tell nothing about the entity."""

ORDER = ("query_auto", "daily_auto", "user_lifetime", "lifetime")
"""The levels of a budget, the smallest first."""


class UserBudget(Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """How much epsilon may be spent on an entity; valid once it exists.

    Raises:
        BudgetPolicyError: a number breaks rule 1 or 2; the error names the pair and both numbers.
    """

    lifetime_train: float = 0.0
    lifetime_dev: float = 0.0
    lifetime_test: float = 0.0
    user_lifetime_train: float = 0.0
    user_lifetime_dev: float = 0.0
    user_lifetime_test: float = 0.0
    daily_auto_train: float = 0.0
    daily_auto_dev: float = 0.0
    daily_auto_test: float = 0.0
    query_auto_train: float = 0.0
    query_auto_dev: float = 0.0
    query_auto_test: float = 0.0

    def __post_init__(self) -> None:
        """Checks the rules."""
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if value < 0:
                raise BudgetPolicyError(field=name, value=value, limit="the least", bound=0)
            if not value <= LARGEST:  # NaN neither
                raise BudgetPolicyError(
                    field=name, value=value, limit="the largest number", bound=LARGEST
                )
            force_setattr(self, name, float(value))
        for split in SPLITS:
            for lower, upper in pairwise(f"{level}_{split}" for level in ORDER):
                value, bound = getattr(self, lower), getattr(self, upper)
                if value > bound:
                    raise BudgetPolicyError(field=lower, value=value, limit=upper, bound=bound)

    @classmethod
    def of_all_splits(
        cls, *, lifetime: float, user_lifetime: float, daily_auto: float, query_auto: float
    ) -> "UserBudget":
        """The same four numbers for train, dev and test.

        Raises:
            BudgetPolicyError: as of the class.
        """
        levels = {
            "lifetime": lifetime,
            "user_lifetime": user_lifetime,
            "daily_auto": daily_auto,
            "query_auto": query_auto,
        }
        return cls(**{f"{level}_{split}": v for level, v in levels.items() for split in SPLITS})

    def with_changes(self, **numbers: float) -> "UserBudget":
        """A budget with some other numbers; checked together, so their order does not matter.

        Raises:
            BudgetPolicyError: as of the class.
        """
        return replace(self, **numbers)


class Entity(Struct, frozen=True, forbid_unknown_fields=True):
    """Whoever data are about, by a random public id.

    Raises:
        SchemaError: the id has another length, or the metadata are not what may be public.
    """

    uid: Annotated[EntityId, Meta(min_length=ENTITY_ID_BYTES, max_length=ENTITY_ID_BYTES)]
    user_budget: UserBudget
    metadata: Metadata = {}

    def __post_init__(self) -> None:
        """Checks what is public about it."""
        if len(self.uid) != ENTITY_ID_BYTES:
            problem = f"has {len(self.uid)} bytes, not {ENTITY_ID_BYTES}"
            raise SchemaError(field="uid of an entity", problem=problem)
        given: Mapping[str, object] = self.metadata
        force_setattr(self, "metadata", public_metadata("metadata of an entity", given))


def worst_case(budgets: Iterable[UserBudget]) -> UserBudget:
    """The smallest of each number: of a tensor's entities, or of a dataset's tensors.

    Raises:
        SchemaError: there is no budget; nobody's would be worst.
    """
    found = iter(budgets)
    first = next(found, None)
    if first is None:
        raise SchemaError(field="budgets", problem="expected at least one")
    return reduce(_worse, found, first)


def _worse(one: UserBudget, other: UserBudget) -> UserBudget:
    return one if one is other else UserBudget(*map(min, astuple(one), astuple(other)))
