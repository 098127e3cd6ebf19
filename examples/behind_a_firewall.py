"""A domain that takes no connections works through the relay of its network.

``python examples/behind_a_firewall.py`` makes a network and a domain in a temporary directory.
"""

import tempfile
import time
from pathlib import Path

import numpy as np

from p2pgrid import Client, DomainClient, Node, launch
from p2pgrid.client.launch import OWNER, stop

MIB = 1 << 20


def main(home: Path) -> None:
    """Starts the nodes, and visits the domain by both ports of the relay."""
    client = Client(home)
    city = launch(
        "city", "network", isolation="packed", client=client, relay_port=0, websocket_port=0
    )
    # It opens connections outwards only, to its network; --proxy would lead them through a proxy.
    ward = launch("ward", isolation="packed", client=client, relayed=True, networks=(city.address,))
    for address in ward.addresses:
        visit(ward, address, home)
    client.close()
    stop((ward.directory, city.directory))


def visit(ward: Node, address: str, home: Path) -> None:
    """Publishes, computes and takes home, as with any domain."""
    way = "WebSocket" if "/tls/ws/" in address else "TCP"
    client = Client(home)
    domain = client.connect(address)
    assert isinstance(domain, DomainClient)
    assert domain.peer_id == ward.peer_id
    domain.login(OWNER)
    scan = np.random.default_rng(7).integers(0, 255, 16 * MIB, dtype=np.uint8)
    pointer = domain.publish(f"scan by {way}", scan).pointers[0]
    started = time.perf_counter()
    assert (pointer.max() - pointer.min()).get() == scan.max() - scan.min()
    print(f"computed behind the firewall, by {way}: {time.perf_counter() - started:.3f} s")
    started = time.perf_counter()
    np.testing.assert_array_equal(pointer.get(), scan)
    print(f"16 MiB taken home, by {way}: {time.perf_counter() - started:.2f} s")
    client.close()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        main(Path(folder))
