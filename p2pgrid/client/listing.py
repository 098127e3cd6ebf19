"""Lists that people look at: by number, by name, and printed as a table."""

import difflib
from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol, Self, TypeVar, overload

from typing_extensions import override

if TYPE_CHECKING:
    from p2pgrid.client.tables import Table

NEAR = 3
SHOWN_NAME = 60
SHOWN_PLACES = 10


class Named(Protocol):
    """What a list can hold."""

    @property
    def name(self) -> str:
        """By which people ask for it; several may have the same."""


T = TypeVar("T", bound=Named)


class Listing(Sequence[T]):
    """Named things in an order; prints as a table, whose long cells are cut in display only."""

    what = "entry"
    """What one of them is called in errors."""

    def __init__(self, entries: Sequence[T]) -> None:
        self._entries = tuple(entries)

    @property
    @abstractmethod
    def table(self) -> "Table":
        """All of them as a data frame, cells in full."""

    @overload
    def __getitem__(self, key: int | str) -> T: ...
    @overload
    def __getitem__(self, key: slice) -> Self: ...
    @override
    def __getitem__(self, key: int | str | slice) -> "T | Self":
        """One by its number (from the end when negative) or by its name, some by a slice.

        Raises:
            IndexError: there are fewer.
            KeyError: none has this name, and the error lists the nearest; or several have it.
        """
        if isinstance(key, slice):
            return type(self)(self._entries[key])
        return self._named(key) if isinstance(key, str) else self._numbered(key)

    @override
    def __len__(self) -> int:
        return len(self._entries)

    @override
    def __repr__(self) -> str:
        return repr(self.table)

    def _repr_html_(self) -> str:
        return str(self.table._repr_html_())

    def _numbered(self, number: int) -> T:
        count = len(self._entries)
        if not -count <= number < count:
            raise IndexError(f"{self.what} {number} of {count}: they are numbered from 0")
        return self._entries[number]

    def _named(self, name: str) -> T:
        places = self._places(name)
        if not places:
            raise KeyError(f"no {self.what} {_shown(name)}; {self._near(name)}")
        if len(places) > 1:
            numbers = ", ".join(map(str, places[:SHOWN_PLACES]))
            problem = f"{len(places)} have the name {_shown(name)}; take one by its number"
            raise KeyError(f"{problem}: {numbers}")
        return self._entries[places[0]]

    def _places(self, name: str) -> list[int]:
        """Where that is which a name may mean; one place, if it is clear."""
        return [place for place, entry in enumerate(self._entries) if entry.name == name]

    def _near(self, name: str) -> str:
        names = {entry.name for entry in self._entries}
        near = difflib.get_close_matches(name[:SHOWN_NAME], names, n=NEAR, cutoff=0)
        return f"the nearest are {', '.join(map(_shown, near))}" if near else "there is none at all"


def _shown(name: str) -> str:
    """A name of a stranger's: short, and without control characters."""
    return repr(name[:SHOWN_NAME])
