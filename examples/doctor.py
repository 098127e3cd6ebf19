"""Where does it fail? The doctor goes step by step to a node that has three things wrong.

``python examples/doctor.py`` starts a domain on this machine and mends one thing after the other.
"""

import tempfile
from pathlib import Path

from p2pgrid import Client, DomainClient, Node, launch
from p2pgrid.client.doctor import diagnose


def show(client: Client, node: str) -> None:
    """Prints the findings, and what to do about the one that is bad."""
    for finding in diagnose(client, node):
        print(f"{finding.step:8} {finding.outcome:10} {finding.found}")
        if finding.advice:
            print(f"{'':8} {'next':10} {finding.advice}")
    print()


def enrol(hospital: Node, client: Client) -> None:
    """What the owner does with the public key that a scientist sent."""
    owner = hospital.connect()
    assert isinstance(owner, DomainClient)
    owner.users.add("ana", client.wallet.public_key(hospital.peer_id, "ana"))


def main(home: Path) -> None:
    """A wrong port, no key, a key that nobody knows; then all is well."""
    owner, ana = Client(home / "owner"), Client(home / "ana")
    hospital = launch("hospital", client=owner, isolation="packed")  # packed: for trials
    try:
        show(ana, f"/ip4/127.0.0.1/tcp/1/p2p/{hospital.peer_id}")
        show(ana, hospital.address)
        ana.wallet.new(hospital.peer_id, "ana")
        show(ana, hospital.address)
        enrol(hospital, ana)
        show(ana, hospital.address)
    finally:
        for client in (owner, ana):
            client.close()
        hospital.stop()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        main(Path(folder))
