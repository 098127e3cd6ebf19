"""An operation through a relay against the same one straight to the domain, on loopback.

The network, the domain's gateway and its store are processes of their own, the client is this one.
Rounds alternate between the ways; reported are medians over all operations of a way.
"""

import json
import statistics
import time
from pathlib import Path

import numpy as np

from benchmarks.nodes import report
from p2pgrid import Client, DomainClient, Node, TensorPointer, launch
from p2pgrid.client.launch import OWNER, stop

ROUNDS = 7
OPERATIONS = 200


def measure(home: Path) -> dict[str, float]:
    """Keys ``relay_overhead_ms``, and of each way ``*_op_ms_p50``; makes nodes in ``home``."""
    client = Client(home)
    city = launch(
        "city", "network", isolation="actors", client=client, relay_port=0, websocket_port=0
    )
    ward = launch("ward", isolation="actors", client=client, relayed=True, networks=(city.address,))
    try:
        return compare(home, ward)
    finally:
        client.close()
        stop((ward.directory, city.directory))


def compare(home: Path, ward: Node) -> dict[str, float]:
    """Milliseconds of an operation, straight, through the relay, and there by WebSocket."""
    settings = json.loads((ward.directory / "node.json").read_bytes())
    addresses = {
        "direct": f"/ip4/127.0.0.1/tcp/{settings['port']}/p2p/{ward.peer_id}",
        "relayed": next(it for it in ward.addresses if "/tls/ws/" not in it),
        "websocket": next(it for it in ward.addresses if "/tls/ws/" in it),
    }
    clients = {way: Client(home) for way in addresses}
    try:
        pointers = {way: visit(clients[way], address) for way, address in addresses.items()}
        waits: dict[str, list[float]] = {way: [] for way in addresses}
        for _ in range(ROUNDS):
            for way, pointer in pointers.items():
                waits[way] += [operation_ms(pointer) for _ in range(OPERATIONS)]
    finally:
        for client in clients.values():
            client.close()
    medians = {way: statistics.median(each) for way, each in waits.items()}
    result = {f"{way}_op_ms_p50": median for way, median in medians.items()}
    result["relay_overhead_ms"] = medians["relayed"] - medians["direct"]
    return result


def visit(client: Client, address: str) -> TensorPointer:
    """A number of the domain, reached at this address and no other."""
    domain = client.connect(address)
    assert isinstance(domain, DomainClient)
    domain.login(OWNER)
    pointer: TensorPointer = domain.publish(f"number {address[:40]}", np.zeros(())).pointers[0]
    return pointer


def operation_ms(pointer: TensorPointer) -> float:
    """One operation, there and back."""
    started = time.perf_counter()
    (pointer + 1).block  # noqa: B018 waits for it
    return (time.perf_counter() - started) * 1e3


if __name__ == "__main__":
    report(__doc__, measure)
