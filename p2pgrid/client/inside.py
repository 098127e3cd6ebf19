"""Inside a domain's cluster: what a handle's ``actor`` is there.

Outside, ``resolve`` is None and ``actor`` is an ``ActorPointer``. A program that runs in the
cluster sets it to what finds Ray's own handle; this package knows nothing of Ray.
"""

from collections.abc import Callable

from p2pgrid.ids import PeerId

STORE = "store"
"""The actor that holds the arrays of datasets and the results of operations."""

resolve: Callable[[PeerId, str], object] | None = None
"""Ray's handle of an actor: of ``STORE``, or of an exported one by its object id in hex. None for
what is not in this cluster."""


def actor_of(domain: PeerId, actor: str) -> object | None:
    """Ray's own handle; None outside of the cluster."""
    return None if resolve is None else resolve(domain, actor)
