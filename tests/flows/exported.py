"""A class that the flows export; it imports nothing of the tests, as an owner's file."""

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import p2pgrid
from p2pgrid.client import inside
from p2pgrid.ids import PeerId


@p2pgrid.export
class Tally:
    """Counts, tells where it runs, and waits when it is told to."""

    def __init__(self, start: int = 0) -> None:
        self._count = start

    @p2pgrid.method
    def incr(self, by: int = 1) -> int:
        """Adds to the count."""
        self._count += by
        return self._count

    @p2pgrid.method
    def pid(self) -> int:
        """The process that it runs in."""
        return os.getpid()

    @p2pgrid.method
    def total(self, values: NDArray[np.float64]) -> float:
        """The sum of an array."""
        return float(values.sum())

    @p2pgrid.method
    def read(self, pipe: str) -> str:
        """What is written into a pipe; it runs until somebody does."""
        return Path(pipe).read_text()

    @p2pgrid.method
    def incr_of(self, domain: str, actor: str) -> int:
        """Counts with another actor of the domain, by Ray's own handle of it."""
        import ray  # noqa: PLC0415 where the class is exported from there may be none

        handle: Any = inside.actor_of(PeerId(domain), actor)
        return int(ray.get(handle.call.remote("incr", 10)))

    @p2pgrid.method
    def devices(self) -> str | None:
        """The GPUs that it may see."""
        return os.environ.get("CUDA_VISIBLE_DEVICES")
