"""A node without Ray in a process of its own: all of it runs here, gateway and store.

    python node_process.py DIRECTORY

Prints its addresses and its URL as one line of JSON once it serves; ends when its stdin closes.
"""

import json
import sys
from pathlib import Path

from actors.layout import NodeDirectory
from actors.local import LocalRegistry, LocalState, LocalStore
from actors.node import Node
from actors.registry import Registry
from actors.state import State
from actors.store import Store
from p2pgrid.config import DEFAULT_TIMING, Timing


def build(directory: NodeDirectory, state: State, *, timing: Timing = DEFAULT_TIMING) -> Node:
    """The node of a directory, not yet started."""
    settings = directory.settings()
    if settings.kind == "network":
        return Node(
            settings,
            seed=directory.seed(),
            state=LocalState(state),
            registry=LocalRegistry(Registry(directory.registry)),
        )
    return Node(
        settings,
        seed=directory.seed(),
        network_key=directory.network_key(),
        state=LocalState(state),
        store=LocalStore(Store(directory.objects)),
        objects=directory.objects,
        timing=timing,
    )


def serve(directory: NodeDirectory) -> None:
    """Serves until stdin closes."""
    node = build(directory, State(directory.database))
    node.start()
    sys.stdout.write(json.dumps({"addresses": node.addresses, "url": node.url}) + "\n")
    sys.stdout.flush()
    sys.stdin.read()
    node.stop()


if __name__ == "__main__":
    serve(NodeDirectory(Path(sys.argv[1])))
