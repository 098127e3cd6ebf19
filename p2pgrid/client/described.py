"""What a pointer to a tensor of a dataset knows of it besides shape and dtype.

Public: what the record says, and what follows from it (bounds, mock data). Private: values, what
each entity contributes, budgets one by one; only who may take the values home gets those.
"""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, NamedTuple, SupportsIndex

import numpy as np

from p2pgrid.client.frames import frame_of
from p2pgrid.client.home import Home
from p2pgrid.client.mock import mock_tensor
from p2pgrid.client.private_parts import DENIED, PrivateParts, deny
from p2pgrid.errors import SchemaError
from p2pgrid.protocol.arrays import Array
from p2pgrid.protocol.budgets import UserBudget
from p2pgrid.protocol.columns import Number
from p2pgrid.protocol.entity_table import EntityTable
from p2pgrid.protocol.records import DatasetRecord, Split
from p2pgrid.protocol.schemas import TensorSchema


class Description(NamedTuple):
    """Which tensor of which dataset it is."""

    domain: Home
    record: DatasetRecord
    name: str
    split: Split
    schema: TensorSchema


class Described:
    """A pointer that may be a tensor of a dataset with a schema; what is computed is none."""

    __slots__ = ()

    described: Description | None

    @property
    def name(self) -> str:
        """What the tensor is called in its dataset.

        Raises:
            SchemaError: as from all properties here: the pointer is no tensor of a dataset that
                was published with a schema.
        """
        return self._known.name

    @property
    def schema(self) -> TensorSchema:
        """What is in the columns; public."""
        return self._known.schema

    @property
    def low(self) -> tuple[Number, ...]:
        """The smallest value that each column may have; public, from the schema."""
        return self.schema.low

    @property
    def high(self) -> tuple[Number, ...]:
        """The largest value that each column may have; public, from the schema."""
        return self.schema.high

    @property
    def private(self) -> bool:
        """False when every account of the domain may take the values home."""
        return self._known.record.private

    @property
    def worst_case_user_budget(self) -> UserBudget | None:
        """The least that any entity allows; all tensors of a dataset have the same entities."""
        return self._known.record.worst_case_user_budget

    def mock(self, *, seed: SupportsIndex = 0) -> Any:
        """Data like these, made here of the schema and the public number of rows alone.

        Args:
            seed: another one gives other values.

        Returns:
            An array or a data frame; see ``mock.mock_tensor``.
        """
        return mock_tensor(self.schema, len(self), seed=seed)

    @property
    def value(self) -> Any:
        """The values, as ``get_copy`` gives them.

        Raises:
            GetNotPermittedError: they are not for you.
        """
        what = self._known
        try:
            return self.get_copy()
        except DENIED as error:
            deny(f"{what.record.name}/{what.name}", what.domain, error)

    @property
    def data(self) -> Any:
        """The same as ``value``."""
        return self.value

    def to_pandas(self) -> Any:
        """The values as a data frame, categories by their labels.

        Raises:
            GetNotPermittedError: they are not for you.
        """
        return frame_of(self.schema, self._columns_of(self.value))

    @property
    def e_high(self) -> Any:
        """The largest value of each entity that has a row here: shape (entities, ...), or a dict.

        Raises:
            GetNotPermittedError: only owners know whose rows are whose.
        """
        return self._contributions(np.maximum)

    @property
    def e_low(self) -> Any:
        """The smallest value of each entity, else as ``e_high``."""
        return self._contributions(np.minimum)

    @property
    def accountant(self) -> EntityTable:
        """The budget of each entity of the dataset. What is spent of it is not counted yet.

        Raises:
            GetNotPermittedError: only owners may see it.
        """
        return self._parts.entities()

    @abstractmethod
    def __len__(self) -> int:
        """The public number of rows."""

    @abstractmethod
    def get_copy(self, user: str | None = None) -> Any:
        """Takes the values home; see the pointers."""

    @abstractmethod
    def _columns_of(self, values: Any) -> Mapping[str, Array]:
        """The columns in what ``get_copy`` gave."""

    @property
    def _known(self) -> Description:
        if self.described is None:
            problem = "is known of tensors of datasets that were published with one, not of results"
            raise SchemaError(field="schema", problem=problem)
        return self.described

    @property
    def _parts(self) -> PrivateParts:
        return PrivateParts(self._known.domain, self._known.record)

    def _contributions(self, extreme: np.ufunc) -> Any:
        owners = self._parts.owners(self._known.split)
        order = np.argsort(owners, kind="stable")
        _, starts = np.unique(owners[order], return_index=True)
        values = self.value
        if isinstance(values, dict):
            return {name: extreme.reduceat(it[order], starts) for name, it in values.items()}
        return extreme.reduceat(np.asarray(values)[order], starts, axis=0)
