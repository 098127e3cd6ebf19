"""A large array goes into a domain and comes home: shown, stopped half-way, into a file.

``python examples/large_data.py [MIB]`` makes a domain in a temporary directory.
"""

import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np

from p2pgrid import Client, DomainClient, launch
from p2pgrid.client.launch import OWNER
from p2pgrid.errors import TransferCancelledError

MIB = 1 << 20
Result = TypeVar("Result")


def main(home: Path, size: int) -> None:
    """Publishes, computes, takes home; every step with its time."""
    client = Client(home)
    node = launch("large", client=client)
    domain = client.connect(node.address)
    assert isinstance(domain, DomainClient)
    owner = domain.login(OWNER)
    scan = np.random.default_rng(7).normal(size=(size // 8192, 1024))

    stop = threading.Event()
    threading.Timer(0.05, stop.set).start()
    try:
        owner.publish("stopped", scan, stop=stop)
    except TransferCancelledError as stopped:
        print(f"stopped: {stopped}")

    pointer = timed("published, durable, listed", lambda: owner.publish("scan", scan).pointers[0])
    np.testing.assert_array_equal(timed("taken into memory", pointer.get), scan)
    result = (pointer * 2).block
    mapped = timed("a result taken into a file", lambda: result.get(to=home / "doubled.npy"))
    np.testing.assert_array_equal(mapped[-1], scan[-1] * 2)
    client.close()
    node.stop()


def timed(what: str, act: Callable[[], Result]) -> Result:
    """Prints how long it took."""
    started = time.perf_counter()
    result = act()
    print(f"{what}: {time.perf_counter() - started:.2f} s")
    return result


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        main(Path(folder), int(sys.argv[1] if len(sys.argv) > 1 else 256) * MIB)
