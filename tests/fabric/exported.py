"""Actor classes that the tests export; an owner would write such a file."""

import numpy as np
from numpy.typing import NDArray

import p2pgrid
from tests.fabric.gates import GATES


@p2pgrid.export
class Counter:
    """Counts."""

    def __init__(self, start: int = 0) -> None:
        if start < 0:
            raise ValueError(f"the private start is {start}")
        self.count = start

    @p2pgrid.method
    def incr(self, by: int = 1) -> int:
        """Adds to the count."""
        self.count += by
        return self.count

    @p2pgrid.method
    def wait(self, gate: str) -> str:
        """Waits until the test opens a gate."""
        GATES[gate].reached.set()
        GATES[gate].opened.wait(10)
        return gate

    @p2pgrid.method
    def fail(self, with_: float = 0.0) -> None:
        """Raises with a secret in the text."""
        raise ValueError(f"the private value is {self.count} or {with_}")

    @p2pgrid.method
    def lie(self) -> int:
        """Returns what it has not declared."""
        return "a text"  # type: ignore[return-value]

    @p2pgrid.method
    def leave(self) -> None:
        """Ends its thread, as a process would end that is told to exit."""
        raise SystemExit

    def hidden(self) -> int:
        """Not exported."""
        return self.count


@p2pgrid.export(allowed_users=("ann", "bea"))
class Stats:
    """Of what it was given."""

    def __init__(self, first: np.ndarray | None = None) -> None:
        self._seen: list[NDArray[np.float64]] = [] if first is None else [first]

    @p2pgrid.method
    def give(self, values: NDArray[np.float64]) -> None:
        """Keeps an array."""
        self._seen.append(values)

    @p2pgrid.method
    def mean(self, values: np.ndarray | None = None) -> float:
        """Of an array, or of the last one that it was given."""
        return float((self._seen[-1] if values is None else values).mean())

    @p2pgrid.method(allowed_users=("bea",))
    def size(self) -> int:
        """How many arrays it was given."""
        return len(self._seen)

    @p2pgrid.method(releases=True)
    def rounded(self) -> float:
        """What the owner answers for."""
        return float(round(float(self._seen[-1].mean())))

    @p2pgrid.method
    def double(self, values: np.ndarray) -> NDArray[np.float64]:
        """Twice as much."""
        return values * 2.0

    @p2pgrid.method
    def describe(self, what: dict[str, list[float | None]]) -> list[tuple[str, int]]:
        """A value of values."""
        return [(name, len(values)) for name, values in what.items()]
