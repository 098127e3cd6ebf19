"""Tables that print whole in a terminal and in a notebook: data frames with a note."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from typing_extensions import override

from p2pgrid.protocol.text import cut, html_text, printable

LINE = 10_000
"""Characters of a printed line: wide tables are scrolled, not folded."""


class Table(pd.DataFrame):  # type: ignore[misc]  # pandas is untyped
    """A data frame that shows all its rows and columns, long cells cut, and a note below.

    Only what is shown is cut: ``table.iloc[0].description`` is the whole text. What is shown is
    free of control characters, whoever wrote it.
    """

    _metadata = ["note"]  # noqa: RUF012 - by which pandas knows what to carry over

    @property
    def _constructor(self) -> "type[Table]":
        return Table

    @override
    def __repr__(self) -> str:
        text = _shown(self).to_string(line_width=LINE) if len(self) else _heading(self)
        return "\n".join((text, *map(printable, self.note.splitlines())))

    def _repr_html_(self) -> str:
        made: str = _shown(self).to_html(notebook=True)
        return made + "".join(html_text(printable(line)) for line in self.note.splitlines())


def table(
    rows: Sequence[Mapping[str, Any]], columns: Sequence[str], *, index: str = "", note: str = ""
) -> Table:
    """A table with these columns in this order, also when it has no rows.

    Args:
        rows: a value for every column in each.
        columns: of the table, ``index`` among them.
        index: the column by which rows are found; default: their number.
        note: what is said below the table.
    """
    made = Table([[row[column] for column in columns] for row in rows], columns=list(columns))
    made = made.set_index(index) if index else made
    made.note = note
    return made


def _shown(frame: pd.DataFrame) -> pd.DataFrame:
    plain = pd.DataFrame(frame)
    shown = plain.map(_shown_cell)
    shown.index = shown.index.map(_shown_cell)
    shown.columns = shown.columns.map(_shown_cell)
    return shown


def _heading(frame: pd.DataFrame) -> str:
    names = (frame.index.name, *frame.columns)
    return "  ".join(str(name) for name in names if name is not None)


def _shown_cell(cell: Any) -> Any:
    return cell if isinstance(cell, int | float) else cut(str(cell))
