"""A network in memory: real peers, links, protocol and faults, but no sockets.

``MemoryNetwork(seed=7, faults=Faults(drop=0.1))`` repeats the same story for the same seed.
"""

from collections.abc import Callable, Sequence

from nacl.signing import SigningKey

from p2pgrid.config import DEFAULT_LIMITS, DEFAULT_TIMING, Limits, Timing
from p2pgrid.ids import peer_id_of
from p2pgrid.net.link import Inbound, Link
from p2pgrid.net.memory import Faults, MemoryHub, MemoryTransport
from p2pgrid.net.memory_discovery import MemoryDiscovery
from p2pgrid.net.peer import STRAIGHT, Peer, Routing
from p2pgrid.net.portal import Portal
from p2pgrid.net.transport import Discovery, Transport
from p2pgrid.protocol.secret import Secret


class MemoryNetwork:
    """A place where peers meet; ``close`` ends it."""

    def __init__(self, *, seed: int = 0, faults: Faults | None = None) -> None:
        self.hub = MemoryHub(seed=seed, faults=faults or Faults())
        self._portal = Portal("p2pgrid-memory")

    def peer(
        self,
        seed: bytes,
        *,
        listen: Sequence[str] = (),
        announce: Sequence[str] = (),
        on_request: Callable[[Inbound], None],
        on_over: Callable[[Link], None] = lambda _: None,
        limits: Limits = DEFAULT_LIMITS,
        timing: Timing = DEFAULT_TIMING,
        network_key: Secret | None = None,
        routing: Routing = STRAIGHT,
    ) -> Peer:
        """A peer of this network; its peer id is that of the Ed25519 seed, as in the real one."""
        del listen, announce, routing
        peer_id = peer_id_of(bytes(SigningKey(seed).verify_key))

        def make_transport() -> tuple[Transport, Discovery]:
            transport = MemoryTransport(self.hub, peer_id, network_key=network_key)
            return transport, MemoryDiscovery(self.hub, peer_id)

        return Peer(
            make_transport,
            on_request=on_request,
            on_over=on_over,
            limits=limits,
            timing=timing,
            portal=self._portal,
        )

    def close(self) -> None:
        """Ends all links; peers that still run are cancelled."""
        self._portal.stop()
