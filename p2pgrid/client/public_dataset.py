"""What anybody may read about a dataset."""

from msgspec import Struct
from typing_extensions import override

from p2pgrid.protocol.budgets import ORDER, UserBudget
from p2pgrid.protocol.metadata import Metadata
from p2pgrid.protocol.schemas import SPLITS, DatasetSchema
from p2pgrid.protocol.text import Rows, cut_cells, html_table, one_line, text_table


class PublicDataset(Struct, frozen=True, forbid_unknown_fields=True):
    """Everything about a dataset that anybody may read; prints as a table."""

    name: str
    schema: DatasetSchema
    tags: tuple[str, ...]
    description: str
    metadata: Metadata
    rows: dict[str, int]
    """Of each split that there is."""
    frameworks: dict[str, tuple[str, ...]]
    """For each split the libraries that can take it, such as ``NP``."""
    worst_case_user_budget: UserBudget
    private: bool
    version: int

    @property
    def fields(self) -> tuple[tuple[str, str], ...]:
        """Its fields as the rows of a table; the schema by its name and id."""
        return (
            ("field", "public value"),
            ("name", self.name),
            ("version", str(self.version)),
            ("description", one_line(self.description)),
            ("tags", " ".join(f"#{tag}" for tag in self.tags)),
            ("metadata", ", ".join(f"{key}={value}" for key, value in self.metadata.items())),
            ("rows", ", ".join(f"{split} {count:,}" for split, count in self.rows.items())),
            ("frameworks", self._frameworks),
            ("budget", _budget_of(self.worst_case_user_budget)),
            ("private", "yes" if self.private else "no"),
            ("schema", f"{self.schema.name} ({self.schema.id})"),
        )

    @property
    def _frameworks(self) -> str:
        """All splits have the same; which, is the domain's to say."""
        return "/".join(next(iter(self.frameworks.values()), ())) or "those of its domain"

    @override
    def __repr__(self) -> str:
        return "\n\n".join(text_table(cut_cells(rows)) for rows in self.tables)

    def _repr_html_(self) -> str:
        return "".join(html_table(cut_cells(rows)) for rows in self.tables)

    @property
    def tables(self) -> tuple[Rows, Rows]:
        """All of it as two tables, in full: its fields, and the columns of its schema."""
        return self.fields, self.schema.rows


def _budget_of(budget: UserBudget) -> str:
    """The numbers of each split, from one query without review to all releases ever."""
    levels = {s: [getattr(budget, f"{level}_{s}") for level in ORDER] for s in SPLITS}
    return ", ".join(
        f"{split} {' <= '.join(f'{e:g}' for e in each)}" for split, each in levels.items()
    )
