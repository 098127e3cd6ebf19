"""How handles and lists print, in a terminal and in a notebook.

What prints is public and known already: printing asks nobody and shows no private value. Names and
texts of others are cut, and can neither command a terminal nor add markup to a page.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from typing_extensions import override

from p2pgrid.protocol.text import Rows, cut, cut_cells, html_table, html_text, printable, text_table


class Display(NamedTuple):
    """What a handle shows."""

    title: str
    """What it is, and where."""
    facts: Sequence[tuple[str, str]] = ()
    """Their names and what they are; those that are empty are left out."""


class Displayed(ABC):
    """Prints as ``<title: name fact; name fact>``, in a notebook as a table of two columns."""

    __slots__ = ()

    @abstractmethod
    def _display(self) -> Display:
        """What is public about it, from memory."""

    @override
    def __repr__(self) -> str:
        title, facts = self._display()
        told = "; ".join(f"{cut(name)} {cut(fact)}" for name, fact in facts if fact)
        return f"<{printable(title)}{': ' if told else ''}{told}>"

    def _repr_html_(self) -> str:
        title, facts = self._display()
        return html_table([(printable(title), ""), *cut_cells([fact for fact in facts if fact[1]])])


class Tabular(ABC):
    """Prints as a table with a heading, and perhaps a line below."""

    __slots__ = ()

    @abstractmethod
    def _rows(self) -> Rows:
        """The table, heading first, in full."""

    def _note(self) -> str:
        """What is said below the table; empty: nothing."""
        return ""

    @override
    def __repr__(self) -> str:
        table, note = text_table(cut_cells(self._rows())), printable(self._note())
        return f"{table}\n{note}" if note else table

    def _repr_html_(self) -> str:
        return html_table(cut_cells(self._rows())) + html_text(printable(self._note()))


def reached_at(title: str, addresses: Sequence[str]) -> str:
    """The title of a node, with its first address whole, so that it can be copied."""
    return f"{title} at {addresses[0]}" if addresses else title


def hashed(tags: Iterable[str]) -> str:
    """Tags as people write them."""
    return " ".join(f"#{tag}" for tag in tags)
