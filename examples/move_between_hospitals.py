"""Patients of one hospital go into a mean at another one; the scientist sees only the mean.

``python examples/move_between_hospitals.py`` starts both hospitals on this machine, each a Ray
cluster of its own. The array goes straight from north to south, because the owner of north allows
that; the other array stays.
"""

import tempfile
from pathlib import Path

import numpy as np

import p2pgrid
from p2pgrid.errors import MoveNotPermittedError

EXPORTED = Path(__file__).with_name("pooled.py")
PRESSURE = np.random.default_rng(7).normal(120.0, 12.0, 200_000)


def joined(ann: p2pgrid.Client, node: p2pgrid.Node, **datasets: str) -> p2pgrid.DomainClient:
    """Ann's end of a hospital; its owner, this program, says where each dataset may move."""
    owner, domain = node.connect(), ann.connect(node.address)
    assert isinstance(owner, p2pgrid.DomainClient)
    assert isinstance(domain, p2pgrid.DomainClient)
    owner.users.add("ann", ann.wallet.new(node.peer_id, "ann").public_key)
    for name, to in datasets.items():
        owner.publish(name, {"pressure": PRESSURE}, allowed_domains=(to,))
    return domain.login("ann")


def research(data: p2pgrid.DomainClient, model: p2pgrid.DomainClient) -> None:
    """Gives pointers of one hospital to an actor of the other one."""
    datasets = {dataset.name: dataset for dataset in data.datasets}
    pooled = model.actors.Pooled.remote()
    pooled.add.remote(datasets["moving"]["pressure"])
    print(f"pooled mean: {pooled.mean.remote().get():.2f} mmHg, of {len(PRESSURE):,} patients")
    try:
        pooled.add.remote(datasets["staying"]["pressure"]).get()
    except MoveNotPermittedError as refused:
        print("told:", refused)


if __name__ == "__main__":
    north, south = nodes = p2pgrid.launch(["north", "south"])
    with tempfile.TemporaryDirectory() as home:
        scientist = p2pgrid.Client(Path(home))
        try:
            south.export(EXPORTED)
            data = joined(scientist, north, moving=south.peer_id, staying=north.peer_id)
            research(data, joined(scientist, south))
        finally:
            scientist.close()
            for node in nodes:
                node.stop()
