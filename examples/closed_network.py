"""A closed network: two members with its key meet on their DHT; a stranger meets nobody.

``python examples/closed_network.py`` starts two domains on this machine.
"""

import tempfile
from pathlib import Path

import numpy as np

from p2pgrid import Client, DomainClient, Node, launch, stop
from p2pgrid.errors import NetworkKeyError
from p2pgrid.net.key_file import make_key


def publish(node: Node) -> None:
    """As the node's owner: a dataset that members find by its tag."""
    owner = node.connect()
    assert isinstance(owner, DomainClient)
    owner.publish(node.name, np.arange(3.0), tags=("#doses",), announce=True)


def main(home: Path) -> None:
    """Makes the key, starts the members, and looks for their data with and without the key."""
    key = home / "members.key"
    make_key(key)
    owner = Client(home / "owner", network_key=key)
    nodes = launch(("first", "second"), client=owner, isolation="packed")  # packed: for trials
    try:
        for node in nodes:
            publish(node)
        scientist = Client(home / "scientist", network_key=key)
        for node in nodes:
            scientist.connect(node.address)
        print("a member finds:", sorted(scientist.search("#doses")))
        stranger = Client(home / "stranger")
        try:
            stranger.connect(nodes[0].address)
        except NetworkKeyError as refused:
            print("a stranger is told:", refused)
        for client in (owner, scientist, stranger):
            client.close()
    finally:
        stop([node.directory for node in nodes])


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        main(Path(folder))
