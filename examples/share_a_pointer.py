"""Ana shares one remote array with Bob, who has no account; Bob narrows it for Carol; Ana ends it.

``python examples/share_a_pointer.py`` starts a domain on this machine, which stands for a hospital.
"""

import tempfile
from pathlib import Path

import p2pgrid
from p2pgrid import Client, Node
from p2pgrid.errors import CapabilityError


def enrolled(hospital: Node, person: Client, name: str) -> p2pgrid.DomainClient:
    """A person with an account; the owner is this program."""
    owner, domain = hospital.connect(), person.connect(hospital.address)
    assert isinstance(owner, p2pgrid.DomainClient)
    assert isinstance(domain, p2pgrid.DomainClient)
    owner.publish("ages", [61.0, 47.0, 72.0], allowed_users=(name,))
    owner.users.add(name, person.wallet.new(hospital.peer_id, name).public_key)
    return domain.login(name)


def story(hospital: Node, ana: Client, bob: Client, carol: Client) -> None:
    """Three people, one array, and no more rights than each was given."""
    ages = enrolled(hospital, ana, "ana").datasets[0].pointers[0]
    months = ages * 12

    # Bob sends his public key, Ana one line of text; nobody asks the hospital.
    to_bob = months.share(bob.wallet.new(hospital.peer_id).public_key, operations=("mean", "get"))
    bobs = bob.accept(to_bob)
    print("Bob takes home:", float(bobs.mean().get()))

    # What Bob gives on is at most what he has.
    to_carol = bobs.share(carol.wallet.new(hospital.peer_id).public_key, operations="mean")
    carols = carol.accept(to_carol)
    try:
        carols.mean().get()
    except CapabilityError as refused:
        print("Carol may compute, and not take home:", refused.reason)

    hospital_of_ana = ana.connect(hospital.address)
    assert isinstance(hospital_of_ana, p2pgrid.DomainClient)
    hospital_of_ana.revoke(to_bob)
    for name, pointer in (("Bob", bobs), ("Carol", carols)):
        try:
            pointer.mean().get()
        except CapabilityError as refused:
            print(f"{name}, afterwards:", refused.reason)


if __name__ == "__main__":
    hospital = p2pgrid.launch("hospital")
    with tempfile.TemporaryDirectory() as home:
        people = [Client(Path(home) / name) for name in ("ana", "bob", "carol")]
        story(hospital, *people)
        for person in people:
            person.close()
    hospital.stop()
