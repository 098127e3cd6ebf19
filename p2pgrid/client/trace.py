"""Where the time of an operation went."""

from dataclasses import dataclass, fields

from typing_extensions import override

from p2pgrid.protocol.text import text_table

DATASET = "nothing was computed for this pointer: it is a dataset's own array"


@dataclass(frozen=True, slots=True, repr=False)
class Trace:
    """Durations in seconds of the request that carried an operation; they add up to ``total_s``.

    Operations travel together, so the times are those of all ``operations`` of the request. What
    the domain tells (gateway, store) is its own word, in steps of 10 microseconds.
    """

    request: str = ""
    """The id of the request in the logs of both sides; empty for a dataset."""
    operations: int = 0
    queued_s: float = 0.0
    """Here: from the first of the operations until they were sent."""
    network_s: float = 0.0
    """On the wire, in the queues of both ends, encoding: what the rest leaves of the round trip."""
    gateway_s: float = 0.0
    """At the domain: checks and labels."""
    store_queue_s: float = 0.0
    """On the way to the store and back, and waiting there."""
    store_s: float = 0.0
    """Computing."""

    @property
    def total_s(self) -> float:
        """From the first of the operations until the answer came."""
        return sum(value for _, value in self._durations())

    def _durations(self) -> list[tuple[str, float]]:
        names = [field.name for field in fields(self) if field.name.endswith("_s")]
        return [(name, getattr(self, name)) for name in names]

    @override
    def __repr__(self) -> str:
        if not self.operations:
            return f"<Trace: {DATASET}>"
        rows = [(name.removesuffix("_s").replace("_", " "), s) for name, s in self._durations()]
        lines = [(name, f"{s * 1e3:10.3f} ms") for name, s in (*rows, ("total", self.total_s))]
        return f"request {self.request}, {self.operations} operations\n{text_table(lines)}"
