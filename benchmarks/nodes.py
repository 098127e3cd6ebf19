"""What the benchmarks share: a real node for one run, and how a run is reported."""

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from p2pgrid import Client, DomainClient, Node, launch, stop
from p2pgrid.client.launch import OWNER


def report(about: str | None, run: Callable[[Path], Mapping[str, float]]) -> None:
    """Runs a benchmark in a directory of its own and prints its JSON line, before it a table."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--json", action="store_true", help="print the JSON line only")
    quiet = parser.parse_args().json
    with tempfile.TemporaryDirectory(prefix="p2pgrid-bench-") as folder:
        result = run(Path(folder))
    if not quiet:
        for key, value in result.items():
            print(f"{key:>34} {value:12,.3f}")
    print(json.dumps({key: round(value, 3) for key, value in result.items()}))


class Launched(NamedTuple):
    """A program, the node that it made, and how long that took."""

    client: Client
    node: Node
    start_s: float


@contextmanager
def launched(home: Path) -> Iterator[Launched]:
    """A node for one run; it is stopped afterwards."""
    client = Client(home)
    started = time.perf_counter()
    node = launch("bench", client=client)
    start_s = time.perf_counter() - started
    try:
        yield Launched(client, node, start_s)
    finally:
        client.close()
        stop(node.directory)


def owner_at(client: Client, node: Node) -> DomainClient:
    """The node, logged in to as its owner."""
    domain = client.connect(node.address)
    assert isinstance(domain, DomainClient)
    return domain.login(OWNER)
