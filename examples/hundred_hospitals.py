"""A hundred hospitals on a laptop, each a libp2p peer of its own, and one sum over all of them.

Run it with ``python examples/hundred_hospitals.py [HOW_MANY]``. The hospitals are packed: the
protocol, the encryption and the access checks are those of production, but they share a few
processes, so this is for trials and not for data that may not meet.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np

from p2pgrid import Client, DomainClient, NetworkClient, Node, launch, stop


def publish(hospital: Node, number: int) -> None:
    """The owner of a hospital publishes its patients' weights; only their sum is asked for."""
    owner = hospital.connect()
    assert isinstance(owner, DomainClient)
    weights = np.random.default_rng(number).normal(3.8, 0.4, size=1000)
    owner.publish("weights", weights, tags=("#birth-weight",))


def mean_over_all(network: NetworkClient, how_many: int) -> float:
    """One chain of operations per hospital; what comes home is one number from each."""
    found = network.search("#birth-weight")
    assert len(found) == how_many
    sums = [found[hospital][0].sum() for hospital in found]  # nothing waits here
    return float(np.mean([total.get(user="owner") / 1000 for total in sums]))


def main(how_many: int, home: Path) -> None:
    """Starts everything, computes, and stops everything."""
    client = Client(home)
    city = launch("city", "network", isolation="packed", client=client)
    names = [f"hospital-{number}" for number in range(how_many)]
    hospitals = launch(names, isolation="packed", client=client, networks=[city.address])
    try:
        processes = {hospital.gateway_pid for hospital in hospitals}
        print(f"{len(hospitals)} peers in {len(processes)} processes")
        for number, hospital in enumerate(hospitals):
            publish(hospital, number)
        network = city.connect()
        assert isinstance(network, NetworkClient)
        print(f"mean weight {mean_over_all(network, how_many):.2f} kg")
    finally:
        client.close()
        stop([city.directory, *(hospital.directory for hospital in hospitals)])


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 100, Path(place))
