"""The entities of a dataset that is being prepared: whose rows are whose, and their budgets."""

import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import overload

from msgspec.structs import replace
from numpy.typing import ArrayLike
from typing_extensions import override

from p2pgrid.errors import SchemaError
from p2pgrid.protocol.budgets import Entity, UserBudget
from p2pgrid.protocol.entity_ids import entity_ids
from p2pgrid.protocol.entity_table import SEED_BYTES, EntityTable
from p2pgrid.protocol.ownership import Key, Ownership, by_key, one_entity_per_row

NOTHING = UserBudget()


class Entities(Sequence[Entity]):
    """Every entity by its number, with a public id and its budget.

    Who they are stays here: ``keys`` is the owner's, and in nothing that is sent. Ids are random
    until the dataset is published; then those of entities with keys are what ``table`` makes them.
    """

    def __init__(
        self,
        rows: Mapping[str, Ownership],
        *,
        budget: UserBudget = NOTHING,
        exceptions: Mapping[int, UserBudget] | None = None,
        keys: Sequence[Key] = (),
    ) -> None:
        """Numbers entities that a map of rows has.

        Args:
            rows: for each split whose each row is.
            budget: of every entity.
            exceptions: budgets of some entities instead, by their number.
            keys: how the owner knows each entity.
        """
        self.rows = dict(rows)
        self.keys = tuple(keys)
        self._count = max((owners.entities for owners in rows.values()), default=0)
        others, seed = tuple((exceptions or {}).items()), secrets.token_bytes(SEED_BYTES)
        self._table = EntityTable(self._count, budget, others, seed=seed)
        self._exceptions = dict(self._table.exceptions)

    def worst_case(self, split: str) -> UserBudget:
        """The worst of the budgets of those who have a row in this split.

        Raises:
            SchemaError: nobody has.
        """
        return self._table.worst_case(self.rows[split].counts() > 0)

    def table(self, secret: bytes) -> EntityTable:
        """What a domain keeps of the entities.

        Args:
            secret: of the domain. A person whose key was in an earlier upload there gets the id
                of then; entities without keys are new ones.
        """
        if not self.keys:
            return self._table
        return replace(self._table, seed=b"", uids=entity_ids(self.keys, secret))

    @overload
    def __getitem__(self, number: int) -> Entity: ...
    @overload
    def __getitem__(self, number: slice) -> tuple[Entity, ...]: ...
    @override
    def __getitem__(self, number: int | slice) -> Entity | tuple[Entity, ...]:
        numbers = range(self._count)[number]
        if isinstance(numbers, range):
            return tuple(map(self._entity, numbers))
        return self._entity(numbers)

    @override
    def __len__(self) -> int:
        return self._count

    @override
    def __iter__(self) -> Iterator[Entity]:
        return map(self._entity, range(self._count))

    @override
    def __repr__(self) -> str:
        return f"<Entities of {', '.join(self.rows)}>"

    def _entity(self, number: int) -> Entity:
        budget = self._exceptions.get(number, self._table.budget)
        return Entity(self._table.uid(number), budget)


def entities_of(
    rows: Mapping[str, int],
    keys: Mapping[str, ArrayLike] | None = None,
    *,
    column: str = "owners",
    budget: UserBudget = NOTHING,
    budgets: Mapping[Key, UserBudget] | None = None,
) -> Entities:
    """The entities of all splits of a dataset.

    Args:
        rows: how many each split has.
        keys: for each split whose each row is, as the owner knows them (patient numbers); None
            makes every row an entity of its own.
        column: where the keys come from, for errors.
        budget: of every entity; the default allows nothing.
        budgets: of some entities instead, by their key, or by their row (counted through the
            splits) when there are no keys.

    Raises:
        SchemaError: there are not as many keys as rows, or a budget for nobody.
        SourceError: the keys are no keys; see ``ownership.by_key``.
    """
    if keys is None:
        exceptions = _by_number(budgets, range(sum(rows.values())))
        return Entities(one_entity_per_row(rows), budget=budget, exceptions=exceptions)
    keyed = by_key(column, keys)
    found = {split: owners.rows for split, owners in keyed.splits.items()}
    if found != dict(rows):
        problem = f"has {found} keys for {dict(rows)} rows"
        raise SchemaError(field=f"column {column!r}", problem=problem)
    exceptions = _by_number(budgets, keyed.keys)
    return Entities(keyed.splits, budget=budget, exceptions=exceptions, keys=keyed.keys)


def _by_number(
    budgets: Mapping[Key, UserBudget] | None, keys: Iterable[Key]
) -> dict[int, UserBudget]:
    if not budgets:
        return {}
    numbers = {key: number for number, key in enumerate(keys)}
    nobody = [key for key in budgets if key not in numbers]
    if nobody:
        problem = f"{len(nobody)} of {len(budgets)} are for nobody who has a row"
        raise SchemaError(field="budgets", problem=problem)
    return {numbers[key]: budget for key, budget in budgets.items()}
