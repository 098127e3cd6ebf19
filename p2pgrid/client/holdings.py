"""Who holds what in a domain, for its owner."""

from collections.abc import Sequence
from typing import overload

from typing_extensions import override

from p2pgrid.client.display import Tabular
from p2pgrid.protocol.messages import Holding, Holdings
from p2pgrid.protocol.text import Rows

HEADING = ("account", "peer", "objects", "bytes", "derived from", "age", "link")


class HeldObjects(Tabular, Sequence[Holding]):
    """One row per session, the largest first; prints as a table.

    ``sessions`` counts all of them, also those for which there was no room in the answer.
    """

    def __init__(self, answer: Holdings) -> None:
        self.sessions = answer.sessions
        self._held = answer.held

    @overload
    def __getitem__(self, index: int) -> Holding: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[Holding, ...]: ...

    @override
    def __getitem__(self, index: int | slice) -> Holding | tuple[Holding, ...]:
        return self._held[index]

    @override
    def __len__(self) -> int:
        return len(self._held)

    @override
    def _rows(self) -> Rows:
        return (HEADING, *map(_cells, self._held))

    @override
    def _note(self) -> str:
        left_out = self.sessions - len(self._held)
        return f"... and {left_out} more sessions" if left_out else ""


def _cells(row: Holding) -> tuple[str, ...]:
    more = row.sources - len(row.datasets)
    return (
        row.account,
        row.peer[-8:],
        f"{row.objects:,}",
        f"{row.held_bytes:,}",
        ", ".join(row.datasets) + (f" and {more} more" if more else ""),
        f"{row.age_s:.0f} s",
        "connected" if row.left_s is None else f"leased for {row.left_s:.0f} s",
    )
