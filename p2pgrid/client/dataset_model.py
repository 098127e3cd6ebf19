"""A dataset while its owner prepares it: tensors in splits, checked against one schema.

What ``Dataset.public`` gives is public, and nothing else is for anybody but the owner. Values,
``raw``, and whose rows are whose are private; no repr shows them.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from numpy.typing import ArrayLike
from typing_extensions import override

from p2pgrid.client.display import Display, Displayed
from p2pgrid.client.entities import NOTHING, Entities, entities_of
from p2pgrid.client.public_dataset import PublicDataset
from p2pgrid.client.sources import Source
from p2pgrid.client.tensors import Tensor, prepare_tensor
from p2pgrid.errors import SchemaError, SourceError
from p2pgrid.protocol.budgets import UserBudget, worst_case
from p2pgrid.protocol.columns import MAX_NAME, Number
from p2pgrid.protocol.conformance import require_same_names
from p2pgrid.protocol.metadata import Metadata, public_metadata
from p2pgrid.protocol.ownership import Key
from p2pgrid.protocol.records import Split, normalise_tag
from p2pgrid.protocol.schemas import DatasetSchema
from p2pgrid.protocol.text import plain_text

MAX_DESCRIPTION = 16_384
MAX_TAGS = 32

Missing = Mapping[str, Mapping[str, Number | str]]
"""Public values for cells without one, by tensor and column."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False, eq=False)
class Dataset(Displayed):
    """A dataset that can be published; ``prepare_dataset`` makes it, so that it is valid."""

    name: str
    schema: DatasetSchema
    tags: tuple[str, ...]
    description: str
    splits: Mapping[Split, Mapping[str, Tensor]]
    """Tensors by name, in each split that there is: train, and perhaps dev and test."""
    entities: Entities
    metadata: Metadata
    raw: bytes | None
    """What the tensors were made of. Private: it never leaves with what others may read."""
    private: bool
    version: int

    @property
    def tensors(self) -> Mapping[str, Tensor]:
        """The tensors of the train split by name."""
        return self.splits["train"]

    @property
    def rows(self) -> dict[str, int]:
        """How many each split has; all tensors of a split have as many."""
        return {split: _rows_of(tensors) for split, tensors in self.splits.items()}

    @property
    def worst_case_user_budget(self) -> UserBudget:
        """The worst of all who have a row. All tensors of a split have the same rows' owners."""
        held = [split for split, rows in self.rows.items() if rows]
        return worst_case(map(self.entities.worst_case, held))

    def public(self, *, frameworks: tuple[str, ...]) -> PublicDataset:
        """What anybody may read of it.

        Args:
            frameworks: that the domain which will hold it can convert to.
        """
        return PublicDataset(
            name=self.name,
            schema=self.schema,
            tags=self.tags,
            description=self.description,
            metadata=self.metadata,
            rows=self.rows,
            frameworks=dict.fromkeys(self.splits, frameworks),
            worst_case_user_budget=self.worst_case_user_budget,
            private=self.private,
            version=self.version,
        )

    @override
    def _display(self) -> Display:
        rows = ", ".join(f"{split} {count:,}" for split, count in self.rows.items())
        return Display(
            f"Dataset {self.name!r}", (("tensors", ", ".join(self.tensors)), ("rows", rows))
        )


def prepare_dataset(
    *,
    name: str = "",
    tensors: Mapping[str, Source] | None = None,
    schema: DatasetSchema | None = None,
    tags: Iterable[str] = (),
    description: str = "",
    dev: Mapping[str, Source] | None = None,
    test: Mapping[str, Source] | None = None,
    owners: Mapping[str, ArrayLike] | None = None,
    owner_column: str = "owners",
    budget: UserBudget = NOTHING,
    budgets: Mapping[Key, UserBudget] | None = None,
    metadata: Mapping[str, object] | None = None,
    raw: bytes | None = None,
    missing: Missing | None = None,
    clip: bool = False,
    private: bool = True,
    version: int = 1,
) -> Dataset:
    """Reads and checks a dataset, before anything of it is sent.

    Args:
        name: required, public.
        tensors: required: the train split, a source per tensor (see ``read_source``).
        schema: required, public: of every split.
        tags: required, public: at least one; ``#`` and case do not matter.
        description: required, public; kept verbatim.
        dev: a source per tensor, like ``tensors``.
        test: the same.
        owners: for each split whose each row is, as the owner knows them; None makes every row an
            entity of its own.
        owner_column: what ``owners`` is called, for errors.
        budget: privacy budget of every entity; the default allows nothing.
        budgets: of some entities instead, by their key in ``owners``.
        metadata: public; texts, numbers, truth values by name.
        raw: what the tensors were made of, such as the bytes of a file; private.
        missing: public values for cells without one.
        clip: move values outside of the schema's bounds to the nearest bound.
        private: False when everybody may have the values.
        version: from 1 on.

    Raises:
        SchemaError: a required field is not given, or holds what it may not; the error names it.
        SchemaMismatchError: a split has other tensors or columns than the schema.
        SourceError, MissingValuesError, BoundsError: values are not what the schema says.
    """
    name = plain_text("name", name, least=1, most=MAX_NAME)
    known_tags, described = _tags(tags), _description(description)
    public = public_metadata("metadata", metadata or {})
    if schema is None or not tensors:
        field = "tensors" if schema is not None else "schema"
        raise SchemaError(field=field, problem="has to be given")
    given: dict[Split, Mapping[str, Source] | None] = {"train": tensors, "dev": dev, "test": test}
    splits = {
        split: _prepare_split(sources, schema, split, missing=missing or {}, clip=clip)
        for split, sources in given.items()
        if sources is not None
    }
    rows: dict[str, int] = {split: _rows_of(found) for split, found in splits.items()}
    return Dataset(
        name=name,
        schema=schema,
        tags=known_tags,
        description=described,
        splits=splits,
        entities=entities_of(rows, owners, column=owner_column, budget=budget, budgets=budgets),
        metadata=public,
        raw=raw,
        private=private,
        version=version,
    )


def _prepare_split(
    sources: Mapping[str, Source],
    schema: DatasetSchema,
    split: str,
    *,
    missing: Missing,
    clip: bool,
) -> dict[str, Tensor]:
    require_same_names(sources, set(schema), "tensor", where=f"{split} split")
    tensors = {
        name: prepare_tensor(
            name,
            sources[name],
            tensor_schema,
            where=f"{split} split",
            missing=missing.get(name, {}),
            clip=clip,
        )
        for name, tensor_schema in schema.tensors
    }
    counts = {name: tensor.rows for name, tensor in tensors.items()}
    if len(set(counts.values())) > 1:
        problem = f"tensors of a split share their rows, but have {counts}"
        raise SourceError(source=f"{split} split", problem=problem)
    return tensors


def _rows_of(tensors: Mapping[str, Tensor]) -> int:
    return next(iter(tensors.values())).rows


def _tags(tags: Iterable[str]) -> tuple[str, ...]:
    given = (tags,) if isinstance(tags, str) else tags
    found = tuple(dict.fromkeys(map(normalise_tag, given)))
    if not 1 <= len(found) <= MAX_TAGS:
        raise SchemaError(field="tags", problem=f"expected 1 to {MAX_TAGS}, got {len(found)}")
    return found


def _description(text: str) -> str:
    """The text as it was given, whatever its Unicode form."""
    plain_text("description", text, least=1, most=MAX_DESCRIPTION, lines=True)
    return text
