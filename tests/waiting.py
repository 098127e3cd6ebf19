"""How tests wait for what other threads and processes do."""

import threading
import time
from collections.abc import Callable

TICK_S = 0.02


def until(condition: Callable[[], bool], *, within_s: float = 20.0) -> float:
    """Waits until a condition holds; how many seconds that took."""
    tick, began = threading.Event(), time.monotonic()
    while not condition():
        assert time.monotonic() - began < within_s
        tick.wait(TICK_S)
    return time.monotonic() - began
