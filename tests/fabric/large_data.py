"""A large array, and its transfers as tests make them by hand."""

import numpy as np

from p2pgrid import DomainClient
from p2pgrid.ids import ObjectId
from tests.fabric.conftest import FabricNode

LARGE = np.random.default_rng(5).normal(size=(600, 1000))
ID, OTHER = ObjectId(b"a large array..1"), ObjectId(b"a large array..2")


def kinds_of(node: FabricNode) -> list[str]:
    files = node.directory.objects.rglob("*")
    return sorted("".join(it.suffixes) for it in files if it.is_file())


def pointer_id(domain: DomainClient) -> ObjectId:
    object_id: ObjectId = domain.datasets[0].pointers[0]._id
    return object_id
