"""The way to a peer in single steps, for whoever wants to know which of them fails."""

import os
import secrets
import socket
from collections.abc import Callable, Sequence

import trio
from multiaddr import Multiaddr

from p2pgrid.errors import NetworkError, PeerUnreachableError
from p2pgrid.ids import PeerId
from p2pgrid.net.addresses import parse_address, route_of, target_of
from p2pgrid.net.host import build_host, connect, running
from p2pgrid.net.link import Link
from p2pgrid.net.peer import Peer
from p2pgrid.net.pipes import Pipes
from p2pgrid.protocol.proxy import Proxy
from p2pgrid.protocol.secret import Secret

REACH_S = 3.0
"""How long addresses that do not answer are waited for when others do."""
SLOW_S = 60.0
"""Longer than anybody waits: whoever asks has a deadline, and says at which step it passed."""


class Probe:
    """Goes the steps with sockets; every method blocks, and may do so for long.

    Each takes the addresses that the step before gave back, and raises only what says why the step
    failed at all of them.
    """

    def __init__(
        self, peer: Callable[[], Peer], network_key: Secret | None, proxy: Proxy | None = None
    ) -> None:
        self._peer, self._key, self._proxy = peer, network_key, proxy

    @property
    def peer_id(self) -> PeerId:
        """Who we are on the links of ``link``."""
        return self._peer().peer_id

    def names(self, addresses: Sequence[str]) -> tuple[str, ...]:
        """The names of hosts to look up; a proxy looks up those behind it itself."""
        if self._proxy is not None:
            return (self._proxy.host,)
        parts = [_place(address) for address in addresses]
        return tuple(dict.fromkeys(host for kind, host, _ in parts if kind.startswith("dns")))

    def resolve(self, peer: PeerId, addresses: Sequence[str]) -> tuple[str, ...]:
        """The addresses whose host is known.

        Raises:
            PeerUnreachableError: there is none.
        """
        known, why = [], ""
        for address in addresses:
            _, host, port = _place(address)
            if self._proxy is not None:
                host, port = self._proxy.host, self._proxy.port
            try:
                socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
                known.append(address)
            except (OSError, UnicodeError) as error:
                why = f"the name {host!r} leads nowhere ({error})"
        if not known:
            raise PeerUnreachableError(peer=peer, addresses=len(addresses), reason=why)
        return tuple(known)

    def reach(self, peer: PeerId, addresses: Sequence[str]) -> tuple[str, ...]:
        """The addresses whose port, perhaps that of a relay, takes a TCP connection.

        Raises:
            PeerUnreachableError: there is none.
        """
        return trio.run(_reach, Pipes(self._proxy), peer, addresses)

    def through_relays(self, peer: PeerId, addresses: Sequence[str]) -> tuple[str, ...] | None:
        """The addresses that work, of which some name relays; None when none does.

        Raises:
            RelayRefusedError: the relays have no place for the peer, or it did not come.
            RemoteProtocolError, PeerUnreachableError: what is at their addresses is no relay.
        """
        return trio.run(_through_relays, Pipes(self._proxy), peer, addresses)

    def shake_hands(self, peer: PeerId, addresses: Sequence[str]) -> None:
        """The noise handshake, and before it the key of a closed network.

        Raises:
            IdentityMismatchError: somebody else is there.
            NetworkKeyError: who is there is not in our closed network, or we are not in its.
            PeerUnreachableError: nobody speaks noise there.
        """
        trio.run(_shake_hands, Pipes(self._proxy), peer, addresses, self._key)

    def link(self, peer: PeerId, addresses: Sequence[str]) -> Link:
        """The control stream.

        Raises:
            RemoteProtocolError: the peer does not speak ``/p2pgrid/1``.
            PeerUnreachableError: it does not answer any more.
        """
        return self._peer().link_to(peer, addresses)


async def _reach(pipes: Pipes, peer: PeerId, addresses: Sequence[str]) -> tuple[str, ...]:
    reached: list[str] = []
    failures: list[str] = []

    async def dial(address: str) -> None:
        _, host, port = _place(address)
        try:
            stream = await pipes.dial(host, port)
        except (OSError, NetworkError) as error:
            why = _why(error) if isinstance(error, OSError) else str(error)
            failures.append(f"{host} port {port}: {why}")
            return
        reached.append(address)
        scope.deadline = min(scope.deadline, trio.current_time() + REACH_S)
        await trio.aclose_forcefully(stream)

    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            for address in addresses:
                nursery.start_soon(dial, address)
    if not reached:
        reason = "; ".join(failures)
        raise PeerUnreachableError(peer=peer, addresses=len(addresses), reason=reason)
    return tuple(address for address in addresses if address in reached)


async def _through_relays(
    pipes: Pipes, peer: PeerId, addresses: Sequence[str]
) -> tuple[str, ...] | None:
    routes = {address: route_of(target_of(address, peer)) for address in addresses}
    good = [address for address, route in routes.items() if route.peer is None]
    if len(good) == len(routes):
        return None
    failure: NetworkError | None = None
    async with pipes.serving():
        for address in routes.keys() - good:
            try:
                (await pipes.connect(routes[address], "libp2p", port=0)).close()
                good.append(address)
            except NetworkError as error:
                failure = error
            except OSError as error:
                failure = PeerUnreachableError(peer=peer, addresses=1, reason=_why(error))
    if failure is not None and not good:
        raise failure
    return tuple(address for address in addresses if address in good)


async def _shake_hands(
    pipes: Pipes, peer: PeerId, addresses: Sequence[str], key: Secret | None
) -> None:
    host = build_host(secrets.token_bytes(32), (), network_key=key, pipes=pipes)
    async with pipes.serving(), running(host, ()):
        await connect(host, peer, addresses, timeout_s=SLOW_S)


def _place(address: str) -> tuple[str, str, int]:
    """Kind of host, host, and port of a TCP multiaddr that ends in a peer id."""
    _, way = parse_address(address)
    parts = [(protocol.name, str(value)) for protocol, value in Multiaddr(way).items()]
    return parts[0][0], parts[0][1], int(parts[1][1])


def _why(error: OSError) -> str:
    """Trio wraps what each of a host's numbers answered."""
    cause = error.__cause__ or error
    while isinstance(cause, ExceptionGroup):
        cause = cause.exceptions[0]
    return os.strerror(cause.errno) if isinstance(cause, OSError) and cause.errno else str(cause)
