"""A domain on real libp2p in a process of its own, without Ray; serves until its stdin closes.

    python -m tests.fuzz.live_node '{"directory": "...", "port": 4001, "scientist": "<hex>"}'

Prints its address as a line of JSON. Its one dataset is public to the scientist.
"""

import json
import sys
from pathlib import Path

import numpy as np

from actors.layout import NodeDirectory, NodeSettings
from actors.local import LocalState, LocalStore
from actors.node import Node
from actors.ports import DatasetEntry, TensorEntry
from actors.state import State
from actors.store import Store
from p2pgrid.ids import DatasetId, ObjectId
from p2pgrid.protocol.messages import Account

VALUES = ObjectId(b"values.of.heart.")
SHAPE = (3, 4)


def serve(directory: str, port: int, scientist: str) -> None:
    """Makes the node, says where it is, and waits."""
    place = NodeDirectory(Path(directory))
    place.create(NodeSettings(name="clinic", kind="domain", port=port))
    state, store = State(place.database), Store(place.objects)
    state.enrol(Account(name="ann", public_key=bytes.fromhex(scientist), role="scientist"))
    store.put([(VALUES, np.arange(12, dtype="float32").reshape(SHAPE))])
    store.get(VALUES)  # maps the file, which stays open
    tensor = TensorEntry(VALUES, "values", "float32", SHAPE)
    dataset = DatasetId(b"dataset.of.heart")
    state.add_dataset(
        DatasetEntry(dataset, "heart", "mmHg", ("bp",), frozenset({"ann"}), False, (tensor,))
    )
    node = Node(
        place.settings(),
        seed=place.seed(),
        state=LocalState(state),
        store=LocalStore(store),
        objects=place.objects,
    )
    node.start()
    sys.stdout.write(json.dumps(node.addresses[0]) + "\n")
    sys.stdout.flush()
    sys.stdin.read()
    node.stop()
    state.close()


if __name__ == "__main__":
    serve(**json.loads(sys.argv[1]))
